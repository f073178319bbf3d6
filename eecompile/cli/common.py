"""What verbs share beside their options: ``--config`` and, where there is progress, ``--quiet``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from eecompile.cli.config import read_config
from eecompile.cli.guard import hushed

CONFIG = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=read_config,
        help="Options from a TOML file, by the names of flags; those given beside it win.",
    ),
]
QUIET = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the answer and errors, nothing on the way.")
]
COMPLETION = "_EECOMPILE_COMPLETE"
"""Variable by which a shell asks for completions."""
SHELLS = ("bash", "zsh", "fish")


def with_common(verb: Callable[..., None], progress: bool) -> Callable[..., None]:
    """Return ``verb`` with the options that all have; with ``progress`` it can be silent."""

    @functools.wraps(verb)
    def whole(*arguments: Any, config: Path | None = None, quiet: bool = False, **named: Any) -> None:
        del config  # read while the command line was
        with hushed(quiet):
            verb(*arguments, **named)

    added: dict[str, Any] = {"config": CONFIG} | ({"quiet": QUIET} if progress else {})
    defaults = {"config": None, "quiet": False}
    keyword = inspect.Parameter.KEYWORD_ONLY
    hints = get_type_hints(verb, include_extras=True) | added  # the parser reads them from the signature
    parameters = [
        *(item.replace(annotation=hints[name]) for name, item in inspect.signature(verb).parameters.items()),
        *(
            inspect.Parameter(name, keyword, default=defaults[name], annotation=kind)
            for name, kind in added.items()
        ),
    ]
    whole.__annotations__ = hints
    whole.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return whole


def show_completion(shell: str | None) -> None:
    """Print the script that lets a shell complete commands; ends the program."""
    if shell is None:
        return
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    from eecompile.cli.guard import complain

    if shell not in SHELLS:
        raise SystemExit(complain(f"--completion {shell}: no such shell", f"known: {', '.join(SHELLS)}", 2))
    print(get_completion_script(prog_name="eecompile", complete_var=COMPLETION, shell=shell))
    raise typer.Exit
