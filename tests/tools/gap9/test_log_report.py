"""A log beside its prediction."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.gap9.log_report import compare_file, log_lines, medians, total_ratio

LINES = (
    ("Conv2d_8x3x3x3", 56 * 56 * 8 * 27),
    ("Conv2d_16x8x1x1", 56 * 56 * 16 * 8),
    ("Conv2d_8x16x1x1", 56 * 56 * 8 * 16),
    ("MatAdd_56x56x8", 56 * 56 * 8),
)


def write(folder: Path, measured: tuple[int, ...]) -> Path:
    path = folder / "log.tsv"
    rows = [f"{name}\t{cycles}\t{ops}" for (name, ops), cycles in zip(LINES, measured, strict=True)]
    path.write_text("\n".join(["layer\tcycles\toperations", *rows]))
    return path


def test_ratios_are_predicted_over_measured_and_the_prediction_does_not_follow(tmp_path: Path) -> None:
    first = compare_file(write(tmp_path, (1000, 1000, 1000, 1000)))
    cycles = [one.predicted.cost.latency_cycles for one in first]
    layers = compare_file(write(tmp_path, (2 * cycles[0], cycles[1], 4 * cycles[2], 0)))
    assert [one.predicted for one in layers] == [one.predicted for one in first]
    assert [one.ratio for one in layers] == [0.5, 1.0, 0.25, None]
    assert medians(layers) == {"3x3": (1, 0.5), "1x1": (2, 0.625), "MatAdd": (1, None)}
    assert total_ratio(layers) == pytest.approx(sum(cycles[:3]) / (2 * cycles[0] + cycles[1] + 4 * cycles[2]))


def test_the_lines_have_the_form_others_read(tmp_path: Path) -> None:
    lines = log_lines(compare_file(write(tmp_path, (90000, 30000, 0, 40000))))
    assert len(lines) == 4 + 3 + 1
    assert [line.split()[0] for line in lines[:4]] == [name for name, _ in LINES]
    assert all(re.fullmatch(r"kind \S+ n \d+ median \d+\.\d{3}", line) for line in lines[4:7])
    assert re.fullmatch(r"total ratio \d+\.\d{3}", lines[-1]) and "external memory" in lines[0]


def test_without_measured_cycles_there_is_no_ratio(tmp_path: Path) -> None:
    lines = log_lines(compare_file(write(tmp_path, (0, 0, 0, 0))))
    assert lines[-1] == "total ratio none" and lines[-2] == "kind MatAdd n 1 median none"
    assert "measured         - ratio none" in lines[0]
