from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from eecompile.cli.split.show import split_plans
from eecompile.exits.statistics import PairedDrop
from eecompile.split.figures import PlanFigures
from eecompile.split.splitting import PlanRow, SplitResult

DEVICE = PlanFigures(
    0.04, 0.055, 3e-5, 0.0, 0.0, None, (0.54, 0.46), 0.855, (0.83, 0.87), PairedDrop(1.2, 0.5, 2.0), 1000
)
SERVER = PlanFigures(
    0.006, 0.0064, 7e-3, 1.0, 2105.0, 2043.0, (1.0,), 0.867, (0.84, 0.89), PairedDrop(0.0, 0.0, 0.0), 1000
)
ROWS = [
    PlanRow(1, 0.0, 0.0, 6.19e5, ("exit_0",), (0.9,), "", "", 2.5e5, 0.04, DEVICE),
    PlanRow(0, 0.0, 6.19e5, None, (), (), "8 bit, huffman", "input", 7.8e6, 0.005, SERVER),
]
FOUND = SplitResult(
    "net", "gap9", "latency", (1e5, 1e8), 0.002, 1.0, "told", "wifi: Huang", ROWS, 2, 16, Path("out")
)


def shown(found: SplitResult, width: int = 200) -> str:
    text = io.StringIO()
    split_plans(Console(file=text, width=width), found)
    return text.getvalue()


def test_each_band_has_its_plan_and_figures() -> None:
    text = shown(FOUND)
    assert "net on gap9: least latency, 0.1 Mbit/s to 100 Mbit/s, round trip 2 ms" in text
    rows = text.splitlines()
    device = next(row for row in rows if "up to 0.619" in row)
    server = next(row for row in rows if "from 0.619" in row)
    assert "up to 0.619 Mbit/s" in device and "exit_0 54 %" in device and "nothing" in device
    for part in (
        "from 0.619 Mbit/s",
        "input: 8 bit, huffman",
        "2105",
        "2043",
        "86.7",
        "0.0 [0.0, 0.0]",
        " 7 ",
    ):
        assert part in server
    assert "device/ (2 plans)" in text and "lost, " not in text


def test_losses_stand_before_their_bands_and_all_fits_80_columns() -> None:
    lossy = replace(FOUND, rows=[*ROWS, *(replace(row, loss=0.02) for row in ROWS)])
    text = shown(lossy, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "2 % lost" in shown(lossy) and "0 % lost" in shown(lossy)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0, None, "any speed"),
        (1e6, 2e6, "1 to 2 Mbit/s"),
        (1e6, None, "from 1 Mbit/s"),
        (0.0, 5e5, "up to 0.5 Mbit/s"),
    ],
)
def test_bands_in_words(low: float, high: float | None, words: str) -> None:
    row = replace(ROWS[0], low_bit_per_s=low, high_bit_per_s=high)
    assert words in shown(replace(FOUND, rows=[row], rates=(1e6, 1e6)))
