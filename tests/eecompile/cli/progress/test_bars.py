"""One line per bar at any width, and a terminal that is left as it was."""

from __future__ import annotations

import re
import time

import pytest
from rich.cells import cell_len
from rich.console import Console

from eecompile.cli.progress.bars import PLAIN_SIGNS, Bars, bar, of_the_bar
from passes.progress import Count, DetailLine, StageLine, counting, watching
from tests.eecompile.cli.progress.terminals import stderr_is_a_terminal

HEADS, INNER = Count("3 heads", 200, 90), Count("epochs", 4, 1)


@pytest.mark.parametrize(
    ("counts", "left", "width", "line"),
    [
        ([HEADS], 12.2, 59, "* train: 3 heads ━━━━━━━─────────  45 %  1 min 3 s, 12 s left"),
        ([HEADS], None, 59, "* train: 3 heads ━━━━━━━━━━━──────────────  45 %  1 min 3 s"),
        ([], None, 59, "* train 1 min 3 s"),
        ([Count("layers", None, 7)], None, 59, "* train: layers, 7 1 min 3 s"),
        ([HEADS, INNER], 12.2, 70, "* train: 3 heads (epochs 25 %) ━━━━━━─────  45 %  1 min 3 s, 12 s left"),
        ([HEADS, INNER], 12.2, 59, "* train: 3 heads ━━━━━━━─────────  45 %  1 min 3 s, 12 s left"),
        ([HEADS], 12.2, 44, "* train ━━━━━━━━━─────────  45 %  1 min 3 s, 12 s left"),
        ([Count("x", 4, 9)], 0.0, 45, "* train: x ━━━━━━ 100 %  1 min 3 s, 0 s left"),
    ],
)  # fmt: skip
def test_a_bar_says_what_how_much_and_how_long(
    counts: list[Count], left: float | None, width: int, line: str
) -> None:
    found = bar("*", "train", counts, 63.0, left, width).plain
    assert cell_len(found) <= width
    assert " ".join(found.split()).replace("━", "").replace("─", "") == " ".join(
        line.split()
    ).replace("━", "").replace("─", "")  # fmt: skip
    full, empty = found.count("━"), found.count("─")
    if counts and counts[0].total:
        assert full == int(min(1.0, counts[0].done / counts[0].total) * (full + empty))
        assert full + empty >= 6


@pytest.mark.parametrize("width", range(24, 121))
def test_no_bar_is_longer_than_the_terminal_is_wide(width: int) -> None:
    counts = [Count("exact schedule of a network with a long name 画像", 10, 3), Count("inner", 3)]
    found = bar("*", "cost by other models of the chip", counts, 4000.0, 70000.0, width, PLAIN_SIGNS).plain
    assert cell_len(found) <= width and found.isprintable()
    if width >= 59:
        assert found.endswith("30 %  1 h 6 min, 19 h 26 min left")


def test_the_bar_is_of_the_outermost_count_whose_length_is_known() -> None:
    endless, known, inner = Count("layers", None), Count("images", 3), Count("steps", 5)
    assert of_the_bar([endless, known, inner]) == (known, inner)
    assert of_the_bar([endless]) == (endless,)
    assert of_the_bar([]) == ()


def work(bars: Bars) -> None:
    bars.say(StageLine("load"))
    bars.say("a note that stays")
    time.sleep(0.2)
    bars.say(StageLine("train"))
    with counting("epochs", 8) as count:
        for number in range(8):
            bars.say(DetailLine(f"epoch {number}"))
            count.add()
            time.sleep(0.06)


@pytest.mark.parametrize("columns", [40, 60, 80, 140])
def test_stages_stay_as_lines_and_bars_go(columns: int) -> None:
    with (
        stderr_is_a_terminal(columns) as terminal,
        watching() as counts,
        Bars(Console(stderr=True), counts) as bars,
    ):
        work(bars)
    lines = [line for line in terminal.screen.lines if line]
    assert [line.rsplit(maxsplit=2)[0] for line in lines if "✓" in line] == ["✓ load", "✓ train"]
    assert lines[1] == "  · a note that stays" and len(lines) == 3
    assert terminal.screen.lines[-2:] == ["", ""], "the answer comes below a blank line"
    assert terminal.screen.wrapped == 0 and terminal.screen.cursor_shown
    assert "train: epochs" in terminal.text and "━" in terminal.text, "there was a bar on the way"
    assert "epoch 3" not in terminal.text, "the bar says that"


def test_what_is_interrupted_says_so_and_leaves_the_terminal_whole() -> None:
    with (
        stderr_is_a_terminal(60) as terminal,
        watching() as counts,
        pytest.raises(KeyboardInterrupt),
        Bars(Console(stderr=True), counts) as bars,
    ):
        bars.say(StageLine("train"))
        time.sleep(0.3)
        raise KeyboardInterrupt
    lines = [line for line in terminal.screen.lines if line]
    assert len(lines) == 1 and lines[0].startswith("✗ train  stopped after 0.")
    assert terminal.text.count("\x1b[?25l") == terminal.text.count("\x1b[?25h") == 1
    assert terminal.screen.cursor_shown and terminal.text.endswith("\x1b[2K"), "the bar is wiped"


def test_signs_are_plain_where_the_terminal_has_no_others() -> None:
    with stderr_is_a_terminal(60) as terminal, watching() as counts:
        console = Console(stderr=True)
        assert isinstance(console.file, object)
        console.file.reconfigure(encoding="ascii")  # type: ignore[attr-defined]
        with Bars(console, counts) as bars:
            work(bars)
    assert terminal.data.isascii() and "#" in terminal.text
    assert any(line.startswith("+ train  ") for line in terminal.screen.lines)


def test_notes_stand_below_their_stage_of_one_that_talks_they_come_as_they_are() -> None:
    long = "what is longer than a line of the terminal, and goes on below"
    with (
        stderr_is_a_terminal(40) as terminal,
        watching() as counts,
        Bars(Console(stderr=True), counts) as bars,
    ):
        bars.say("before all stages")
        bars.say(StageLine("quiet"))
        bars.say(long)
        time.sleep(0.2)
        bars.say(StageLine("talks"))
        for number in range(5):
            bars.say(f"note {number}")
        bars.say(StageLine("quiet again"))
        bars.say("last")
    lines = [re.sub(r"  \d.*", "", line) for line in terminal.screen.lines if line]
    assert lines == [
        "  · before all stages", "✓ quiet", "  · what is longer than a line of the",
        "  terminal, and goes on below",
        *(f"  · note {number}" for number in range(5)), "✓ talks", "✓ quiet again", "  · last",
    ]  # fmt: skip
    assert terminal.screen.wrapped == 0
