"""Intervals of a summary by the keys of their figures."""

from __future__ import annotations

import pytest

from eecompile.verbs.work.interval_keys import intervals
from tests.eecompile.fabricated_run import CLOCK_HZ, summary


def test_each_figure_with_an_interval_has_its_key() -> None:
    document = summary()
    document["expected"] |= {"latency_interval": [200e3, 300e3], "energy_interval": [8e6, 9e6]}
    document["exits"][1] |= {"energy_interval": [8e6, 10e6]}
    found = intervals(document)
    low, high = found["expected.latency_s"]
    assert (low, high) == pytest.approx((200e3 / CLOCK_HZ, 300e3 / CLOCK_HZ))
    assert found["expected.latency_cycles"] == (200e3, 300e3)
    assert found["expected.energy_pj"] == (8e6, 9e6) and found["exits.exit_1.energy_pj"] == (8e6, 10e6)
    assert found["saving.edp"] == (0.331, 0.421)
    assert found["expected.accuracy"] == (0.839, 0.882) and found["static.accuracy_quant"] == (0.846, 0.888)
    assert found["drop.points"] == (-0.41, 1.62)
    assert not {key for key in found if key.startswith("static.lat") or "edp_j" in key}


def test_without_a_clock_there_are_cycles_alone() -> None:
    document = summary(with_data=False)
    document["static"] |= {"latency_s": None, "latency_interval": [1, 2]}
    assert intervals(document) == {"static.latency_cycles": (1, 2)}
