"""The packages beside this one: a folder of the user's that is called alike would be taken for them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from eecompile.version import FOLDER

NEIGHBOURS = ("passes", "targets")
BAD_USE = 2
# How the program is called where a message stands alone, without a trace: Python has the first while it looks
# for what to run by `python -m`.
_COMMANDS = ("-m", "eecompile", "eecompile.exe")


def hidden_packages() -> list[tuple[str, Path | None]]:
    """Return the packages that Python would not import from beside this one, and where it finds others."""
    found: list[tuple[str, Path | None]] = []
    for name in NEIGHBOURS:
        try:
            spec = find_spec(name)
        except ImportError:  # somebody lets nobody look: nothing is hidden by that
            continue
        except ValueError:  # somebody put a module there that says nothing of itself
            spec = None
        origin = None if spec is None or spec.origin is None else Path(spec.origin)
        own = FOLDER.parent / name / "__init__.py"
        if origin is None or not origin.exists() or not own.exists() or not origin.samefile(own):
            found.append((name, origin))
    return found


def told(name: str, origin: Path | None) -> tuple[str, str]:
    """Return what is wrong with a package, and the way out."""
    own = FOLDER.parent / name
    if origin is None:
        return (
            f"the package '{name}' of eecompile is not found, and belongs in {own}",
            "install eecompile again",
        )
    place = origin.parent if origin.name == "__init__.py" else origin
    return (
        f"{place} hides the package '{name}' of eecompile, which lies in {own}",
        "start Python in another folder, or with `python -P` where it is the current one; or rename it, or "
        "take its folder off PYTHONPATH",
    )


def check_neighbours() -> None:
    """Refuse to go on with packages of others in place of ours.

    Raises:
        ImportError: With both places, and the way out.
        SystemExit: The same as a message on stderr, where this is the command line.
    """
    for name, origin in hidden_packages():
        message, hint = told(name, origin)
        if Path(sys.argv[0] if sys.argv else "").name in _COMMANDS:
            print(f"error: {message}\n  {hint}", file=sys.stderr)
            raise SystemExit(BAD_USE)
        raise ImportError(f"{message}: {hint}")
