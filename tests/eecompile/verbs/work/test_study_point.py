from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from eecompile.search import point_run
from passes.errors import InputError


def test_all_that_was_told_and_nothing_else_reaches_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(point_run, "run_point", lambda asked, _progress: taken.append(asked))
    api.run(from_study="found", trial=3, out="here", optimistic=False, seed=0)
    assert taken == [point_run.PointAsked(Path("found"), 3, None, {"out": "here", "seed": 0})]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is no network to compile"),
        (["--from-study", "found"], "--from-study found holds many networks"),
        (["--trial", "3"], "without --from-study it changes nothing"),
        (["net.onnx", "--from-study", "found", "--trial", "3"], "--from-study has the network, and net.onnx"),
        (["--from-study", "found", "--trial", "3"], "found holds no finished search"),
    ],
)
def test_what_is_missing_or_too_much_is_said(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, ["run", *arguments])
    assert result.exit_code == 2 and said in result.stderr
    assert not list(tmp_path.iterdir())


def test_the_typed_face_says_what_to_give() -> None:
    with pytest.raises(InputError, match="there is no network") as error:
        api.run()
    assert "`from_study`" in error.value.hint
