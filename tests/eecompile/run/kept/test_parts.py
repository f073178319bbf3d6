"""That steps are kept as they were is seen in the files of runs (`test_work.py`)."""

from __future__ import annotations

from eecompile.run.kept.parts import PARTS
from eecompile.run.steps import STEPS


def test_what_is_kept_are_steps_of_a_run() -> None:
    assert set(PARTS) - {"prune"} <= {step.name for step in STEPS}
