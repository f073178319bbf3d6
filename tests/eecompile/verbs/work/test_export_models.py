"""Exports for servers of others are whole, replace earlier ones and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from eecompile.runtime.early_exit_session import EarlyExitSession
from passes.errors import InputError
from tests.eecompile.fabricated_run import write_run
from tests.eecompile.runtime.small_run import write_small_run

PLACES = {"model_repository": "1/run", "ray_serve": "run"}


@pytest.mark.parametrize("form", PLACES)
def test_what_is_written_is_opened_alone(form: str, tmp_path: Path) -> None:
    run, images = write_small_run(tmp_path / "small")
    wanted = EarlyExitSession(run).run(images)
    told = api.export(run, **{form: tmp_path / "out"})
    assert told.model == "small" and told.exits == ("exit_0", "exit_1", "final")
    assert told.folder == (tmp_path / "out" / "small" if form == "model_repository" else tmp_path / "out")
    written = [path.relative_to(told.folder).as_posix() for path in told.folder.rglob("*") if path.is_file()]
    assert sorted(written) == list(told.files)
    run.rename(tmp_path / "gone")
    found = EarlyExitSession(told.folder / PLACES[form]).run(images)
    np.testing.assert_array_equal(found.logits, wanted.logits)


@pytest.mark.parametrize("form", PLACES)
def test_an_earlier_export_is_replaced_whole(form: str, tmp_path: Path) -> None:
    run, _ = write_small_run(tmp_path / "small")
    told = api.export(run, **{form: tmp_path / "out"})
    old = told.folder / PLACES[form] / "stages" / "stage_9.onnx"
    old.write_text("of a run with more exits")
    mine = told.folder / "notes.txt"
    mine.write_text("mine")
    api.export(run, **{form: tmp_path / "out"})
    assert mine.exists() and not old.exists()


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    run, _ = write_small_run(tmp_path / "small")
    with pytest.raises(InputError, match=r"is no export: it has no config\.pbtxt"):
        api.export(run, model_repository=tmp_path)  # the model would be the run itself
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "app.py").write_text("print()")
    with pytest.raises(InputError, match=r"is no export: it has no serve\.yaml"):
        api.export(run, ray_serve=tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["app.py"]
    assert not (run / "1").exists()


def test_a_run_without_images_has_nothing_to_serve(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "summary.json").write_text((run / "summary.json").read_text().replace('"dataset"', '"other"'))
    with pytest.raises(InputError, match="holds costs alone"):
        api.export(run, model_repository=tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_the_command_line_says_what_clients_call_it(tmp_path: Path) -> None:
    run, _ = write_small_run(tmp_path / "small")
    asked = ["export", str(run), "--ray-serve", str(tmp_path / "app")]
    result = CliRunner().invoke(cli.app, asked)
    assert result.exit_code == 0 and "Model 'small', exits exit_0, exit_1, final" in result.stdout
    both = CliRunner().invoke(cli.app, [*asked, "--c"])
    assert both.exit_code == 2 and "told several forms" in both.stderr and "--model-repository" in both.stderr
