"""The verb `targets`: the accelerators there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eecompile.verbs.work.listing import TargetList


def targets(name: str | None = None) -> TargetList:
    """Return all targets, or the one called ``name`` with its support table.

    Examples:
        >>> from eecompile import api
        >>> api.targets("gap9")
        <TargetList: 1 targets: gap9>
    """
    from eecompile.verbs.work.listing import list_targets

    return list_targets(name)
