from __future__ import annotations

import io

from rich.console import Console

from eecompile.cli.show_simulate import simulated
from eecompile.serving.simulation import simulate_load
from tests.eecompile.serving.test_simulation import load, quietly, with_ladder


def shown(capacity: bool, seeds: range) -> str:
    found = quietly(load(90.0, requests=500, seeds=seeds), ["edf"], capacity)
    text = io.StringIO()
    simulated(Console(file=text, width=200), found)
    return text.getvalue()


def test_rows_have_units_and_intervals() -> None:
    text = shown(True, range(3))
    assert "requests/s, 500 for each of 3 seeds; due 50 ms after they come" in text
    assert "exits serve at most" in text and "most requests/s" in text
    static, exits = (line for line in text.splitlines() if " fifo " in line or " edf " in line)
    assert "static" in static and " exits " in exits and exits.count("±") >= 5


def test_of_one_seed_there_is_no_interval_and_capacity_only_where_asked_for() -> None:
    text = shown(False, range(1))
    assert "most requests/s" not in text
    assert "±" not in "".join(line for line in text.splitlines() if " edf " in line)


def test_thresholds_that_give_way_have_a_table() -> None:
    found = simulate_load(
        [with_ladder(0.8)], load(250.0, requests=500, seeds=[0]), ["edf"], False, None, lambda _: None
    )
    text = io.StringIO()
    simulated(Console(file=text, width=200), found)
    lines = text.getvalue().split("Thresholds that give way")[1].splitlines()
    assert "at least %" in lines[2] + lines[1] and sum(" net " in line for line in lines) == 5
