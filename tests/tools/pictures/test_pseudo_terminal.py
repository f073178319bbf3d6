"""A command on a pseudo terminal sees a terminal, of the width it was given."""

from __future__ import annotations

import sys

from tools.pictures.pseudo_terminal import on_terminal

SAYS = "import os, sys; print(os.get_terminal_size(2).columns, sys.stdout.isatty(), sys.stderr.isatty())"
WAITS = """
import time
try:
    print("ready", flush=True)
    for _ in range(1200):  # a signal that comes just before a sleep is seen behind it
        time.sleep(0.05)
except KeyboardInterrupt:
    print("interrupted")
    raise SystemExit(130)
"""


def test_it_is_a_terminal_of_that_width() -> None:
    seen = on_terminal([sys.executable, "-c", SAYS], 73)
    assert (seen.code, seen.text, seen.aside) == (0, "73 True True\r\n", "")


def test_stdout_goes_aside() -> None:
    seen = on_terminal([sys.executable, "-c", f"{SAYS}; print('é', file=sys.stderr)"], 61, aside=True)
    assert (seen.text, seen.aside) == ("é\r\n", "61 False True\n")


def test_ctrl_c_is_pressed_once_it_is_time() -> None:
    seen = on_terminal([sys.executable, "-c", WAITS], 80, interrupt=lambda text: "ready\r\n" in text)
    assert seen.code == 130
    assert seen.text == "ready\r\ninterrupted\r\n"
    assert seen.pieces[-1][0] < 30
