"""Files of a split are read, or refused by what is wrong with them; the table is looked up."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eecompile.runtime.split.records import Band, PlanTable, band_record, read_parts, read_plans
from passes.errors import InputError
from tests.eecompile.split.small_split import small_split


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(small_split().out, tmp_path / "split")
    return tmp_path / "split"


def test_what_was_written_is_read(folder: Path) -> None:
    table = read_plans(folder / "device")
    assert table.plans[-1].sending is None and table.plans[-1].exits[-1] == "final"
    assert {band.loss for band in table.bands} == {0.0, 0.05}
    sent = {plan.sending.part: plan.sending.codec for plan in table.plans if plan.sending is not None}
    parts = read_parts(folder / "server")
    assert sent and {name: codec for name, codec, _ in parts} == sent
    files = [path for plan in table.plans for path in plan.segments] + [path for *_, path in parts]
    assert files and all(path.is_file() for path in files)


def damaged(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    return change


@pytest.mark.parametrize(
    "change",
    [
        damaged(lambda d: d.pop("plans")),
        damaged(lambda d: d["plans"].pop()),
        damaged(lambda d: d["bands"].clear()),
        damaged(lambda d: d["bands"][0].update(plan=99)),
        damaged(lambda d: d["plans"][-1]["thresholds"].append(0.5)),
        damaged(lambda d: d["plans"][-1].update(segments=[])),
        damaged(lambda d: d["plans"][-1].update(thresholds=[0.5] * len(d["plans"][-1]["exits"]))),
        damaged(lambda d: d["plans"][0]["sends"].update(part="xy")),
        damaged(lambda d: d["plans"][0]["sends"]["codec"].update(bits=5)),
        damaged(lambda d: d.update(class_names=3)),
    ],
)
def test_damaged_plans_are_refused(change: Callable[[dict[str, Any]], Any], folder: Path) -> None:
    path = folder / "device" / "plans.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="cannot be read"):
        read_plans(folder / "device")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": [{}]}'])
def test_damaged_parts_are_refused(text: str, folder: Path) -> None:
    (folder / "server" / "split.json").write_text(text)
    with pytest.raises(InputError, match=r"split\.json cannot be read"):
        read_parts(folder / "server")
    with pytest.raises(InputError, match="cannot read"):
        read_plans(folder / "nowhere")


def test_the_best_plan_is_looked_up_at_the_nearest_loss() -> None:
    made = read_plans(small_split().out / "device")
    bands = (
        Band(0.0, 0.0, 1e-6, 0),
        Band(0.0, 1e-6, math.inf, 1),
        Band(0.1, 0.0, 2e-6, 0),
        Band(0.1, 2e-6, math.inf, 1),
    )
    table = PlanTable(made.plans, bands, made.preprocess, (), 0.0)
    assert [table.number_at(bit_s) for bit_s in (0.0, 0.9e-6, 1.5e-6, 1.0)] == [0, 0, 1, 1]
    assert [table.number_at(1.5e-6, loss) for loss in (0.04, 0.06, 0.9)] == [1, 0, 0]
    assert band_record(bands[1])["high_bit_s"] is None
