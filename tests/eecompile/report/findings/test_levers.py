from __future__ import annotations

from typing import Any

import pytest

from eecompile.report.findings.levers import (
    closer_look,
    on_model,
    other_drop,
    other_schedule,
    pruning,
    target_of,
)
from eecompile.run_files.summary import Summary
from tests.eecompile.fabricated_run import summary
from tests.eecompile.report.findings.asked_for import typed


def made(with_data: bool = True, **changes: Any) -> Summary:
    return Summary.model_validate({**summary(with_data), **changes})


def test_a_target_is_known_by_name_and_cost_model_or_not_at_all() -> None:
    found = target_of(made(cost_model="odimo"))
    assert found is not None and (found.name, found.cost_model) == ("diana", "odimo")
    assert target_of(made(target="a chip of mine")) is None
    assert target_of(made(cost_model="of another version")) is None


def test_a_target_without_a_name_is_a_file_in_a_command() -> None:
    assert typed(on_model("inspect", made())) == "eecompile inspect resnet8_cifar10 --target diana"
    found = typed(on_model("cost", made(target="a chip of mine"), "breakdown"))
    assert found == "eecompile cost resnet8_cifar10 --target FILE --breakdown"


@pytest.mark.parametrize(
    ("target", "cost_model", "switch"),
    [
        ("diana", "match", ""),
        ("diana", "of another version", ""),
        ("edge_tpu_quad", "engine", " --breakdown"),
    ],
)
def test_mappings_are_shown_where_they_are_searched(target: str, cost_model: str, switch: str) -> None:
    found = typed(closer_look(made(target=target, cost_model=cost_model)))
    assert found == f"eecompile cost resnet8_cifar10 --target {target}{switch}"


@pytest.mark.parametrize(
    ("target", "cost_model", "schedule", "option"),
    [
        ("diana", "match", "layers", "--schedule rows"),
        ("diana", "match", None, "--schedule rows"),
        ("diana", "match", "rows", ""),
        ("edge_tpu_quad", "engine", "layers", "--schedule fused"),
        ("max78000", "cycles", "layers", ""),
    ],
)
def test_a_schedule_is_named_that_the_target_takes_and_the_run_had_not(
    target: str, cost_model: str, schedule: str | None, option: str
) -> None:
    run = made(target=target, cost_model=cost_model, schedule=schedule)
    found = target_of(run)
    assert target != "diana" or found is not None
    assert typed(other_schedule(run, found)) == option
    assert other_schedule(run, None) is None


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({}, "--prune energy=-20%"),
        ({"objective": "latency"}, "--prune cycles=-20%"),
        ({"with_data": False}, ""),
        ({"pruned": summary()["static"]}, ""),
        ({"trainer": "scratch"}, ""),
    ],
)
def test_what_can_be_pruned(changes: dict[str, Any], option: str) -> None:
    assert typed(pruning(made(**changes))) == option


@pytest.mark.parametrize(
    ("changes", "factor", "option"),
    [
        ({}, 2, "eecompile retune RUN --max-drop 2"),
        ({}, 0.5, "eecompile retune RUN --max-drop 0.5"),
        ({"max_drop": 0.0}, 2, "eecompile retune RUN --max-drop 1"),
        ({"max_drop": 0.0}, 0.5, ""),
        ({"placement": "mixed"}, 2, "--max-drop 2"),
        ({"kept_thresholds": True}, 2, ""),
        ({"with_data": False}, 2, ""),
    ],
)
def test_another_drop_is_named_where_one_chose(changes: dict[str, Any], factor: float, option: str) -> None:
    assert typed(other_drop(made(**changes), factor)) == option
