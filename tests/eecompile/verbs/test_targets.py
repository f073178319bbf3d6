"""`targets` lists all, or one."""

from __future__ import annotations

from eecompile import api
from eecompile.verbs.work.listing import list_targets


def test_the_list_is_that_of_all_and_of_one() -> None:
    assert api.targets("gap9") == list_targets("gap9")
    assert api.targets() == list_targets() != api.targets("gap9")
