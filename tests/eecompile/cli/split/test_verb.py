"""Texts of `split` become values, or what is wrong with them is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli


def called(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["split", *map(str, arguments)])


def test_texts_become_values(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def noted(*given: Any, **_: Any) -> None:
        told.append(given)
        raise SystemExit(0)

    monkeypatch.setattr(api, "split", noted)
    called("run", "--link", "2Mbit/s", "--rtt", "20ms")
    called(
        "run", "--link", "100kbit/s..1Gbit/s", "--rtt", "1s", "--loss", "0,0.05", "--objective", "energy",
        "--max-drop", 2, "--server-target", "gap9", "--server-time", "3ms", "--radio", "ble", "--idle-power",
        "10mW", "--energy-per-byte", "2uJ", "--clock", "50MHz", "--data", "digits", "--out", "there",
    )  # fmt: skip
    plain, whole = told
    assert plain == (
        Path("run"), (2e6, 2e6), pytest.approx(0.02), None, "latency", None, None, None, "wifi", None, None,
        None, None, None,
    )  # fmt: skip
    assert whole == (
        Path("run"), (1e5, 1e9), 1.0, (0.0, 0.05), "energy", 2.0, "gap9", pytest.approx(0.003), "ble",
        pytest.approx(0.01), pytest.approx(2e-6), 5e7, "digits", Path("there"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--link", "fast", "--rtt", "1ms"), "--link fast: expected"),
        (("--link", "9Mbit/s..1Mbit/s", "--rtt", "1ms"), "--link 9Mbit/s..1Mbit/s: expected a rate"),
        (("--link", "1Mbit/s..2Mbit/s..3Mbit/s", "--rtt", "1ms"), "expected a rate, or the slowest"),
        (("--link", "1Mbit/s", "--rtt", "1"), "--rtt 1: expected"),
        (("--link", "1Mbit/s", "--rtt", "1ms", "--loss", "few"), "--loss few: expected shares"),
        (("--link", "1Mbit/s", "--rtt", "1ms", "--idle-power", "1"), "--idle-power 1: expected"),
        (("--link", "1Mbit/s", "--rtt", "1ms", "--energy-per-byte", "1W"), "--energy-per-byte 1W: expected"),
        (("--link", "1Mbit/s", "--rtt", "1ms"), "nowhere"),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], message: str) -> None:
    found = called("nowhere", *arguments)
    assert found.exit_code == 2
    assert message in found.output
