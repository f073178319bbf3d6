"""`passes` lists all, or one."""

from __future__ import annotations

from eecompile import api
from eecompile.verbs.work.listing import list_passes


def test_the_list_is_that_of_all_and_of_one() -> None:
    assert api.passes("quantize") == list_passes("quantize")
    assert api.passes() == list_passes() != api.passes("quantize")
