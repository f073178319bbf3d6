"""From exceptions to messages and exit codes, and progress on stderr."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import ParamSpec

from eecompile.cli.flags import flags_in_use, with_flags
from eecompile.version import version
from passes.errors import EecompileError
from passes.progress import watching

P = ParamSpec("P")
BAD_USE = 2
INTERNAL_ERROR = 70
INTERRUPTED = 130
_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


def guarded(function: Callable[P, None]) -> Callable[P, None]:
    """Return ``function`` so that what it raises becomes a message on stderr and an exit code."""

    @functools.wraps(function)
    def safe(*args: P.args, **kwargs: P.kwargs) -> None:
        with flags_in_use(function):
            checked(*args, **kwargs)

    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
            sys.stdout.flush()  # a full disk shows here, not when the interpreter ends
        except EecompileError as error:
            raise SystemExit(complain(error.message, error.hint, error.exit_code)) from None
        except KeyboardInterrupt:
            raise SystemExit(complain("interrupted", "", INTERRUPTED)) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # `| head` closed the pipe: typer ends quietly
                raise
            raise SystemExit(_disk_error(error)) from None
        except Exception:  # whatever is left is our fault, and is told so with its trace
            raise SystemExit(_internal_error()) from None

    return safe


def complain(message: str, hint: str, code: int) -> int:
    """Print an error on stderr: what and where, then what to do; returns ``code``."""
    from eecompile.wording.quantities import printable

    print(f"error: {printable(with_flags(message))}", file=sys.stderr)
    for line in hint.splitlines():
        print(f"  {printable(with_flags(line))}", file=sys.stderr)
    return code


def _disk_error(error: OSError) -> int:
    if error.errno != errno.ENOSPC:
        return _internal_error()
    where = f": {error.filename}" if error.filename else ""
    if not error.filename:
        _give_up_stdout()
    return complain(f"the disk is full{where}", "free some space or choose another --out", BAD_USE)


def _give_up_stdout() -> None:
    """Keep the interpreter from writing again, at its end, what could not be written."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _internal_error() -> int:
    import traceback

    traceback.print_exc()
    hint = (
        "This is a bug in eecompile, not in your input. Please report it with the trace above,\n"
        f"the command you gave, and the output of `eecompile doctor` (version {version()})."
    )
    return complain("internal error", hint, INTERNAL_ERROR)


@contextlib.contextmanager
def hushed(quiet: bool) -> Iterator[None]:
    """Let :func:`shown_progress` say nothing, if ``quiet``."""
    token = _QUIET.set(quiet)
    try:
        yield
    finally:
        _QUIET.reset(token)


@contextlib.contextmanager
def shown_progress() -> Iterator[Callable[[str], None]]:
    """Yield what shows lines of progress on stderr: bars on a terminal, else lines; nothing if hushed.

    Within the block nothing else is printed; after it no bar is left.
    """
    if _QUIET.get():
        yield lambda _: None
    elif sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("", "dumb", "unknown"):
        from rich.console import Console

        from eecompile.cli.progress.bars import Bars

        terminal = Console(stderr=True, markup=False, highlight=False, emoji=False)
        with watching() as counts, Bars(terminal, counts, _worded) as bars:
            yield bars.say
    else:
        yield _timed()


def _worded(text: str) -> str:
    from eecompile.wording.quantities import printable

    return printable(with_flags(text))


def _timed() -> Callable[[str], None]:
    """Return a function that prints a line on stderr with the seconds since now."""
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:7.1f} s  {_worded(text)}", file=sys.stderr, flush=True)

    return say
