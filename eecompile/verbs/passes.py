"""The verb `passes`: the passes there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eecompile.verbs.work.listing import PassList


def passes(name: str | None = None) -> PassList:
    """Return all passes, or the one called ``name``.

    Examples:
        >>> from eecompile import api
        >>> api.passes("fold-batchnorm").passes[0].name
        'fold-batchnorm'
    """
    from eecompile.verbs.work.listing import list_passes

    return list_passes(name)
