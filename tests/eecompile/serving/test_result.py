"""What serving comes to, as it is written down."""

from __future__ import annotations

import json

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
