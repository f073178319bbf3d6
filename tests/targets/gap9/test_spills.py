"""Which tensors leave L2, and what that takes."""

from __future__ import annotations

import math

import pytest

from targets.gap9.spills import NOTHING, Spilled, spilled
from targets.gap9.target import Gap9Target
from targets.gap9.transfers import Tiling
from targets.network.layer import Layer, Operand

ARCH = Gap9Target().arch
RATE = ARCH.memory("l3").bandwidth_bytes_per_cycle.value
WAIT = ARCH.core("cluster").rate("cycles_per_external_run")


def chain(*layers: str) -> list[Layer]:
    """Return layers such as ``a,b>c``: from tensors to a tensor; a tensor ``b300`` has 300 bytes."""
    made = []
    for number, text in enumerate(layers):
        before, _, after = text.partition(">")
        tensors = {name: Operand(name, (int(name[1:]),), 8) for name in (*before.split(","), after)}
        inputs = tuple(tensors[name] for name in before.split(","))
        made.append(Layer(str(number), "Add", (), 0, None, inputs, (tensors[after],)))
    return made


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (("a100>b600", "b600>c200"), set()),
        # 100 + 1000 do not fit; the largest goes, and with it out of the way the next fits too.
        (("a100>b1000", "b1000>c200"), {"b1000"}),
        (("a1000>b100", "b100>c100"), {"a1000"}),
        # Of equal ones the latest.
        (("a600>b600", "b600>c10"), {"b600"}),
        # What is read later stays alive beside what comes between.
        (("a300>b400", "b400>c400", "a300,c400>d300"), {"c400"}),
        (("a300>b400", "b400>c350", "c350,b400>d300"), {"b400"}),
        (("a300>b400", "b400>c300", "c300>d300"), set()),
    ],
)
def test_the_largest_goes_where_room_is_short(layers: tuple[str, ...], names: set[str]) -> None:
    assert spilled(chain(*layers), 1000).names == names


def test_what_lies_outside_takes_no_room() -> None:
    layers = chain("a900>b600", "b600>c300")
    assert spilled(layers, 1000).names == {"a900"}
    assert spilled(layers, 1000, outside={"b600"}).names == {"b600"}


def cut(**changes: int) -> Tiling:
    plain = {
        "rows": 3, "channels": 8, "tiles": 4, "first_bytes": 0, "last_bytes": 0, "beside_bytes": 0,
        "read_bytes": 500, "read_runs": 7, "written_runs": 9,
    }  # fmt: skip
    return Tiling(**{**plain, **changes})


@pytest.mark.parametrize(
    ("names", "size_bytes", "runs"),
    [
        (set(), 0, 0),
        ({"a300"}, 500, 7),
        ({"b200"}, 200, 9),
        ({"a300", "b200"}, 700, 16),
    ],
)
def test_bytes_pass_at_the_rate_of_the_memory_and_runs_wait(
    names: set[str], size_bytes: int, runs: int
) -> None:
    (layer,) = chain("a300>b200")
    found = Spilled(frozenset(names)).cycles(layer, cut(), ARCH)
    assert found == math.ceil(size_bytes / RATE + runs * WAIT)


def test_of_two_inputs_only_the_one_outside_is_read_there() -> None:
    (layer,) = chain("a300,c100>b200")
    assert Spilled(frozenset({"c100"})).cycles(layer, cut(read_bytes=400), ARCH) == math.ceil(
        100 / RATE + 7 * WAIT
    )
    assert NOTHING.cycles(layer, cut(), ARCH) == 0
