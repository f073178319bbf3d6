from __future__ import annotations

from pathlib import Path

import pytest

from eecompile import api
from passes.errors import InputError
from tests.eecompile.search.shown.made_study import write_study


def test_of_one_search_all_is_written_into_its_folder(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "found")
    found = api.front(folder)
    assert [path.name for path in found.files] == ["front.html", "front.csv", "front.svg"]
    assert all(path.parent == folder and path.stat().st_size for path in found.files)
    elsewhere = api.front(folder, csv=tmp_path / "other.csv").files
    assert elsewhere[1] == tmp_path / "other.csv" and elsewhere[0] == folder / "front.html"


def test_several_are_compared_up_to_one_reference(tmp_path: Path) -> None:
    usual = write_study(tmp_path / "usual")
    other = write_study(tmp_path / "other", better=1.5, hardware=False)
    found = api.front([usual, other], svg=tmp_path / "both.svg")
    assert found.files == (tmp_path / "both.svg",) and not found.warnings
    assert found.reference == {"accuracy": 0.0, "edp": 0.1}
    assert found.volumes[0] == api.front(usual).volumes[0]
    (better, _), (worse, on_test) = found.volumes
    assert better is not None and worse is not None and on_test is not None and better > worse > on_test
    document = found.to_json()
    assert document["objectives"] == ["accuracy", "edp"] and document["files"] == [str(tmp_path / "both.svg")]
    assert document["fronts"][1]["hypervolume_val"] == worse
    assert document["fronts"][1]["facts"]["ablations"] == "no hardware"
    assert (
        document["fronts"][0]["points"][0]["edp_j_cycles"] == 0.03 and document["fronts"][0]["designs"] == 4
    )


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    folders = [write_study(tmp_path / "a"), write_study(tmp_path / "b", target="gap9", data="other.npz")]
    said = " ".join(api.front(folders).warnings)
    assert "differ in target (diana, gap9)" in said and "differ in data (digits, other.npz)" in said


def test_folders_that_are_wrong(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "found")
    with pytest.raises(InputError, match="named twice"):
        api.front([folder, tmp_path / "." / "found"])
    with pytest.raises(InputError, match="no search is named"):
        api.front([])
    with pytest.raises(InputError, match="holds no finished search"):
        api.front(tmp_path)
