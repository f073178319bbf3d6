"""What is minimised, and that nothing else tells objectives apart by their names."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import eecompile
import passes
import targets
from passes.errors import InputError
from targets.evaluation.paths import Cost
from targets.objective import CHOICES, EDP, ENERGY, LATENCY, MACS, Objective, objective_named

NAMES = {objective.name for objective in CHOICES}
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("objective", "value"), [(EDP, 6.0), (LATENCY, 3.0), (ENERGY, 2.0)], ids=str)
def test_values_of_numbers_arrays_and_exits(objective: Objective, value: float) -> None:
    assert objective.value(2.0, 3.0) == value
    assert objective.value(2.0, 3.0, share=0.5) == value / 2
    assert objective.value(np.array([2.0, 0.0]), np.array([3.0, 0.0])).tolist() == [value, 0.0]
    twice = objective.value(4.0, 6.0)
    assert objective.expected((0.25, 0.75), (3, 6), (2.0, 4.0)) == 0.25 * value + 0.75 * twice
    assert objective.is_product is (objective.counts_energy and objective.counts_latency)


def test_macs_are_counted_and_schedules_are_then_for_edp() -> None:
    cost = Cost.at_clock(7, 3, 2.0, None)
    assert [cost.value(objective) for objective in CHOICES] == [6.0, 3, 2.0, 7]
    assert [objective.for_schedules for objective in CHOICES] == [EDP, LATENCY, ENERGY, EDP]
    assert not MACS.is_product


@pytest.mark.parametrize("objective", CHOICES, ids=str)
def test_names_lead_back(objective: Objective) -> None:
    assert objective_named(objective.name) is objective and str(objective) == objective.name


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown objective 'latancy'\ndid you mean 'latency'"):
        objective_named("latancy")


def test_no_code_tells_objectives_apart_by_name() -> None:
    """Comparisons with a name, and tables by name, are what `Objective` replaces."""
    roots = [Path(str(package.__file__)).parent for package in (eecompile, targets, passes)]
    files = [file for root in (*roots, ROOT / "tools") for file in sorted(root.rglob("*.py"))]
    assert len(files) > 200
    found = [f"{file}:{line}" for file in files for line in _by_name(ast.parse(file.read_text()))]
    assert not found, f"compare objects of targets.objective: {', '.join(found)}"


@pytest.mark.parametrize(
    "code",
    [
        "objective == 'edp'",
        "'latency' != self.objective",
        "options.objective in ('energy', 'edp')",
        "{'edp': 1, 'latency': 2, 'energy': 3}[objective]",
        "match goal:\n case 'edp': pass",
    ],
)
def test_comparisons_by_name_are_found(code: str) -> None:
    assert list(_by_name(ast.parse(code)))


def _by_name(tree: ast.AST) -> list[int]:
    """Return the lines that compare something with the name of an objective, or look it up by all names."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts: list[ast.AST] = [node.left, *node.comparators]
            told = any("objective" in ast.unparse(part) for part in parts)
            names = {n.value for part in parts for n in ast.walk(part) if isinstance(n, ast.Constant)}
            alone = any(isinstance(part, ast.Constant) and part.value == EDP.name for part in parts)
            if (told and names & NAMES) or alone:
                lines.append(node.lineno)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            keys = {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
            if keys & NAMES and "objective" in ast.unparse(node.slice):
                lines.append(node.lineno)
        elif isinstance(node, ast.MatchValue) and ast.unparse(node.value).strip("'") in NAMES:
            lines.append(node.lineno)
    return lines
