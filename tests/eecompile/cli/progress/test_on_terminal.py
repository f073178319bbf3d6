"""Verbs on a terminal, by their bytes: bars on stderr, the answer on stdout, a terminal left whole."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from eecompile.cli.main import SAYS_PROGRESS, app
from eecompile.run.prepare import Prepared, prepare
from passes.errors import InputError
from passes.progress import StageLine, counting
from tests.eecompile.cli.progress.terminals import Terminal, stderr_is_a_terminal
from tests.eecompile.small_models import write_images, write_skip_net
from tools.pictures.pseudo_terminal import on_terminal

PROGRAM = [sys.executable, "-m", "eecompile"]
WORKS = {
    "run": ["net.onnx"],
    "opt": ["net.onnx", "-p", "canonicalize"],
    "quantize": ["net.onnx", "--data", "digits"],
    "cost": ["net.onnx"],
    "retune": ["run"],
    "search": ["space.toml"],
    "serve": ["run"],
    "simulate": ["run", "--arrivals", "poisson:120", "--slo", "20ms"],
    "split": ["run", "--link", "2Mbit/s", "--rtt", "20ms"],
    "whatif": ["study"],
}


def called(*words: str) -> int:
    """Return the exit code of a command in this process."""
    try:
        app(words, standalone_mode=False)
    except SystemExit as stop:
        assert isinstance(stop.code, int)
        return stop.code
    return 0


def working(*_: Any, progress: Callable[[str], None], **__: Any) -> None:
    progress(StageLine("look"))
    progress(StageLine("train"))
    with counting("epochs", 6) as count:
        for _number in range(5):
            time.sleep(0.05)
            count.add()
    raise InputError("enough")


def test_the_rows_are_all_verbs_that_take_long() -> None:
    assert WORKS.keys() == SAYS_PROGRESS


@pytest.mark.parametrize("verb", sorted(WORKS))
def test_all_verbs_that_take_long_show_one_bar_per_stage(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, verb, working)
    with stderr_is_a_terminal(60) as terminal:
        assert called(verb, *WORKS[verb]) == 2
    first, second, *rest = [line for line in terminal.screen.lines if line]
    assert first.startswith("✓ look  0.0 s") and second.startswith("✗ train  stopped after ")
    assert rest == ["error: enough"]
    assert "train: epochs" in terminal.text and "━" in terminal.text
    assert (terminal.screen.wrapped, terminal.screen.cursor_shown) == (0, True)


@pytest.mark.parametrize("verb", sorted(WORKS))
def test_quiet_verbs_show_nothing(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, verb, working)
    with stderr_is_a_terminal(60) as terminal:
        called(verb, *WORKS[verb], "--quiet")
    assert terminal.text == "error: enough\r\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_skip_net(folder / "net.onnx")
    write_images(folder / "data.npz")
    return folder


def stages(terminal: Terminal) -> list[str]:
    lines = [line for line in terminal.screen.lines if line.startswith("✓ ")]
    return [line.removeprefix("✓ ").rsplit("  ", 1)[0] for line in lines]


REAL = {
    "run": (["--data", "data.npz", "--out", "out", "--exits", "1", "--max-drop", "100"], "train", "head"),
    "quantize": (["--data", "data.npz", "--out", "out"], "sensitivity of each layer", "layers"),
    "cost": ([], "", "costs"),
}


SEARCHED = (["--target", "edge_tpu_quad", "--schedule", "layers"], "", "layers searched for mappings, ")
REAL_ROWS = [*((verb, *row) for verb, row in REAL.items()), ("cost", *SEARCHED)]


def lingering(*given: Any, **named: Any) -> Prepared:
    """Prepare as ever, and take ten pictures' time more: a network this small is costed in less than one."""
    found = prepare(*given, **named)
    time.sleep(0.05)
    return found


@pytest.mark.parametrize(("verb", "options", "stage", "what"), REAL_ROWS)
def test_real_work_has_bars_and_the_answer_alone_is_on_stdout(
    verb: str,
    options: list[str],
    stage: str,
    what: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("eecompile.cli.progress.bars.PER_SECOND", 200)  # so that what is short is seen, too
    monkeypatch.setattr("eecompile.verbs.work.cost.prepare", lingering)
    told = [str(tmp_path) if word == "out" else word for word in options]
    with stderr_is_a_terminal(60) as terminal:
        assert called(verb, "net.onnx", *told, "--json") == 0
    printed = capsys.readouterr()
    json.loads(printed.out)
    assert "\x1b" not in printed.out and printed.err == ""
    assert what in terminal.text and (not stage or stage in stages(terminal))
    assert (terminal.screen.wrapped, terminal.screen.cursor_shown) == (0, True)
    if stage:
        log = (tmp_path / "run.log").read_text().splitlines()
        assert log[0].split("  ", 1)[1].startswith(f"eecompile {verb} net.onnx ")
        said = [line.split(" s  ", 1)[1] for line in log[1:]]
        assert [line for line in said if line in stages(terminal)] == stages(terminal)


def test_ctrl_c_leaves_the_terminal_whole(place: Path) -> None:
    command = [*PROGRAM, "run", "net.onnx", "--data", "data.npz", "--train", "joint", "--epochs", "5000"]
    seen = on_terminal(command, 60, aside=True, folder=place, interrupt=lambda text: "train: " in text)
    terminal = Terminal(60)
    terminal.data = seen.text.encode()
    assert seen.code == 130 and seen.aside == ""
    lines = [line for line in terminal.screen.lines if line and not line.startswith("^C")]
    assert any(line.startswith("✗ train  stopped after ") for line in lines)
    assert lines[-1] == "error: interrupted"
    assert (terminal.screen.wrapped, terminal.screen.cursor_shown) == (0, True)
