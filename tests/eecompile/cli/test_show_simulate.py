from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from eecompile.cli.show_simulate import simulated
from eecompile.serving.figures import Interval
from eecompile.serving.result import SimulationResult
from eecompile.serving.simulation import simulate_load
from tests.eecompile.serving.test_simulation import load, quietly, with_ladder


def shown(capacity: bool, seeds: range, batch: str = "none") -> str:
    return printed(quietly(load(90.0, requests=500, seeds=seeds), ["edf"], capacity, batch, 4), 200)


def printed(found: SimulationResult, width: int) -> str:
    text = io.StringIO()
    simulated(Console(file=text, width=width), found)
    return text.getvalue()


def test_rows_of_streams_are_told_apart_on_a_narrow_terminal_too() -> None:
    one = quietly(load(90.0, requests=500, seeds=range(2)), ["edf", "sjf"], False)
    both = replace(
        one,
        streams=[replace(one.streams[0], name=f"camera {n}") for n in (1, 2)],
        rows=[replace(row, streams=[*row.streams, *row.streams][:2]) for row in one.rows],
    )
    text = printed(both, 60).partition("By stream")[2]
    heads = [line.split() for line in text.splitlines() if "stream" in line]
    assert len(heads) > 1 and all(head[:3] == ["stream", "network", "policy"] for head in heads)


def test_what_seeds_differ_by_rounding_is_no_interval() -> None:
    one = quietly(load(90.0, requests=500, seeds=range(2)), ["edf"], False)
    for high, shown_spread in ((2.0 + 1e-12, "2000 "), (2.1, "2000 ± 1e+02")):
        seen = {**one.rows[-1].figures, "mean_s": Interval(2.0, 4.0 - high, high)}
        text = printed(replace(one, rows=[replace(one.rows[-1], figures=seen)]), 200)
        assert shown_spread in text and ("2000 ±" in text) == ("±" in shown_spread)


def test_rows_have_units_and_intervals() -> None:
    text = shown(True, range(3))
    assert "requests/s, 500 for each of 3 seeds; due 50 ms after they come" in text
    assert "exits serve at most" in text and "most requests/s" in text
    static, exits = (line for line in text.splitlines() if " fifo " in line or " edf " in line)
    assert "static" in static and " exits " in exits and exits.count("±") >= 5


def test_batches_have_their_costs_bound_and_rows() -> None:
    text = shown(False, range(1), "none,fixed:4")
    assert "In the batches that cost least per image they serve at most 3.42 x" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["net", "static", "0", "9", "6.75", "5.625"] in lines
    assert [line[:3] for line in lines if "fixed:4" in line] == [
        ["static", "fifo", "fixed:4"], ["exits", "edf", "fixed:4"],
    ]  # fmt: skip
    alone = shown(False, range(1))
    assert "none" not in alone and "In the batches" not in alone


def test_cores_have_a_bound_and_a_table_where_stages_run_beside_each_other() -> None:
    asked = load(90.0, requests=500, seeds=range(2), overlap=True)
    text = printed(quietly(asked, ["edf"]), 200)
    assert " x the rate one stage at a time, whoever is next" in text
    assert "Beside each other they serve at most" in text and " x: then " in text
    table = text.partition("Share of time in which cores")[2].splitlines()
    (head,) = (line.split() for line in table if line.strip().startswith("network"))
    assert head in (
        ["network", "policy", *cores] for cores in (["dsp", "%", "npu", "%"], ["npu", "%", "dsp", "%"])
    )
    assert sum(line.split()[:2] in (["static", "fifo"], ["exits", "edf"]) for line in table) == 2
    alone = shown(False, range(1))
    assert "eside each other" not in alone and " x the rate, whoever is next" in alone


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
