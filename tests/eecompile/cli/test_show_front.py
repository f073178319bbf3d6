from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from eecompile import api
from eecompile.cli.show_front import fronts
from eecompile.search.shown.front import ShownFront
from eecompile.verbs.front import FrontComparison
from tests.eecompile.search.shown.made_study import run_at_points, write_study


def printed(found: FrontComparison, width: int = 110) -> str:
    stream = io.StringIO()
    fronts(Console(file=stream, width=width), found)
    return stream.getvalue()


def test_points_and_volumes(tmp_path: Path) -> None:
    found = api.front([write_study(tmp_path / "a"), write_study(tmp_path / "b", 1.5, target="gap9")])
    text = printed(found)
    row = next(line for line in text.splitlines() if "trial 2, point 0" in line).split()
    assert row[4:8] == ["97.0", "96.0", "30.0", "mJ·cycles"] and row[-1] == "2"
    volumes = next(
        line for line in text.splitlines() if line.strip().startswith("a (") and "0." in line
    ).split()
    assert volumes[-4:] == ["4", "3", *(f"{value:.4f}" for value in found.volumes[0] if value is not None)]
    assert "up to accuracy on val 0.00 %, expected energy-delay product 100 mJ·cycles" in text
    assert "differ in target" in text and "Files" not in text


def test_of_several_clocks_times_are_in_seconds(tmp_path: Path) -> None:
    found = api.front([run_at_points(write_study(tmp_path / "a"))])
    text = printed(found)
    row = next(line for line in text.splitlines() if "trial 0, point 2" in line).split()
    assert "50.0 pJ·s" in " ".join(row) and "10.0 µs" in " ".join(row)
    assert "expected energy-delay product 1.00 nJ·s" in text
    assert found.to_json()["compared_by"]["edp"] == "edp_js" and found.to_json()["reference"]["edp"] == 1e-9


def test_nothing_found() -> None:
    empty = FrontComparison((ShownFront("none", ("edp",), ()),), {}, ((None, None),), (), (Path("a.csv"),))
    text = printed(empty)
    assert "none: no network keeps all constraints." in text and "Nothing spans a volume." in text
    assert "Files: a.csv" in text
