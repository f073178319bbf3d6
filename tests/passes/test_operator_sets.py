from __future__ import annotations

import ast
from pathlib import Path

import onnx
import pytest

from passes import operator_sets

ROOT = Path(__file__).parents[2]
SETS = {
    name: value
    for name, value in vars(operator_sets).items()
    if isinstance(value, frozenset | dict) and name.isupper()
}


@pytest.mark.parametrize("name", sorted(SETS))
def test_sets_hold_operators_of_onnx(name: str) -> None:
    assert SETS[name]
    for op in SETS[name]:
        assert onnx.defs.has(op), f"{op} is no operator"


def test_sets_within_sets() -> None:
    assert operator_sets.QUANTIZED_LINEAR < operator_sets.REWRITABLE_LINEAR < operator_sets.FLOAT_LINEAR
    assert operator_sets.SAME_GRID < operator_sets.MOVES
    assert operator_sets.RESHAPES < operator_sets.VIEWS < operator_sets.COPIES
    assert operator_sets.CLIPS < operator_sets.ACTIVATIONS
    assert operator_sets.WEIGHT_INPUT.keys() == operator_sets.LINEAR
    assert not operator_sets.MOVES & operator_sets.LINEAR


def test_weights_and_biases_are_where_onnx_has_them() -> None:
    for op, index in operator_sets.WEIGHT_INPUT.items():
        named = onnx.defs.get_schema(op).inputs[index].name.lower()
        assert named in {"w", "b"}, f"input {index} of {op} is called {named}"
    for op, index in operator_sets.BIAS_INPUT.items():
        assert onnx.defs.get_schema(op).inputs[index].name.lower() in {"b", "c"}


def test_no_other_file_names_such_a_set_anew() -> None:
    """A set of operators with the name of one of these, elsewhere, would be a second meaning of it."""
    found = []
    for package in ("passes", "targets", "eecompile"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name == "operator_sets.py":
                continue
            for node in ast.parse(path.read_text()).body:
                written = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                names = [target.id for target in written if isinstance(target, ast.Name)]
                found += [f"{path}: {name}" for name in names if name.lstrip("_") in SETS]
    assert found == []
