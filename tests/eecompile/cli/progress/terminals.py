"""A terminal that stands for stderr in this process."""

from __future__ import annotations

import os
import pty
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tools.pictures.screen import Screen


class Terminal:
    """What was written to it so far."""

    def __init__(self, columns: int) -> None:
        self.columns, self.data = columns, b""

    @property
    def text(self) -> str:
        return self.data.decode()

    @property
    def screen(self) -> Screen:
        screen = Screen(self.columns)
        screen.feed(self.text)
        return screen


@contextmanager
def stderr_is_a_terminal(columns: int) -> Iterator[Terminal]:
    """Let stderr be a pseudo terminal within the block; after it all that was written is there."""
    terminal, (master, slave) = Terminal(columns), pty.openpty()

    def read() -> None:
        while True:
            try:
                terminal.data += os.read(master, 65536)
            except OSError:  # the other end is closed
                return

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    stream = os.fdopen(slave, "w", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        patched.setenv("COLUMNS", str(columns))
        patched.setenv("TERM", "xterm-256color")
        patched.delenv("NO_COLOR", raising=False)
        try:
            yield terminal
        finally:
            stream.close()
            thread.join(timeout=10)
            os.close(master)
