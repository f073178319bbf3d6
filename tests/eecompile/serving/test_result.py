"""What serving comes to, as it is written down."""

from __future__ import annotations

import json
from dataclasses import replace

from eecompile.serving.figures import Interval
from tests.eecompile.serving.test_simulation import load, quietly


def test_intervals_are_three_numbers_in_every_place() -> None:
    found = quietly(load(90.0, requests=300), ["fifo", "edf"], True)
    document = json.loads(json.dumps(found.to_json()))
    assert document["schema_version"] == 1 and len(document["rows"]) == 3
    for row, told in zip(found.rows, document["rows"], strict=True):
        for name, value in row.figures.items():
            assert told["figures"][name] == [value.mean, value.low, value.high]
        assert row.capacity is not None and told["capacity"][0] == row.capacity.mean
        assert [list(one) for one in told["streams"]] == [list(one) for one in row.streams]
    assert "requests/s: fewest late by" in repr(found)


def test_cores_that_are_busiest_in_any_way_to_serve_come_first() -> None:
    """The bus is next to idle beside the cores without exits, and busier than they are with them."""
    found = quietly(load(90.0, requests=100, seeds=[0], overlap=True), ["fifo"])
    shares = [{"npu": 0.9, "dsp": 0.8, "bus": 0.2}, {"npu": 0.1, "dsp": 0.02, "bus": 0.3, "port": 0.0}]
    rows = [
        replace(row, cores={name: Interval(share, None, None) for name, share in of.items()})
        for row, of in zip(found.rows, shares, strict=True)
    ]
    assert replace(found, rows=rows).cores == ["bus", "npu", "dsp", "port"]
