"""What is asked of a schedule: what each value means, and what a target cannot honour."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from eecompile.verbs.schedule_options import ScheduleOptions, wishes_of
from passes.errors import InputError
from targets.contract.registry import load_target
from targets.contract.target import Target
from targets.described.target import EngineTarget
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.scheduling import Wishes
from targets.schedule.freedom import Freedom

WHOLE_LAYERS = load_target("diana")
FREE = load_target("edge_tpu_quad")
assert isinstance(FREE, EngineTarget)
OFF_CHIP = replace(FREE, locality=False)
ALL = (WHOLE_LAYERS, FREE, OFF_CHIP)


@pytest.mark.parametrize(
    ("options", "wishes"),
    [
        ({}, Wishes()),
        ({"schedule": "layers"}, Wishes(split=False, fuse=False)),
        ({"schedule": "split"}, Wishes(split=True, fuse=False)),
        ({"schedule": "fused"}, Wishes(split=True, fuse=True)),
        ({"weights": "keep"}, Wishes(keep_weights=True)),
        ({"weights": "fetch"}, Wishes(keep_weights=False)),
        ({"ratios": (0.5, 0.5)}, Wishes()),
        ({"speculate": True}, Wishes(speculate=True)),
        ({"speculate": True, "solver": "default"}, Wishes(speculate=True)),
        ({"solver": "exact"}, Wishes(exact_seconds=60.0)),
        ({"solver": "exact", "time_limit_s": 0.5}, Wishes(exact_seconds=0.5)),
    ],
)
def test_every_value_has_its_meaning(options: dict[str, Any], wishes: Wishes) -> None:
    assert wishes_of(ScheduleOptions(**options), FREE) == wishes


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize(
    "options", [{}, {"schedule": "layers"}, {"weights": "fetch"}, {"speculate": True}, {"solver": "exact"}]
)
def test_what_needs_no_freedom_is_taken_by_every_target(target: Target, options: dict[str, Any]) -> None:
    assert wishes_of(ScheduleOptions(**options), target) == wishes_of(ScheduleOptions(**options), FREE)


class Unfused(EdgeTpuQuadTarget):
    """A target that may split layers but not fuse them."""

    @property
    def freedom(self) -> Freedom:
        return Freedom(split=True, fuse=False, hold=True)


def test_splitting_and_fusing_are_refused_each_for_itself() -> None:
    assert wishes_of(ScheduleOptions("split"), Unfused()) == Wishes(fuse=False)
    with pytest.raises(InputError, match="`schedule` fused: "):
        wishes_of(ScheduleOptions("fused"), Unfused())


REFUSED = [
    ({"schedule": "split"}, "`schedule` split", "`schedule` layers"),
    ({"schedule": "fused"}, "`schedule` fused", "`schedule` layers"),
    ({"weights": "keep"}, "`weights` keep", "`weights` fetch"),
]


@pytest.mark.parametrize(("options", "asked", "instead"), REFUSED)
def test_costs_of_whole_layers_leave_nothing_to_split_fuse_or_keep(
    options: dict[str, Any], asked: str, instead: str
) -> None:
    """Also where the value is what is meant where none is given: it was told."""
    with pytest.raises(InputError) as caught:
        wishes_of(ScheduleOptions(**options), WHOLE_LAYERS)
    told = f"{asked}: the cost model '{WHOLE_LAYERS.cost_model}' of diana costs whole layers"
    assert caught.value.message.startswith(told)
    assert caught.value.hint.startswith(f"say {instead}, or give a target whose mappings are searched")


@pytest.mark.parametrize(("options", "asked", "instead"), REFUSED)
def test_without_locality_nothing_lies_on_chip(options: dict[str, Any], asked: str, instead: str) -> None:
    with pytest.raises(InputError) as caught:
        wishes_of(ScheduleOptions(**options), OFF_CHIP)
    assert caught.value.message.startswith(f"{asked} needs tensors on chip, and `locality` off")
    assert caught.value.hint == "leave one of the two away"
    assert instead not in str(caught.value), "the two options contradict each other, whatever the target"


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            {"schedule": "fuse"},
            "`schedule` fuse: expected layers, split or fused",
            "did you mean 'fused'?",
        ),
        ({"weights": "kept"}, "`weights` kept: expected keep or fetch", "did you mean 'keep'?"),
        ({"solver": "gurobi"}, "`solver` gurobi: no such solver", "known: default, exact"),
        (
            {"time_limit_s": 5.0},
            "`time_limit` is that of the exact solver",
            "add `solver` exact, or leave it away",
        ),
        (
            {"solver": "default", "time_limit_s": 5.0},
            "`time_limit` is that of the exact solver",
            "add `solver` exact, or leave it away",
        ),
        *(
            (
                {"solver": "exact", "time_limit_s": seconds},
                f"`time_limit` {seconds} is not a time",
                "give seconds above 0, such as 60",
            )
            for seconds in (0.0, -1.0, float("inf"), float("nan"))
        ),
        (
            {"solver": "exact", "speculate": True},
            "`speculate` starts stages of the default schedule, not of the exact one",
            "leave `speculate` or `solver` exact away",
        ),
    ],
)
def test_wrong_values_are_refused_with_what_to_do(
    target: Target, options: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        wishes_of(ScheduleOptions(**options), target)
    assert (caught.value.message, caught.value.hint) == (message, hint)
