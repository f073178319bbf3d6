from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile import api
from eecompile.cache.key import Key
from eecompile.cache.store import CacheStore
from eecompile.data.sources import load_data
from passes.errors import InputError
from tests.eecompile.search.small import SPACE, question
from tests.eecompile.small_models import write_images
from tests.eecompile.verbs.handed_on import handed_on


def test_the_cache_is_listed_and_shrunk(tmp_path: Path) -> None:
    store = CacheStore(tmp_path)
    for number in range(3):
        store.write(Key.of("costs", {"number": number}, f"entry {number}"), bytes(1000))
    found = api.cache(tmp_path)
    assert len(found.entries) == 3 and found.removed == 0 and found.bytes > 3000
    assert found.to_json()["entries"][0]["title"] == "entry 2"
    assert found.to_json()["kinds"] == {"costs": {"entries": 3, "bytes": found.bytes}}
    assert api.cache(tmp_path, 1500).removed == 2
    assert [entry.title for entry in api.cache(tmp_path).entries] == ["entry 2"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "`data` is missing"),
        ({"data": "digits", "trials": 0}, "`trials` must be at least 1"),
        ({"data": "digits", "ga_only": True, "ga_evaluations": 0}, "`ga_evaluations` must be at least 1"),
        ({"data": "digits", "ga_evaluations": 9}, "`ga_evaluations` says how far"),
        ({"data": "digits", "workers": -1}, "`workers` must be at least 1"),
        ({"data": "digits", "seed": -1}, "`seed` must be between 0 and 4294967295"),
        ({"data": "digits", "target": "dianna"}, "unknown target 'dianna'"),
        ({"data": "digits", "target": ["diana", "dianna"]}, "unknown target 'dianna'"),
        ({"data": "digits", "target": ["diana", "diana"]}, "target 'diana' is there twice"),
        ({"data": "nowhere.npz"}, "nowhere.npz"),
        ({"data": "digits", "batch": 0}, "`batch` must be at least 1"),
        ({"join": True}, "without `storage` it changes nothing"),
        ({"join": True, "storage": "journal:x", "seed": 0}, "`seed` is for the search to say"),
        ({"join": True, "storage": "journal:x", "trials": 3}, "`trials` is for the search to say"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, object], said: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    where: dict[str, object] = {} if "join" in options else {"out": tmp_path / "out"}
    with pytest.raises(InputError, match=said):
        api.search(path, cache=tmp_path / "cache", **where, **options)  # type: ignore[arg-type]


def test_options_reach_the_search(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    pytest.importorskip("optuna", reason="a search needs the extra 'search'")
    asked = question(tmp_path)
    result = api.search(
        asked.space, str(asked.data), "gap9", tmp_path / "out", 1, 3, preprocess="unit", cache=asked.cache,
        no_quantization=True, fixed_heads=True, no_hardware=True,
    )  # fmt: skip
    document = result.to_json()
    assert (document["target"], document["seed"], document["trials_done"]) == ("gap9", 3, 1)
    heads = {item["head"] for point in document["points"] for item in point["exits"]}
    assert heads <= {"linear"}
    kinds = {entry.kind for entry in api.cache(asked.cache).entries}
    assert {"supernet", "answers", "costs", "finalist"} == kinds, "no finalist was made of integers"
    told = api.why(tmp_path / "out", 0)
    assert told.state == "feasible" and told.to_json()["trial"] == 0


def test_images_in_memory_lie_in_the_folder_of_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space.toml").write_text(SPACE)
    with np.load(write_images(tmp_path / "images.npz")) as found:
        arrays = dict(found)
    given: dict[str, Any] = {"cache": tmp_path / "cache", "out": tmp_path / "out"}
    call = functools.partial(api.search, tmp_path / "space.toml", arrays, **given)
    options = handed_on(monkeypatch, "eecompile.search.searching.search", call).arguments["options"]
    assert options.question.data == str(tmp_path / "out" / "images.npz")
    lying = load_data(options.question.data)
    assert np.array_equal(lying.train.x, arrays["train_x"]) and len(lying.test) == len(arrays["test_y"])


def test_targets_are_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "space.toml").write_text(SPACE)
    call = functools.partial(
        api.search, tmp_path / "space.toml", "digits", ["diana", "gap9"], tmp_path, cache=tmp_path
    )
    found = handed_on(monkeypatch, "eecompile.search.several_targets.search_targets", call).arguments
    assert found["targets"] == ("diana", "gap9")
    with pytest.raises(InputError, match="is there twice"):
        api.search(tmp_path / "space.toml", "digits", ["diana", "diana"], cache=tmp_path)
    with pytest.raises(InputError, match="is a number of bytes, not -1"):
        api.cache(tmp_path, keep=-1)
