"""What is asked of a schedule: what each value means, and what a target cannot honour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from eecompile.run.schedule_options import ScheduleOptions, wishes_of
from passes.errors import InputError
from targets.contract.registry import load_target
from targets.contract.target import Target
from targets.described.target import EngineTarget
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.scheduling import Wishes
from targets.schedule.freedom import MODES, Freedom

WHOLE_LAYERS = load_target("diana")
FREE = load_target("edge_tpu_quad")
assert isinstance(FREE, EngineTarget)
OFF_CHIP = replace(FREE, locality=False)
ALL = (WHOLE_LAYERS, FREE, OFF_CHIP)


@pytest.mark.parametrize(
    ("options", "wishes"),
    [
        ({}, Wishes()),
        ({"schedule": "layers"}, Wishes("layers")),
        ({"schedule": "split"}, Wishes("split")),
        ({"schedule": "fused"}, Wishes("fused")),
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
    def schedules(self) -> Mapping[str, Freedom]:
        return {"split": Freedom(fuse=False), "layers": Freedom(split=False, fuse=False)}


def test_the_table_of_the_target_is_what_is_taken() -> None:
    assert wishes_of(ScheduleOptions("split"), Unfused()) == Wishes("split")
    with pytest.raises(InputError) as caught:
        wishes_of(ScheduleOptions("fused"), Unfused())
    assert caught.value.message.startswith("`schedule` fused: ")
    assert caught.value.message.endswith("takes layers or split")


@pytest.mark.parametrize(
    ("target", "schedule", "takes", "hint"),
    [
        (load_target("diana"), "fused", "layers or rows", "fused is taken by edge_tpu_quad and accelerators"),
        (load_target("diana"), "split", "layers or rows", "split is taken by edge_tpu_quad and accelerators"),
        (
            load_target("diana", "engine"),
            "rows",
            "layers",
            "rows is taken by diana (cost model match or odimo)",
        ),
        (load_target("gap9"), "rows", "layers", "rows is taken by diana (cost model match or odimo)"),
        (load_target("gap9"), "split", "layers", "split is taken by edge_tpu_quad"),
        (FREE, "rows", "layers, split or fused", "rows is taken by diana (cost model match or odimo)"),
        (OFF_CHIP, "rows", "layers", "rows is taken by diana (cost model match or odimo)"),
    ],
)
def test_a_mode_a_target_does_not_take_is_refused_with_what_it_takes_and_who_takes_it(
    target: Target, schedule: str, takes: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        wishes_of(ScheduleOptions(schedule), target)
    name, model = target.title, target.cost_model
    assert caught.value.message == f"`schedule` {schedule}: {name} with cost model '{model}' takes {takes}"
    assert caught.value.hint.startswith(f"say `schedule` {takes}; {hint}")


@pytest.mark.parametrize("target", ALL)
def test_every_mode_that_is_taken_is_wished_as_it_is(target: Target) -> None:
    for schedule in target.schedules:
        assert wishes_of(ScheduleOptions(schedule), target) == Wishes(schedule)


def test_rows_have_no_weights_that_stay_and_no_exact_solver() -> None:
    with pytest.raises(InputError, match=r"`weights` keep: .* costs whole layers"):
        wishes_of(ScheduleOptions("rows", weights="keep"), WHOLE_LAYERS)
    with pytest.raises(InputError, match="`solver` exact adds up the energy") as caught:
        wishes_of(ScheduleOptions("rows", solver="exact"), WHOLE_LAYERS)
    assert caught.value.hint == "leave `solver` exact away, or say `schedule` layers"


def test_each_mode_is_told_in_words() -> None:
    assert len(set(MODES.values())) == len(MODES)
    assert all(len(words.split()) > 3 for words in MODES.values())


REFUSED = [
    ({"schedule": "split"}, "`schedule` split", "`schedule` layers"),
    ({"schedule": "fused"}, "`schedule` fused", "`schedule` layers"),
    ({"weights": "keep"}, "`weights` keep", "`weights` fetch"),
]


def test_costs_of_whole_layers_leave_no_weights_to_keep() -> None:
    """Also where the value is what is meant where none is given: it was told."""
    with pytest.raises(InputError) as caught:
        wishes_of(ScheduleOptions(weights="keep"), WHOLE_LAYERS)
    told = f"`weights` keep: the cost model '{WHOLE_LAYERS.cost_model}' of diana costs whole layers"
    assert caught.value.message.startswith(told)
    assert caught.value.hint.startswith("say `weights` fetch, or give a target whose mappings are searched")


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
            "`schedule` fuse: expected layers, split, fused or rows",
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
