from __future__ import annotations

import csv
import errno
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.run_files.directory import OWNED, folders, run_directory, sha256, write_csv, write_json
from passes.errors import InputError


def contents(folder: Path) -> dict[str, str | None]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def fill(work: Path, text: str, names: tuple[str, ...] = OWNED) -> None:
    for name in names:
        if name == "stages":
            (work / name).mkdir()
            (work / name / f"{text}.onnx").write_text(text)
        else:
            (work / name).write_text(text)


def test_files_of_a_run_replace_those_of_the_one_before_and_no_others(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "one"
    with run_directory(out) as work:
        fill(work, "first")
    (out / "notes.txt").write_text("mine")
    (out / "stages" / "old.onnx").write_text("left over")
    second = ("summary.json", "run.json", "stages")
    with run_directory(out) as work:
        assert work.parent == out, "beside its place, or a move could not be atomic"
        fill(work, "second", second)
        assert contents(out)["summary.json"] == "first", "nothing is replaced before the end"
    assert contents(out) == {
        "notes.txt": "mine",
        "run.json": "second",
        "stages": None,
        "stages/second.onnx": "second",
        "summary.json": "second",
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_a_run_that_does_not_end_leaves_all_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    out = tmp_path / "deep" / "run"
    with pytest.raises(error), run_directory(out) as work:
        fill(work, "half")
        raise error
    assert contents(tmp_path) == {}
    with run_directory(out) as work:
        fill(work, "whole")
    before = contents(tmp_path)
    with pytest.raises(error), run_directory(out) as work:
        fill(work, "half")
        raise error
    assert contents(tmp_path) == before


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught, run_directory(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.message == f"cannot write to {tmp_path / 'out'}: No space left on device"
    assert caught.value.hint == "free some space or choose another folder"
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("place", "message"),
    [("file", "file is a file"), ("file/below", "cannot write to"), ("x" * 300, "File name too long")],
)
def test_a_folder_that_cannot_be(tmp_path: Path, place: str, message: str) -> None:
    (tmp_path / "file").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(InputError) as caught, run_directory(tmp_path / place):
        raise AssertionError("nothing may start")
    assert message in caught.value.message
    assert caught.value.hint
    assert contents(tmp_path) == before


def test_folders_that_stay_empty_go_again_and_only_those(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with folders(tmp_path / "mine", tmp_path / "used" / "deep", tmp_path / "empty" / "deep"):
        assert (tmp_path / "empty" / "deep").is_dir()
        (tmp_path / "used" / "deep" / "file").write_text("x")
    assert contents(tmp_path) == {"mine": None, "used": None, "used/deep": None, "used/deep/file": "x"}


def test_folders_made_before_one_that_cannot_be_go_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError), folders(tmp_path / "new" / "deep", tmp_path / "file"):
        raise AssertionError("nothing may start")
    assert contents(tmp_path) == {"file": ""}


def test_a_file_that_a_run_does_not_own_is_not_lost_without_a_word(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"histogram\.png is no file of a run"):  # noqa: SIM117
        with run_directory(tmp_path / "out") as work:
            fill(work, "x", ("summary.json", "histogram.png"))
    assert contents(tmp_path) == {}


def test_json_keeps_order_and_values(tmp_path: Path) -> None:
    document = {"b": [1, 2.5, None], "a": {"ä": "µ", "nested": True}}
    write_json(tmp_path / "x.json", document)
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == document
    assert text.index('"b"') < text.index('"a"')
    assert text.endswith("}\n")


ROW = st.fixed_dictionaries(
    {"name": st.text(st.characters(exclude_categories=("Cs", "Cc"))), "value": st.integers()}
)


@given(rows=st.lists(ROW, min_size=1))
def test_csv_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    write_csv(path, rows)
    with path.open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    assert found == [{"name": row["name"], "value": str(row["value"])} for row in rows]


def test_csv_without_rows_is_empty_and_an_unknown_key_is_an_error(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", [])
    assert (tmp_path / "x.csv").read_text() == ""
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_csv(tmp_path / "x.csv", [{"a": 1}, {"a": 1, "b": 2}])
    assert (tmp_path / "x.csv").read_text() == "", "the old file stays"


def test_sha256(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(data)
    assert sha256(tmp_path / "x") == hashlib.sha256(data).hexdigest()
