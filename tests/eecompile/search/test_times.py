from __future__ import annotations

import pytest

from eecompile.search.times import SearchTimes


def test_all_time_of_all_workers_is_told() -> None:
    worked = {"training": 120.0, "costs": 10.0, "other": 0.0}
    times = SearchTimes.of({"start": 5.0, "costs": 1.0}, worked, {"training": 20.0}, 70.0, 2, 3)
    assert times.seconds == {"start": 5.0, "costs": 11.0, "training": 140.0, "other": 0.0, "study": 10.0}
    assert times.total == 5 + 1 + 2 * 70 + 20
    assert times.overhead == pytest.approx(1 - 140 / 166)
    assert times.line == "Training took 84.3 % of the time; costs 6.6 %, study 6.0 %, start 3.0 %."
    found = times.to_json()
    assert found["overhead"] == round(1 - 140 / 166, 4) and found["workers"] == 2 and found["designs"] == 3


def test_nothing_is_no_overhead() -> None:
    times = SearchTimes.of({}, {}, {}, 0.0, 1, 0)
    assert times.overhead == 0 and times.total == 0
