"""The verb `doctor`: what this machine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eecompile.verbs.work.doctor import Diagnosis


def doctor() -> Diagnosis:
    """Return whether this machine has what eecompile needs.

    Examples:
        >>> from eecompile import api
        >>> api.doctor().healthy
        True
    """
    from eecompile.verbs.work.doctor import examine

    return examine()
