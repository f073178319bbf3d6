from __future__ import annotations

import csv
from pathlib import Path

import pytest

from eecompile.search.shown.files import write_files, write_front
from eecompile.search.shown.study import shown_study
from tests.eecompile.search.shown.made_study import run_at_points, write_study, write_what_if


def test_a_search_gets_table_picture_and_page(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "found")
    write_front(folder)
    rows = list(csv.DictReader((folder / "front.csv").open()))
    assert [row["point"] for row in rows] == ["trial 2, point 0", "trial 1, point 1", "trial 0, point 2"]
    assert float(rows[1]["edp_j_cycles"]) == 0.02 and float(rows[1]["accuracy"]) == 0.94
    assert float(rows[1]["accuracy_ci95_low"]) == pytest.approx(0.92) and rows[1]["memory_bytes"] == ""
    assert rows[1]["exits"] == "linear on block_0: margin >= 0.5, 0.7500 leave" and rows[2]["exits"] == ""
    assert (folder / "front.svg").read_text().startswith("<svg")
    write_what_if(folder)
    write_front(folder)
    assert len((folder / "front.csv").read_text().splitlines()) == 6, "two points more, of other hardware"
    assert "found, what if: memories.l1.size_bytes" in (folder / "front.html").read_text()
    assert "found (diana, digits, seed 4)" in (folder / "front.html").read_text()


def test_only_what_is_named_is_written(tmp_path: Path) -> None:
    front = shown_study(write_study(tmp_path / "found"))
    written = write_files([front, front], csv=tmp_path / "both.csv")
    assert written == [tmp_path / "both.csv"] and len(written[0].read_text().splitlines()) == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both.csv", "found"]


def test_the_table_has_cycles_and_seconds(tmp_path: Path) -> None:
    folder = run_at_points(write_study(tmp_path / "found"))
    write_front(folder)
    rows = list(csv.DictReader((folder / "front.csv").open()))
    assert [row["operating_point"] for row in rows] == ["slow", "slow", "fast"]
    assert [float(row["edp_js"]) for row in rows] == pytest.approx([3e-10, 2e-10, 0.5e-10])
    assert [float(row["worst_latency_s"]) for row in rows] == pytest.approx([2.1e-4, 2.1e-4, 1.05e-4])
    assert [float(row["latency_cycles"]) for row in rows] == pytest.approx([6000, 4000, 2000])
    assert "expected energy-delay product, pJ·s" in (folder / "front.svg").read_text()
