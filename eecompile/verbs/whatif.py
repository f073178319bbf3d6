"""The verb `whatif`: the front of a search on other hardware."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eecompile.verbs.given.lists import numbers_by_path
from eecompile.verbs.progress import Progress, silent
from passes.errors import InputError

if TYPE_CHECKING:
    from eecompile.search.what_if import WhatIf


def whatif(
    study: Path | str,
    settings: Mapping[str, float] | None = None,
    target: str | None = None,
    name: str | None = None,
    cache: Path | str | None = None,
    progress: Progress = silent,
) -> WhatIf:
    """Tell what the front of a search would cost on other hardware, and which exits would move.

    Args:
        study: Folder of the search; ``whatif-NAME.json`` is written there, in the form of ``front.json``,
            and its page, table and picture anew, with the new front laid over.
        settings: Numbers of the hardware by their path: ``{"memories.l1.size_bytes": 65536}``,
            ``{"cores.*.array.operation_energy_pj": 0.2}``.
        target: Another accelerator, or the file of one; that of the search if absent.
        name: Of the file; by what is changed if absent.
        cache: Folder of the cache that the search had; that of the user if absent.
        progress: Called with one line of text per step.

    Raises:
        InputError: No finished search, or numbers that the hardware does not have, or cannot.

    Examples:
        >>> from eecompile import api
        >>> api.whatif("searched", {"cores.digital.active_power_mw": 500}, name="hot", cache="kept")
        <WhatIf: ... points stay on the front; in searched/whatif-hot.json>
    """
    from eecompile.cache.store import MOST_BYTES, usual_folder
    from eecompile.search.shown.files import write_front
    from eecompile.search.what_if import WhatIfAsked, what_if

    asked = WhatIfAsked(
        Path(study),
        numbers_by_path("settings", {} if settings is None else settings),
        target or "",
        usual_folder() if cache is None else Path(cache),
        MOST_BYTES,
        _file_name(name),
    )
    found = what_if(asked, progress)
    write_front(Path(study))
    return found


def _file_name(name: str | None) -> str:
    if name is None:
        return ""
    if not name or any(not (c.isalnum() or c in "-_.") for c in name):
        raise InputError(f"`name` '{name}' is no name of a file", "letters, digits, '-', '_' and '.'")
    return name
