"""A search on an accelerator that a file describes: its file, its cache, and what is asked of it later."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("optuna", reason="a search needs the extra 'search'")

from eecompile import api
from eecompile.run.accelerator import open_target
from eecompile.search.point_run import PointAsked, run_point
from eecompile.search.searching import SearchOptions, read_front, search, target_of
from eecompile.search.worth.evaluation import DesignEvaluation, Question
from passes.errors import InputError
from targets.description.architecture import Architecture
from tests.eecompile.search.small import SPACE, question
from tests.targets.small_arch import small_text

ENERGY = "cores.mac_array_0.array.operation_energy_pj"
ONE = SPACE.replace("width = [2, 4]", "width = 2").replace("finalists = 2", "finalists = 1")
ONE = ONE.replace('heads = ["linear", "mlp"]', 'heads = "linear"').replace("epochs = 3", "epochs = 2")
CLOCK = "operating_points: [{name: only, clock_hz: {value: 1.0e+8, known: placeholder, source: t}}]\n"


def arch_of(path: Path | str) -> Architecture:
    return open_target(str(path), "", None)[0].arch


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Question:
    """A search, which is made once; its file and its data lie beside it."""
    folder = tmp_path_factory.mktemp("described")
    (folder / "mine.yaml").write_text(small_text())
    told = question(folder, ONE, target=str(folder / "mine.yaml"))
    search(SearchOptions(told, 1, folder / "out"), lambda _: None)
    return told


@pytest.fixture
def study(asked: Question) -> Path:
    return asked.space.parent / "out"


def moved(asked: Question, *settings: str, **others: Any) -> dict[str, Any]:
    told = {path: float(value) for path, _, value in (text.partition("=") for text in settings)}
    return api.whatif(asked.space.parent / "out", told, cache=asked.cache, **others).document


def test_the_accelerator_is_kept_with_the_search(asked: Question, study: Path) -> None:
    front = read_front(study)
    assert front["target"] == "small" and front["points"] and target_of(study, front) != asked.target
    assert arch_of(target_of(study, front)) == arch_of(asked.target)
    schemes = {name for point in front["points"] for name in point["integers"]["schemes"]}
    assert schemes == {"int8-channel"}


def test_what_the_file_says_counts_not_where_it_lies(asked: Question, tmp_path: Path) -> None:
    copy, other = tmp_path / "copy.yaml", tmp_path / "mine.yaml"
    copy.write_text("# the same\n" + small_text())
    other.write_text(small_text(sram_bits=1 << 18))
    again = search(
        SearchOptions(replace(asked, target=str(copy)), 1, asked.space.parent / "again"), lambda _: None
    )
    first = read_front(asked.space.parent / "out")
    assert again.front["points"] == first["points"]
    assert again.times.seconds.get("training", 0.0) == 0.0, "all of it was in the cache"
    told = [DesignEvaluation(replace(asked, target=str(path))) for path in (asked.target, copy, other)]
    assert told[0].target_text == told[1].target_text != told[2].target_text
    with pytest.raises(InputError, match="is of another target"):
        options = SearchOptions(replace(asked, target=str(other)), 1, asked.space.parent / "out", resume=True)
        search(options, lambda _: None)


def test_another_number_of_the_file(asked: Question) -> None:
    found = moved(asked, f"{ENERGY}=10")
    assert found["hardware"]["of"] == found["hardware"]["target"] == "small"
    assert [change["old"] for change in found["hardware"]["changes"]] == [0.1]
    for point in found["points"]:
        more = point["macs"] * 9.9  # pJ, of which this array takes so much more for each product
        assert point["energy_pj"] - point["was"]["energy_pj"] >= 0.99 * more and point["runs"]
        assert point["planned"]["from"] is not None


def test_another_file(asked: Question, tmp_path: Path) -> None:
    path = tmp_path / "faster.yaml"
    path.write_text(small_text().replace("name: small", "name: clocked") + CLOCK)
    found = moved(asked, target=str(path))
    assert found["target"] == found["hardware"]["target"] == "clocked"
    assert found["operating_points"] == ["only"] and found["compared_by"] == ["accuracy_val", "edp_j_cycles"]
    for point in found["points"]:
        assert point["operating_point"] == "only" and point["on_front"]
        assert point["edp_j_cycles"] == pytest.approx(point["was"]["edp_j_cycles"])
        assert point["latency_s"] == pytest.approx(point["latency_cycles"] / 1e8)
    assert (asked.space.parent / "out" / "whatif-faster.json").exists()


def test_a_target_by_its_name_and_both_at_once(asked: Question) -> None:
    found = moved(asked, target="gap9")
    assert found["hardware"] == {"of": "small", "target": "gap9", "changes": []}
    assert all(point["runs"] and "latency_s" in point for point in found["points"])
    more = moved(asked, "cores.ne16.active_power_mw=500", target="gap9")
    assert more["points"][0]["energy_pj"] > found["points"][0]["energy_pj"]


def test_the_same_is_no_other(asked: Question, tmp_path: Path) -> None:
    path = tmp_path / "same.yaml"
    path.write_text(small_text())
    with pytest.raises(InputError, match="nothing is another"):
        moved(asked, target=str(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file"),
        ("name: x\ncores: []\n", "cores"),
        (small_text().replace("kind: mac_array", "kind: mac_aray"), "kind"),
        (small_text().replace("kind: mac_array", "kind: mac_array\n    schemes: [int9]"), "schemes: no core"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    asked: Question, tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "bad.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        moved(asked, target=str(path))
    assert "bad.yaml" in caught.value.message


def test_a_bound_in_seconds_needs_a_clock_there(asked: Question, tmp_path: Path) -> None:
    """The file has none: nothing could be said of the bound."""
    study = tmp_path / "out"
    study.mkdir()
    for path in (asked.space.parent / "out").glob("*.*"):
        (study / path.name).write_bytes(path.read_bytes())
    (study / "networks").symlink_to(asked.space.parent / "out" / "networks")
    space = study / "space.toml"
    space.write_text(space.read_text() + "[constraints]\nmax_latency_s = 1\n")
    with pytest.raises(InputError, match=r"constraints\.max_latency_s: no clock is known of small"):
        api.whatif(study, {ENERGY: 10}, cache=asked.cache)


def test_a_point_becomes_a_run_on_the_same_accelerator(asked: Question, study: Path, tmp_path: Path) -> None:
    point = read_front(study)["points"][0]
    options = {"out": tmp_path / "run", "target": asked.target}
    result = run_point(PointAsked(study, point["trial"], point["point"], options), lambda _: None)
    assert result.summary.expected is not None and result.summary.target == "small"
    assert result.summary.expected.accuracy == point["accuracy"]
    assert result.summary.expected.energy_pj == point["on_test"]["energy_pj"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["target_sha256"]
    other = tmp_path / "other.yaml"
    other.write_text(small_text(sram_bits=1 << 18))
    with pytest.raises(InputError, match="another `target` than"):
        options = {"target": str(other)}
        run_point(PointAsked(study, point["trial"], point["point"], options), lambda _: None)
