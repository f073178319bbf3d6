from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from tests.eecompile.search.small import SPACE, question


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": "80"})
    return result.exit_code, result.stdout, result.stderr


def test_a_search_from_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    pytest.importorskip("optuna", reason="a search needs the extra 'search'")
    asked = question(tmp_path, SPACE + "[constraints]\nmax_macs = 1000\n")
    options = ("--data", asked.data, "--cache", asked.cache, "--out", tmp_path / "out", "--trials", "1")
    code, out, _ = call("search", asked.space, *options, "--dry-run")
    assert code == 0 and "smallest resnet" in out and not (tmp_path / "out").exists()
    code, out, err = call("search", asked.space, *options)
    assert code == 1 and "No network keeps all constraints." in out
    assert f"eecompile why {tmp_path}" in out.replace("\n", "") and "trial 0 (1 of 1)" in err
    code, out, _ = call("why", tmp_path / "out", "--trial", "0")
    assert code == 0 and "max_macs" in out and "1000 asked" in out
    code, out, _ = call("front", tmp_path / "out", "--csv", tmp_path / "told.csv")
    assert code == 0 and "no network keeps all constraints" in out and (tmp_path / "told.csv").exists()
    code, out, _ = call("search", asked.space, *options, "--resume", "--json")
    assert code == 1 and json.loads(out)["points"] == []
    code, out, _ = call("cache", "--cache", asked.cache, "--keep", "0")
    assert code == 0 and "entries removed" in out and "0 entries" in " ".join(out.split())


@pytest.mark.parametrize(("more", "said"), [((), "with --resume goes on"), (("--dry-run",), "")])
def test_who_interrupts_a_search_is_told_how_it_goes_on(
    more: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "search", stop)
    code, _, err = call("search", "space.toml", "--data", "digits", *more)
    assert code == 130 and err.startswith("error: interrupted\n")
    assert (said in err) if said else err == "error: interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "none.toml", "-d", "digits"), "none.toml"),
        (("why", "nowhere", "--trial", "0"), "nowhere holds no search"),
        (("cache", "--keep", "lots"), "'lots' is no size"),
        (("front", "nowhere"), "nowhere holds no finished search"),
    ],
)
def test_errors_are_one_message(arguments: tuple[str, ...], said: str) -> None:
    code, _, err = call(*arguments)
    assert code == 2 and said in err and "Traceback" not in err
