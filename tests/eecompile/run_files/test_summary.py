"""``summary.json``: written and read back, by other versions too, or refused with the place of the fault."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from eecompile.run_files.summary import SCHEMA_VERSION, Saving, Summary, load_summary
from passes.errors import InputError
from targets.objective import EDP, ENERGY, LATENCY, OBJECTIVES, Objective
from tests.eecompile.fabricated_run import summary

# What an early version did not write.
LATER = ("host_sensitivity", "curve", "removed_exits", "warnings")


def written(folder: Path, document: object) -> Path:
    (folder / "summary.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize("with_data", [True, False])
def test_what_is_written_is_read_back(tmp_path: Path, with_data: bool) -> None:
    made = Summary.model_validate(summary(with_data))
    (tmp_path / "summary.json").write_text(made.to_text())
    assert load_summary(tmp_path) == load_summary(tmp_path / "summary.json") == made
    assert load_summary(tmp_path).to_text() == made.to_text()


def test_the_text_is_json_that_holds_every_figure_as_it_was() -> None:
    text = Summary.model_validate(summary()).to_text()
    assert text.endswith("}\n")
    assert_holds(json.loads(text), summary())


def assert_holds(found: Any, given: Any) -> None:
    """All that is ``given`` is in ``found``, which may say more."""
    if isinstance(given, dict):
        for key, value in given.items():
            assert_holds(found[key], value)
    elif isinstance(given, list):
        assert len(found) == len(given)
        for one, other in zip(found, given, strict=True):
            assert_holds(one, other)
    else:
        assert found == given


def test_keys_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    document = summary()
    document["invented"] = document["exits"][0]["invented"] = document["static"]["invented"] = {"a": 1}
    assert load_summary(written(tmp_path, document)) == Summary.model_validate(summary())


def test_files_of_earlier_versions_lack_what_they_did_not_know(tmp_path: Path) -> None:
    document = {key: value for key, value in summary().items() if key not in (*LATER, "schema_version")}
    for entry in document["exits"]:
        entry.pop("mount_name")
    found = load_summary(written(tmp_path, document))
    assert all(getattr(found, key) == () for key in (*LATER, "never_taken"))
    assert (found.schema_version, found.min_gain, found.caution) == (SCHEMA_VERSION, None, None)
    assert found.expected is not None and found.expected.speculation is False
    assert all((e.mount_name, e.accuracy_lowered, e.speculative) == ("", None, None) for e in found.exits)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_the_objective_is_one_in_memory_and_a_name_in_the_file(objective: Objective) -> None:
    found = Summary.model_validate({**summary(), "objective": objective.name})
    assert found.objective is objective
    assert json.loads(found.to_text())["objective"] == objective.name
    assert Summary.model_validate({**summary(), "objective": objective}) == found


def test_what_is_saved_is_told_for_what_was_minimised() -> None:
    saving = Saving(macs=0.1, latency=0.2, energy=0.3, edp=0.4)
    assert [saving.of(objective) for objective in (LATENCY, ENERGY, EDP)] == [0.2, 0.3, 0.4]


def test_results_do_not_change() -> None:
    found = Summary.model_validate(summary())
    for part, key in ((found, "seed"), (found.static, "macs"), (found.exits[0], "ratio")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, key, 0)


def without(*path: str | int) -> dict[str, Any]:
    """Return a summary that lacks what is at ``path``."""
    document: Any = copy.deepcopy(summary())
    place = document
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    result: dict[str, Any] = document
    return result


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (without("drop"), "drop: Field required"),
        (without("exits", 1, "energy_pj"), r"exits\.1\.energy_pj: Field required"),
        ({**summary(), "seed": "three"}, "seed: Input should be a valid integer"),
        ({**summary(), "objective": "speed"}, "objective: .*unknown objective 'speed'"),
        ({**summary(), "objective": 3}, "objective: "),
        ([], "Input should be an object"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_place(
    tmp_path: Path, document: object, told: str
) -> None:
    with pytest.raises(InputError, match=rf"summary\.json: .*{told}") as caught:
        load_summary(written(tmp_path, document))
    assert caught.value.hint == "the file is damaged or from another tool"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"not json"])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(InputError, match=r"summary\.json: .*Invalid JSON"):
        load_summary(tmp_path)


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(InputError, match=r"is not a run directory: no summary\.json") as caught:
            load_summary(path)
        assert caught.value.hint == "give the folder that a run was written to"


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "summary.json").mkdir()
    with pytest.raises(InputError, match=r"cannot read .*summary\.json: Is a directory"):
        load_summary(tmp_path)
