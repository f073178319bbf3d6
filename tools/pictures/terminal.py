"""Pictures of what verbs show on terminals of 60, 80 and 140 columns: the real output, run on the digits.

``python -m tools.pictures.terminal`` writes them to ``docs/pictures``; it takes some minutes.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eecompile.cache.store import VARIABLE
from tools.pictures.pseudo_terminal import TerminalSession, on_terminal
from tools.pictures.screen import Cell, Screen, Style
from tools.pictures.svg import picture

ROOT = Path(__file__).parents[2]
WIDTHS = (60, 80, 140)
PROMPT = Style(2, bold=True)


@dataclass(frozen=True)
class Scene:
    """A command and the moment it is looked at.

    Attributes:
        name: Of its pictures; empty: it is only run.
        words: The command line, without the program.
        share: How much of the heads is trained at the moment, in per cent; ``None``: the end.
    """

    name: str
    words: Sequence[str]
    share: int | None = None


DIGITS = ("examples/digits_resnet.onnx", "--data", "digits")
BEFORE = (
    Scene("", ("run", *DIGITS, "--out", "runs/one-exit", "--exits", "relu_4")),
    Scene("", ("run", *DIGITS, "--out", "runs/gap9", "--target", "gap9")),
)


def scenes(width: int) -> tuple[Scene, ...]:
    """Return the scenes of a width, in the order they run; each width trains for itself."""
    run = ("run", *DIGITS, "--out", "runs/digits", "--cache", f"cache-{width}")
    return (
        Scene("progress", run, share=40),
        Scene("run", run),
        Scene("compare", ("compare", "runs/digits", "runs/one-exit", "runs/gap9")),
        Scene("cost", ("cost", "examples/digits_resnet.onnx", "--exits", "2")),
    )


def rows_of(session: TerminalSession, width: int, scene: Scene) -> list[list[Cell]]:
    """Return what stands on the screen below its prompt.

    Raises:
        ValueError: The moment never came, or a line was wider than the terminal.
    """
    screen = Screen(width)
    said = f"$ eecompile {' '.join(scene.words)}"
    parts = [said[start : start + width] for start in range(0, len(said), width)]
    for part in parts:
        screen.feed(f"{part}\r\n")
    for _, text in session.pieces:
        screen.feed(text)
        if scene.share is not None and any(_share(line) >= scene.share for line in screen.lines):
            break
    else:
        if scene.share is not None:
            raise ValueError(f"no bar ever said that {scene.share} % of the heads are trained")
    if screen.wrapped:
        raise ValueError(f"{screen.wrapped} lines are wider than {width} columns")
    rows = screen.rows
    for row in rows[: len(parts)]:
        row[:] = [(letter, PROMPT) for letter, _ in row]
    while rows and not "".join(letter for letter, _ in rows[-1]).strip():
        rows.pop()
    return rows


def _share(line: str) -> int:
    """Return how many per cent of the heads a line says are trained; -1 where it says nothing of them."""
    found = re.search(r"heads .* (\d+) %", line)
    return int(found[1]) if found else -1


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures; return 0, or the exit code of a command that failed."""
    parser = argparse.ArgumentParser(description="Pictures of terminals.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    told = parser.parse_args(arguments)
    told.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "examples").symlink_to(ROOT / "examples")
        for width, some in ((80, BEFORE), *((width, scenes(width)) for width in told.widths)):
            for scene in some:
                command = [sys.executable, "-m", "eecompile", *scene.words]
                variables = {"PYTHONPATH": str(ROOT), VARIABLE: str(Path(place) / "cache")}
                session = on_terminal(command, width, folder=Path(place), environment=variables)
                if session.code:
                    print(session.text)
                    return session.code
                if scene.name:
                    path = told.out / f"{scene.name}-{width}.svg"
                    path.write_text(picture(rows_of(session, width, scene), width))
                    print(f"{path}: {path.stat().st_size / 1024:.1f} KiB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
