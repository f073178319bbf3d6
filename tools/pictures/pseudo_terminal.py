"""Commands run on a terminal that a program reads."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import signal
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TERMINAL = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
_ROWS = 50


@dataclass
class TerminalSession:
    """What a command wrote to its terminal.

    Attributes:
        code: Its exit code.
        pieces: Seconds since its start, and what it wrote then.
        aside: What it wrote to stdout, where that was no terminal.
    """

    code: int = 0
    pieces: list[tuple[float, str]] = field(default_factory=list)
    aside: str = ""

    @property
    def text(self) -> str:
        """All that it wrote to the terminal."""
        return "".join(text for _, text in self.pieces)


def on_terminal(
    command: Sequence[str],
    columns: int,
    *,
    aside: bool = False,
    interrupt: Callable[[str], bool] = lambda _: False,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> TerminalSession:
    """Run a command on a terminal of so many columns.

    Args:
        command: Program and arguments.
        columns: Of the terminal.
        aside: stdout is a file, not the terminal.
        interrupt: Given all that was written so far; once it says so, Ctrl-C is pressed.
        environment: Variables beside those of this process.
        folder: Where it runs.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    known = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
    }
    seen, decoder = TerminalSession(), codecs.getincrementaldecoder("utf-8")()
    with tempfile.TemporaryFile() as file:
        start, pressed = time.monotonic(), False
        process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=file if aside else slave,
            stderr=slave,
            cwd=folder,
            env={**known, **TERMINAL, **(environment or {})},
            start_new_session=True,
        )
        os.close(slave)
        try:
            while data := _read(master):
                seen.pieces.append((time.monotonic() - start, decoder.decode(data)))
                if not pressed and interrupt(seen.text):
                    process.send_signal(signal.SIGINT)
                    pressed = True
            seen.code = process.wait()
        finally:
            process.kill()
            process.wait()
            os.close(master)
        file.seek(0)
        seen.aside = file.read().decode()
    return seen


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # the other end is closed
        return b""
