"""A run directory and its nested model record the same; what is damaged is named."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from eecompile.runtime.compiled_files import (
    EXITS_KEY,
    PREPROCESS_KEY,
    SEEN_KEY,
    Recorded,
    from_directory,
    from_metadata,
    same_threshold,
)
from passes.errors import InputError
from tests.eecompile.runtime.small_run import NAMES, RULE, SEEN, THRESHOLDS, write_small_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_run(tmp_path_factory.mktemp("compiled") / "run")[0]


def metadata(path: Path) -> dict[str, str]:
    return {item.key: item.value for item in onnx.load(path).metadata_props}


def test_both_forms_record_the_same(folder: Path) -> None:
    recorded, stages = from_directory(folder)
    path = folder / "model.dynamic.onnx"
    assert recorded == from_metadata(metadata(path), path)
    assert recorded.thresholds[-1] is None
    assert recorded.thresholds[:-1] == pytest.approx(THRESHOLDS)
    assert (recorded.exits, recorded.seen, recorded.preprocess) == (NAMES, SEEN, RULE)
    assert [str(path.relative_to(folder)) for path in stages] == [f"stages/stage_{k}.onnx" for k in range(3)]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (EXITS_KEY, "[]", "the last exit has to be without a threshold"),
        (EXITS_KEY, "[{}]", "no 'name'"),
        (EXITS_KEY, "3", "not iterable"),
        (PREPROCESS_KEY, "{", "cannot be read"),
        (PREPROCESS_KEY, "null", "recorded preprocessing"),
        (SEEN_KEY, "[1, 2]", r"\[1, 2\] images left at 3 exits"),
        (SEEN_KEY, "[1, 2, -3]", "left at 3 exits"),
        (SEEN_KEY, '["a", 1, 1]', "cannot be read"),
        (SEEN_KEY, None, f"does not record {SEEN_KEY}"),
    ],
)
def test_damaged_records_are_named(folder: Path, key: str, value: str | None, message: str) -> None:
    path = folder / "model.dynamic.onnx"
    found = metadata(path)
    if value is None:
        del found[key]
    else:
        found[key] = value
    with pytest.raises(InputError, match=message) as error:
        from_metadata(found, path)
    assert error.value.hint


def test_a_folder_without_a_run_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run directory: no summary"):
        from_directory(tmp_path)


def test_a_stage_has_the_exit_and_the_threshold_of_the_record(folder: Path) -> None:
    recorded, stages = from_directory(folder)
    for number, path in enumerate(stages):
        same_threshold(metadata(path), recorded, number, path)
    with pytest.raises(InputError, match=r"of exit 'exit_0' .* summary.json says 'exit_1'"):
        same_threshold(metadata(stages[0]), recorded, 1, stages[0])
    other = Recorded(recorded.exits, (0.5, *recorded.thresholds[1:]), recorded.seen, recorded.preprocess)
    with pytest.raises(InputError, match=r"threshold 0\.8.*with 0\.5"):
        same_threshold(metadata(stages[0]), other, 0, stages[0])
    with pytest.raises(InputError, match="cannot be read"):
        same_threshold({EXITS_KEY: json.dumps([1, 2])}, recorded, 0, stages[0])
