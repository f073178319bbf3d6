"""What the verb refuses and hands on; what it does is seen in `tests/eecompile/split`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from eecompile.split import splitting
from eecompile.split.radios import RADIOS
from passes.errors import InputError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"link": 0}, "`link` cannot be 0"),
        ({"link": (2e6, 1e6)}, "`link` cannot be"),
        ({"link": (1.0, 2.0, 3.0)}, "`link` cannot be"),
        ({"link": "fast"}, "`link` is a list of numbers"),
        ({"rtt": -1}, "`rtt` cannot be -1"),
        ({"rtt": float("nan")}, "`rtt` cannot be nan"),
        ({"loss": (0.1, 1.0)}, "`loss` cannot be 0.1, 1"),
        ({"loss": ()}, "`loss` cannot be empty"),
        ({"objective": "edp"}, "unknown objective 'edp'"),
        ({"max_drop": -1}, "`max_drop` cannot be -1"),
        ({"server_time": 0}, "`server_time` cannot be 0"),
        ({"server_time": 1, "server_target": "gap9"}, "both say how long the server needs"),
        ({"clock": 0}, "`clock` cannot be 0"),
        ({"radio": "tin"}, "no radio is called 'tin'"),
        ({"idle_power": -1}, "`idle_power` cannot be -1"),
        ({"energy_per_byte": -1}, "`energy_per_byte` cannot be -1"),
        ({}, "is not a run directory"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        api.split(**{"run": tmp_path, "link": 1e6, "rtt": 0.02, **given})
    assert not list(tmp_path.iterdir())


def test_all_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(splitting, "split_run", lambda run, asked, _: told.append((run, asked)))
    api.split("a/run", 1e6, 0.02)
    api.split(
        "run", (1e5, 1e7), 0.0, (0.0, 0.1, 0.0), "energy", 0.5, "gap9", None, "ble", 0.25, 8e-6, 1e8,
        "images.npz", "out",
    )  # fmt: skip
    api.split("run", 1e6, 0.02, server_time=0.5)
    (run, plain), (_, whole), (_, timed) = told
    wifi = RADIOS["wifi"]
    assert run == Path("a/run")
    assert plain == splitting.SplitAsked(
        (1e6, 1e6), 0.02, (0.0,), "latency", None, None, None, wifi, wifi.listen_w, None, None,
        Path("a/run-split"),
    )  # fmt: skip
    assert (whole.rates, whole.rtt_s, whole.losses, whole.objective) == (
        (1e5, 1e7),
        0.0,
        (0.0, 0.1),
        "energy",
    )
    assert (whole.max_drop, whole.server_target, whole.server_time_s) == (0.5, "gap9", None)
    assert (whole.radio.name, whole.radio.send_j_per_bit, whole.radio.send_w) == ("ble", 1e-6, 0.0)
    assert "8e-06 J per byte sent, as was told" in whole.radio.source
    assert (whole.idle_w, whole.clock_hz, whole.data, whole.out) == (0.25, 1e8, "images.npz", Path("out"))
    assert timed.server_time_s == 0.5
