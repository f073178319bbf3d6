"""Parameters as the command line calls them: lower floors name `parameters`, users know --flags."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, get_type_hints

from typer.models import OptionInfo

_IN_USE: ContextVar[Mapping[str, str]] = ContextVar("flags", default={})  # noqa: B039 - never changed
_NAMED = re.compile(r"`([a-z][a-z0-9_]*)`")


def flags_of(verb: Callable[..., Any]) -> dict[str, str]:
    """Return parameter -> flag for the options of a verb."""
    hints = get_type_hints(verb, include_extras=True)
    flags = {}
    for name in inspect.signature(verb).parameters:
        for info in getattr(hints[name], "__metadata__", ()):
            if isinstance(info, OptionInfo):
                declared = (
                    info.default,
                    *(info.param_decls or ()),
                )  # in Annotated the first counts as default
                long = [text for text in declared if isinstance(text, str) and text.startswith("--")]
                flags[name] = long[0] if long else f"--{name.replace('_', '-')}"
    return flags


@contextmanager
def flags_in_use(verb: Callable[..., Any]) -> Iterator[None]:
    """Let :func:`with_flags` speak of the options of ``verb``."""
    token = _IN_USE.set(flags_of(verb))
    try:
        yield
    finally:
        _IN_USE.reset(token)


def with_flags(text: str) -> str:
    """Return ``text`` with each `parameter` of the verb in use as its flag; other backticks stay."""
    flags = _IN_USE.get()
    return _NAMED.sub(lambda found: flags.get(found[1], found[0]), text)
