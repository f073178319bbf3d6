"""Both folders hold what their side needs, each model once, and nothing half."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eecompile.runtime.split.records import Band, read_parts, read_plans
from eecompile.split.choosing import Plan
from eecompile.split.plan_files import write_split
from passes.errors import InputError
from tests.eecompile.split.small_split import prepared

BANDS = [Band(0.0, 0.0, 1.0, 0), Band(0.0, 1.0, float("inf"), 2)]
TOLD = {"objective": "latency", "rtt_s": 1e-3, "max_drop": 1.0}


def plans() -> list[Plan]:
    offers = prepared().question.offers
    first = next(n for n, offer in enumerate(offers) if offer.place.name == "add_0")
    other = next(n for n, offer in enumerate(offers) if offer.place.name == "conv_2")
    return [
        Plan((0,), (0.5,), first, 0, 0),
        Plan((0,), (0.6,), other, 0, 0),
        Plan((0, 1), (0.5, 0.5), None, 0, 0),
    ]


def test_models_are_shared_and_named_by_what_they_hold(tmp_path: Path) -> None:
    ready = prepared()
    write_split(tmp_path, ready.run, ready.costs, plans(), ready.question.offers, BANDS, TOLD)
    table = read_plans(tmp_path / "device")
    assert [len(plan.segments) for plan in table.plans] == [2, 2, 3]
    used = {path for plan in table.plans for path in plan.segments}
    assert used == {*(tmp_path / "device" / "models").iterdir()}
    assert len(used) < 7
    assert len(read_parts(tmp_path / "server")) == len([*(tmp_path / "server" / "models").iterdir()]) == 2
    assert len({plan.name for plan in table.plans}) == 3
    record = json.loads((tmp_path / "device" / "plans.json").read_text())
    assert record["run"] == "run" and record["objective"] == "latency" and record["rtt_s"] == 1e-3
    before = {path.name for path in tmp_path.rglob("*")}
    write_split(
        tmp_path, ready.run, ready.costs, plans()[-1:], ready.question.offers, [Band(0.0, 0.0, 1.0, 0)], TOLD
    )
    assert len({path.name for path in tmp_path.rglob("*")}) < len(before), "of the earlier one nothing stays"
    assert json.loads((tmp_path / "server" / "split.json").read_text())["parts"] == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ready = prepared()
    with pytest.raises(InputError, match="is a file"):
        write_split(tmp_path / "file", ready.run, ready.costs, plans(), ready.question.offers, BANDS, TOLD)
