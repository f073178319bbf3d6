from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("optuna", reason="a search needs the extra 'search'")

from eecompile import api
from eecompile.search.joining import Joined, JoinOptions, join
from eecompile.search.searching import SearchOptions, read_front, search
from eecompile.search.study.record import Record
from eecompile.search.worth.evaluation import Question
from passes.errors import InputError
from tests.eecompile.search.small import SPACE, question

WIDTHS = SPACE.replace("[2, 4]", "[2, 3, 4, 5]")


def _search(asked: Question, out: Path, url: str = "") -> None:
    search(SearchOptions(asked, 4, out, storage=url, batch=4), lambda _: None)


def options(asked: Question, url: str, **others: int) -> JoinOptions:
    return JoinOptions(asked.space, "diana", url, "", asked.cache, 10**9, **others)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Question, str, Joined]:
    """A search in a process of its own, that this one joined."""
    folder = tmp_path_factory.mktemp("joined")
    asked, url = question(folder, WIDTHS), f"journal:{folder / 'study.log'}"
    process = multiprocessing.get_context("spawn").Process(  # a fork would inherit locks of torch
        target=_search, args=(asked, folder / "out", url), daemon=True
    )
    process.start()
    for _ in range(3000):
        try:
            if Record(url, "space-diana").trials():
                break
        except InputError:
            pass
        time.sleep(0.02)
    joined = join(options(asked, url), lambda _: None)
    process.join(300)
    assert process.exitcode == 0
    return folder, asked, url, joined


def test_a_worker_that_joins_takes_designs_and_the_front_is_the_same(
    both: tuple[Path, Question, str, Joined],
) -> None:
    folder, asked, _, joined = both
    assert 1 <= joined.designs < 4 and joined.study == "space-diana"
    _search(asked, folder / "alone")
    assert read_front(folder / "out") == read_front(folder / "alone")


def test_what_waits_is_worked_on_by_several_processes(both: tuple[Path, Question, str, Joined]) -> None:
    folder, asked, _, _ = both
    url = f"journal:{folder / 'later.log'}"
    _search(asked, folder / "later", url)
    record = Record(url, "space-diana")
    genes = dict(record.trials()[0].params)
    record.add(4, genes, {name: (value,) for name, value in genes.items()})
    assert join(options(asked, url, workers=2), lambda _: None).designs == 1
    result = record.result(record.trials()[4])
    assert result is not None and result["points"]


def test_another_space_other_images_and_another_version_are_refused(
    both: tuple[Path, Question, str, Joined], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, asked, url, _ = both
    there = {"storage": url, "cache": asked.cache, "join": True}
    other = question(tmp_path, WIDTHS + "# another\n")
    with pytest.raises(InputError, match="is of another space"):
        api.search(other.space, **there)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is of another images"):
        api.search(asked.space, data="digits", **there)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="there is no study 'space-gap9'"):
        api.search(asked.space, target="gap9", **there)  # type: ignore[arg-type]
    monkeypatch.setattr("eecompile.search.study.record.version", lambda: "99.0")
    with pytest.raises(InputError, match=r"made by another version of eecompile: by .*, this is 99\.0"):
        api.search(asked.space, **there)  # type: ignore[arg-type]
