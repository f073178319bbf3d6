"""Pictures are of what a command wrote, at the end or at a moment, and never of a line that is too wide."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tools.pictures import terminal
from tools.pictures.pseudo_terminal import TerminalSession
from tools.pictures.terminal import PROMPT, Scene, main, rows_of, scenes

PIECES = [
    (0.1, "\x1b[?25l⠋ train: 4 heads ━─  20 %  1 s"),
    (0.2, "\r\x1b[2K⠋ train: 4 heads ━─  45 %  2 s"),
    (0.3, "\r\x1b[2K✓ train  4.0 s\r\n\x1b[?25h answer\r\n\r\n"),
]


def text_of(rows: Sequence[Sequence[Any]]) -> list[str]:
    return ["".join(letter for letter, _ in row).rstrip() for row in rows]


def test_the_end_and_a_moment() -> None:
    session = TerminalSession(0, PIECES)
    rows = rows_of(session, 40, Scene("run", ("run", "net.onnx")))
    assert text_of(rows) == ["$ eecompile run net.onnx", "✓ train  4.0 s", " answer"]
    assert {style for _, style in rows[0]} == {PROMPT}
    rows = rows_of(session, 40, Scene("progress", ("run",), share=40))
    assert text_of(rows) == ["$ eecompile run", "⠋ train: 4 heads ━─  45 %  2 s"]


def test_a_moment_that_never_comes_and_lines_that_are_too_wide() -> None:
    with pytest.raises(ValueError, match="no bar ever said that 50 %"):
        rows_of(TerminalSession(0, PIECES), 40, Scene("progress", ("run",), share=50))
    with pytest.raises(ValueError, match="1 lines are wider than 20 columns"):
        rows_of(TerminalSession(0, [(0.0, "x" * 21)]), 20, Scene("cost", ("cost",)))


def test_a_long_prompt_goes_on_below() -> None:
    rows = rows_of(TerminalSession(0, []), 20, Scene("run", ("run", "a" * 20)))
    assert text_of(rows) == ["$ eecompile run aaaa", "a" * 16]


def test_each_scene_has_a_picture_for_each_width(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []

    def run(command: Sequence[str], columns: int, **_: Any) -> TerminalSession:
        seen.append((columns, command[3]))
        return TerminalSession(0, PIECES)

    monkeypatch.setattr(terminal, "on_terminal", run)
    assert main(["--out", str(tmp_path), "--widths", "60", "80"]) == 0
    names = {f"{scene.name}-{width}.svg" for width in (60, 80) for scene in scenes(width)}
    assert {path.name for path in tmp_path.iterdir()} == names and len(names) == 8
    assert "45 %" in (tmp_path / "progress-60.svg").read_text()
    assert "answer" in (tmp_path / "run-80.svg").read_text()
    assert seen.count((60, "run")) == 2 and (80, "cost") in seen


def test_a_command_that_fails_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(terminal, "on_terminal", lambda *_, **__: TerminalSession(2, [(0.0, "error")]))
    assert main(["--out", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())
