"""What a simulation notes of what ran."""

from __future__ import annotations

import numpy as np

from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.outcome import Ran
from eecompile.serving.policies import POLICIES
from tests.eecompile.serving.test_policies import CROWD


def test_stages_are_noted_where_that_is_asked_for_and_change_nothing() -> None:
    quiet = serve_one_by_one(CROWD, POLICIES["fifo"])
    watched = serve_one_by_one(CROWD, POLICIES["fifo"], watch=True)
    assert quiet.ran == [] and watched.ran[0] == Ran(0.0, 4.0, 0, 0, (0,))
    np.testing.assert_array_equal(quiet.finish_s, watched.finish_s)
