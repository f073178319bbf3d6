"""What verbs share: they can be silent, and shells complete them."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from eecompile.cli.common import SHELLS
from tests.eecompile.small_models import write_skip_net


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_skip_net(tmp_path / "net.onnx")


def test_verbs_that_have_something_to_say_can_be_silent() -> None:
    saying = {name for name in api.__all__ if "progress" in inspect.signature(getattr(api, name)).parameters}
    assert saying == cli.SAYS_PROGRESS


def test_quiet_leaves_the_answer_and_errors(model: Path, tmp_path: Path) -> None:
    command = ["run", str(model), "--exits", "1", "--out", str(tmp_path / "out")]
    loud, quiet = (CliRunner().invoke(cli.app, [*command, *more]) for more in ([], ["--quiet"]))
    assert "load and cost" in loud.stderr and quiet.stderr == ""
    assert quiet.stdout == loud.stdout != ""
    wrong = CliRunner().invoke(cli.app, ["cost", str(model), "--target", "dianna", "-q"])
    assert wrong.exit_code == 2 and wrong.stderr.startswith("error: unknown target 'dianna'")
    again = CliRunner().invoke(cli.app, command)
    assert "load and cost" in again.stderr, "it is silent once"


def test_where_nothing_is_said_there_is_no_such_flag() -> None:
    assert CliRunner().invoke(cli.app, ["targets", "--quiet"]).exit_code == 2


def eecompile(*arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "eecompile", *arguments],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_is_given_a_script_and_asks_as_that_does(shell: str, tmp_path: Path) -> None:
    script = CliRunner().invoke(cli.app, ["--completion", shell]).stdout
    assert f"_EECOMPILE_COMPLETE=complete_{shell}" in script and "eecompile" in script
    if shutil.which(shell) is not None:
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)
    asked = {"COMP_WORDS": "eecompile co", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "eecompile co"}
    answer = eecompile(
        _EECOMPILE_COMPLETE=f"complete_{shell}", _TYPER_COMPLETE_FISH_ACTION="get-args", **asked
    )
    assert "cost" in answer and "compare" in answer and "targets" not in answer


def test_flags_of_a_verb_are_completed() -> None:
    answer = eecompile(_EECOMPILE_COMPLETE="complete_bash", COMP_WORDS="eecompile cost --sch", COMP_CWORD="2")
    assert answer.split() == ["--schedule"]


def test_another_shell_is_refused() -> None:
    result = CliRunner().invoke(cli.app, ["--completion", "tcsh"])
    assert (
        result.exit_code == 2
        and "--completion tcsh: no such shell\n  known: bash, zsh, fish" in result.stderr
    )
