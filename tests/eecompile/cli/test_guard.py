from __future__ import annotations

import errno
import io
import sys

import pytest

from eecompile.cli.guard import complain, guarded, hushed, shown_progress
from passes.errors import InputError, NoSolutionError, PassError
from passes.progress import StageLine
from tests.eecompile.cli.progress.terminals import stderr_is_a_terminal


def outcome(error: BaseException | None, capsys: pytest.CaptureFixture[str]) -> tuple[int | None, str, str]:
    """Return exit code (None for none), stdout and stderr of a guarded function that raises ``error``."""

    @guarded
    def function(word: str, times: int = 1) -> None:
        print(word * times)
        if error is not None:
            raise error

    code: object = None
    try:
        function("out", times=2)
    except SystemExit as stop:
        code = stop.code
        assert stop.__suppress_context__, "the interpreter must not print the trace again"
    assert code is None or isinstance(code, int)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_without_an_error_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(None, capsys) == (None, "outout\n", "")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("no such file: x", "check it"), 2, "error: no such file: x\n  check it\n"),
        (
            PassError("cannot run", "first this\nthen that"),
            2,
            "error: cannot run\n  first this\n  then that\n",
        ),
        (NoSolutionError("no core takes it"), 1, "error: no core takes it\n"),
        (InputError("'\x1b[31mred'", "\x07"), 2, "error: '\\x1b[31mred'\n  \\x07\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left", "/out/file"),
            2,
            "error: the disk is full: /out/file\n  free some space or choose another --out\n",
        ),
    ],
)
def test_a_users_error_is_a_message(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(error, capsys) == (code, "outout\n", said)


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("ours"), OSError(errno.EIO, "ours"), MemoryError("ours"), TypeError("ours")]
)
def test_our_error_is_traced_and_asks_for_a_report(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = outcome(error, capsys)
    assert code == 70
    assert said.startswith("Traceback (most recent call last):\n")
    assert f"{type(error).__name__}: " in said and "raise error" in said
    assert "error: internal error\n  This is a bug in eecompile" in said


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "gone"), SystemExit(1), GeneratorExit()])
def test_what_is_no_error_of_ours_passes(error: BaseException) -> None:
    @guarded
    def function() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        function()
    assert caught.value is error


def test_stdout_that_cannot_be_flushed_is_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    guarded_print = guarded(lambda: print("answer"))
    with pytest.raises(SystemExit) as caught:
        guarded_print()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: the disk is full\n")


def test_name_and_text_of_a_verb_stay() -> None:
    @guarded
    def verb(model: str) -> None:
        """Do it."""

    assert (verb.__name__, verb.__doc__) == ("verb", "Do it.")


def test_complain_returns_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert complain("what", "", 7) == 7
    assert capsys.readouterr().err == "error: what\n"


def test_in_a_pipe_progress_is_lines_with_the_seconds_since_its_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with shown_progress() as say:
        for seconds, text in ((100.04, StageLine("load")), (223.46, "\x1b[2Jtrain")):
            now[0] = seconds
            say(text)
    assert capsys.readouterr() == ("", "    0.0 s  load\n  123.5 s  \\x1b[2Jtrain\n")


def test_on_a_terminal_progress_is_bars() -> None:
    with stderr_is_a_terminal(60) as terminal, shown_progress() as say:
        say(StageLine("\x1b[2Jload"))
    assert terminal.screen.lines[0].startswith("✓ \\x1b[2Jload  0.")


@pytest.mark.parametrize(
    ("quiet", "term", "said"), [(True, "xterm", ""), (False, "dumb", "    0.0 s  load\r\n")]
)
def test_quiet_and_terminals_that_cannot(
    quiet: bool, term: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stderr_is_a_terminal(60) as terminal, hushed(quiet):
        monkeypatch.setenv("TERM", term)
        with shown_progress() as say:
            say(StageLine("load"))
    assert terminal.text == said
