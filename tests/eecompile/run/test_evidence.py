"""What a run knows of itself at each point."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from eecompile.data.preprocess_choice import PreprocessChoice
from eecompile.run.evidence import Evidence
from eecompile.runtime.preprocess import Preprocess
from tests.eecompile.run.made_evidence import evidence


def test_the_preprocessing_is_the_one_that_was_taken() -> None:
    made, taken = evidence(), Preprocess("unit", (0.0,), (255.0,))
    made.tried = PreprocessChoice(taken, 0.9, 10, (("raw", 0.2), ("unit", 0.9)))
    assert made.preprocess is taken


@pytest.mark.parametrize("kept", [(0, 1), (1,), ()])
def test_kept_exits_are_counted_among_those_that_were_tried(kept: tuple[int, ...]) -> None:
    assert evidence(kept).kept == kept


def test_what_is_not_found_out_yet_is_not_there() -> None:
    """No step can take a default for what a step before it should have found; pruning is no step of most."""
    made = evidence()
    given = {f.name for f in fields(Evidence) if f.init}
    kept = {"taken", "model_sha256", "test_at"}
    assert given == {"options", "prepared", "clock", "work", "checkpoints", "finished", "pruned"} | kept
    fresh = Evidence(made.options, made.prepared, made.clock, made.work)
    for name in {f.name for f in fields(Evidence)} - given:
        with pytest.raises(AttributeError, match=name):
            getattr(fresh, name)
    for name in ("preprocess", "kept"):
        with pytest.raises(AttributeError):
            getattr(fresh, name)


def test_everything_that_is_found_out_is_said_to_be() -> None:
    said = re.findall(r"^        (\w+): ", Evidence.__doc__ or "", re.MULTILINE)
    assert sorted(said) == sorted(f.name for f in fields(Evidence))
