from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.base import to_text
from passes.errors import InputError
from passes.exits.insert_exits import InsertExits
from passes.exits.split_stages import SplitStages
from passes.fuse_layers import FuseLayers
from passes.registry import TABLE, parse_pass, parse_pipeline, pass_class


@pytest.mark.parametrize("name", TABLE)
def test_every_pass_is_what_the_table_says(name: str) -> None:
    cls = pass_class(name)
    assert cls.name == name
    assert cls.__doc__
    assert parse_pass(to_text(cls())) == cls()
    assert all(f.default is not None for f in fields(cls))  # type: ignore[arg-type]


def test_text_forms() -> None:
    assert to_text(InsertExits()) == "insert-exits"
    assert to_text(InsertExits(("relu_3", "add 2"), "conv")) == 'insert-exits{at=relu_3+"add 2",head=conv}'
    assert to_text(FuseLayers(activation=False)) == "fuse-layers{activation=false}"
    steps = parse_pipeline(
        " canonicalize , split-stages{ stage = 2 } ,fuse-layers{add=true, pool=true }"
    ).steps
    assert [to_text(s) for s in steps] == [
        "canonicalize", "split-stages{stage=2}", "fuse-layers{add=true,pool=true}"
    ]  # fmt: skip


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.integers(-5, 5))
def test_any_name_round_trips(names: list[str], number: int) -> None:
    for step in (InsertExits(tuple(names), names[0], number), SplitStages(number)):
        assert parse_pass(to_text(step)) == step


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the pipeline is empty"),
        ("  ", "expected a pass name"),
        ("canonicalise", "unknown pass 'canonicalise'\ndid you mean 'canonicalize'?"),
        ("insert-exits{att=2}", "pass 'insert-exits' has no option 'att'\ndid you mean 'at'?"),
        ("split-stages{stage=two}", "option 'stage' cannot be 'two'"),
        ("split-stages{stage=1+2}", "option 'stage' takes one value, got 1+2"),
        ("fuse-layers{add=yes}", "option 'add' cannot be 'yes'"),
        ("split-stages{stage=1,stage=2}", "option 'stage' is given twice"),
        ("insert-exits{at=", "column 17: expected a value"),
        ("insert-exits{at=2", "column 18: expected ',' or '}'"),
        ('insert-exits{at="2', "column 17: unfinished string"),
        ("insert-exits{at=2} quantize", "column 19: expected ',' or the end"),
        ("insert-exits{2}", "column 14: expected option=value or '}'"),
        ("quantize,,quantize", "column 10: expected a pass name"),
    ],
)
def test_what_does_not_parse(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_pipeline(text)
    assert message in str(error.value)


def test_one_pass_is_one() -> None:
    with pytest.raises(InputError, match="expected one pass, got 2"):
        parse_pass("quantize,fold-qdq")


def test_the_table_imports_no_pass() -> None:
    code = "import sys, passes.registry; print([m for m in sys.modules if m.startswith('passes.')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "passes.integers.quantize" not in found
    assert "onnxruntime" not in found
