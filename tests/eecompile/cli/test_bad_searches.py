"""What goes wrong in a search, tried as a user would: clear errors, and nothing lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("optuna", reason="a search needs the extra 'search'")

from eecompile.cli import main as cli
from eecompile.search.study.storage import open_storage
from passes.model.writing import save
from tests.eecompile.search.small import SPACE, write_images

SMALL = SPACE.replace("[2, 4]", "2").replace("finalists = 2", "finalists = 1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images that the user is in."""
    write_images(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def searched(space: str, *more: str) -> tuple[int, str, str]:
    """Search a space into ``out``; return the exit code and what was told."""
    Path("space.toml").write_text(space)
    told = ["search", "space.toml", "-d", "images.npz", "--cache", "cache", "--out", "out", *more]
    result = CliRunner().invoke(cli.app, told, env={"COLUMNS": "200"})
    return (
        result.exit_code,
        result.stdout,
        "\n".join(
            line for line in result.stderr.splitlines() if not line.startswith("  ") or " s  " not in line
        ),
    )


def why(trial: int) -> dict[str, Any]:
    result = CliRunner().invoke(cli.app, ["why", "out", "--trial", str(trial), "--json"])
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_impossible_constraints_are_told_with_what_comes_nearest(folder: Path) -> None:  # noqa: ARG001
    limits = "[constraints]\nmin_accuracy = 0.999\nmax_macs = 9000\n"
    code, out, _ = searched(SPACE + limits, "--trials", "2")
    assert code == 1
    front = json.loads(Path("out/front.json").read_text())
    nearest = front["nearest"]["trial"]
    assert f"The nearest is trial {nearest}, which breaks" in out and "asked" in out
    assert f"eecompile why out --trial {nearest}" in out
    narrow = next(t for t in (0, 1) if "width=2" in why(t)["design"])
    assert nearest == narrow, "it has fewer MACs, and neither is accurate enough"
    told = {item["constraint"]: item for item in why(nearest)["reasons"]}
    assert told["min_accuracy"]["asked"] == 0.999 > told["min_accuracy"]["reached"] > 1 / 3
    assert all(f"{item['reached']:.4g} at best" in out for item in told.values())
    assert len(why(nearest)["levers"]) == len(told)


def test_designs_that_the_target_cannot_run_fail_alone(folder: Path) -> None:  # noqa: ARG001
    """Also where they are a corner of the space."""
    space = SMALL.replace("stages = 2", "stages = 2\nkernel = [3, 5]")
    code, _, _ = searched(space, "--trials", "2", "-t", "max78000")
    assert code == 0
    front = json.loads(Path("out/front.json").read_text())
    assert front["points"] and 0 < front["hypervolume"] <= 1 and front["nearest"] is None
    found = {state["state"]: state for state in map(why, (0, 1))}
    assert found.keys() == {"failed", "feasible"}
    assert "cannot be placed on max78000" in found["failed"]["reasons"][0]["what"]
    assert any("use 3x3 kernels" in lever for lever in found["failed"]["levers"])
    assert found["feasible"]["reasons"] == [] == found["feasible"]["levers"]


def test_a_space_that_the_target_cannot_run_at_all(folder: Path) -> None:
    code, _, err = searched(SMALL.replace("stages = 2", "stages = 2\nkernel = 5"), "-t", "max78000")
    assert code == 1 and "cannot be placed on max78000" in err
    assert not (folder / "out").exists()


def write_plain(folder: Path) -> None:
    """Write a network in which nothing can have an exit."""
    x, f, y = (gs.Variable(n, np.float32, s) for n, s in (("x", (1, 1, 8, 8)), ("f", (1, 64)), ("y", (1, 3))))
    weights = gs.Constant("w", np.ones((64, 3), np.float32)), gs.Constant("b", np.zeros(3, np.float32))
    nodes = [
        gs.Node("Flatten", "flat", inputs=[x], outputs=[f]),
        gs.Node("Gemm", "fc", inputs=[f, *weights], outputs=[y]),
    ]
    save(gs.Graph(nodes, [x], [y], opset=21), folder / "plain.onnx")


@pytest.mark.parametrize(
    ("space", "more", "said"),
    [
        ("", (), "backbone: is missing"),
        (SPACE.replace("[2, 4]", "[]"), (), "backbone.width: is empty: there is nothing to choose"),
        ('[backbone]\nfile = "plain.onnx"\n', (), "has no tensor an exit could read"),
        (SMALL, ("--storage", "sqlite:////nowhere/s.db"), "does not answer"),
        (SMALL, ("--storage", "journal:/nowhere/at/all"), "cannot be opened"),
        (SMALL, ("--storage", "nonsense"), "is no storage of a study"),
    ],
)
def test_what_cannot_begin_says_why_and_leaves_nothing(
    folder: Path, space: str, more: tuple[str, ...], said: str
) -> None:
    write_plain(folder)
    code, _, err = searched(space, *more)
    assert code == 2 and said in err and "Traceback" not in err
    assert not (folder / "out").exists()


def test_a_study_of_another_version_is_refused_and_stays(folder: Path) -> None:
    assert searched(SMALL, "--trials", "1")[0] == 0
    front = (folder / "out" / "front.json").read_bytes()
    storage = open_storage(f"sqlite:///{folder / 'out' / 'study.db'}")
    (study,) = storage.get_all_studies()
    storage.set_study_user_attr(study._study_id, "form", 0)
    code, _, err = searched(SMALL, "--trials", "1", "--resume")
    assert code == 2 and "was made by another version of eecompile" in err
    assert "go on with that one" in err and (folder / "out" / "front.json").read_bytes() == front


def test_entries_of_the_cache_that_were_cut_short_are_made_again(folder: Path) -> None:
    assert searched(SMALL, "--trials", "1")[0] == 0
    front = (folder / "out" / "front.json").read_bytes()
    entries = list((folder / "cache").rglob("*.entry"))
    assert len(entries) > 3
    for path in entries:
        path.write_bytes(path.read_bytes()[:-7])
    code, _, err = searched(SMALL, "--trials", "1", "--resume")
    assert code == 0 and "error" not in err
    assert (folder / "out" / "front.json").read_bytes() == front
