from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.forked import Ended, Limits, Task, run_all


def run(folder: Path, task: Callable[[], None], seconds: int = 5) -> Ended:
    [(_, ended)] = run_all([Task("task", folder, task)], Limits(seconds))
    return ended


def say(text: str, code: int) -> None:
    print(text, file=sys.stderr)
    raise SystemExit(code)


@pytest.mark.parametrize(("code", "crashed"), [(0, False), (1, False), (2, False), (3, True), (70, True)])
def test_words_and_exit_code_are_kept(code: int, crashed: bool, tmp_path: Path) -> None:
    ended = run(tmp_path, lambda: say("done so", code))
    assert (ended.code, ended.said, ended.crashed, ended.hung) == (code, "done so\n", crashed, False)


def test_an_error_that_nobody_caught_is_a_crash_with_its_trace(tmp_path: Path) -> None:
    ended = run(tmp_path, lambda: print(1 // 0))
    assert ended.crashed and "ZeroDivisionError" in ended.said


def test_a_trace_is_a_crash_whatever_the_code(tmp_path: Path) -> None:
    assert run(tmp_path, lambda: say("Traceback (most recent call last):", 2)).crashed


def test_a_signal_is_a_crash(tmp_path: Path) -> None:
    ended = run(tmp_path, lambda: os.kill(os.getpid(), signal.SIGSEGV))
    assert (ended.code, ended.crashed) == (-signal.SIGSEGV, True)


def spin() -> None:
    while True:
        pass


def test_what_does_not_end_hangs(tmp_path: Path) -> None:
    ended = run(tmp_path, spin, 1)
    assert (ended.hung, ended.crashed) == (True, False)


def test_what_waits_for_ever_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.forked._WALL_PER_CPU", 1)
    assert run(tmp_path, lambda: time.sleep(1000), 1).hung


def test_memory_is_bounded(tmp_path: Path) -> None:
    ended = run(tmp_path, lambda: print(len(bytearray(1 << 40))))
    assert ended.crashed and "MemoryError" in ended.said


def write(path: str, then: Callable[[Path], object] = Path.stat) -> None:
    place = Path(path)
    place.write_text("x")
    then(place)


def test_writing_to_out_and_to_what_is_gone_afterwards_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("x")

    def task() -> None:
        write("out/a")
        assert Path("given").read_text() == "x"
        tempfile.TemporaryFile().close()
        with tempfile.TemporaryDirectory():
            pass

    ended = run(tmp_path, task)
    assert (ended.outside, ended.code) == ((), 0), ended.said


@pytest.mark.parametrize(
    "task",
    [
        lambda: write("a"),
        lambda: write("out/../a"),
        lambda: write("given", Path.unlink),
        lambda: write("tmp/left"),
        lambda: Path("a").mkdir(),
        lambda: Path("out").rename("a"),
        lambda: Path("a").symlink_to("/"),
        lambda: os.system("echo x > a"),
        lambda: os.system("echo xy > given"),
    ],
    ids=["new", "around", "gone", "left", "folder", "moved", "link", "another_program", "overwritten"],
)
def test_writing_elsewhere_is_told(task: Callable[[], None], tmp_path: Path) -> None:
    (tmp_path / "given").write_text("x")
    assert run(tmp_path, task).outside


def test_writing_outside_the_folder_is_told_with_the_path(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    assert run(own, lambda: write(str(other), Path.unlink)).outside == (str(other),)


def test_tasks_run_side_by_side_and_each_is_told_for_itself(tmp_path: Path) -> None:
    tasks = []
    for index in range(5):
        (tmp_path / str(index)).mkdir()
        tasks.append(Task(str(index), tmp_path / str(index), lambda index=index: say(str(index), index % 3)))  # type: ignore[misc]
    found = {task.name: (ended.said, ended.code) for task, ended in run_all(tasks, Limits(5), jobs=3)}
    assert found == {str(index): (f"{index}\n", index % 3) for index in range(5)}


def test_nothing_is_changed_in_the_process_that_starts_them(tmp_path: Path) -> None:
    before = Path.cwd(), os.environ.get("HOME"), sys.stdout
    run(tmp_path, lambda: None)
    assert (Path.cwd(), os.environ.get("HOME"), sys.stdout) == before
