"""Radios are published ones; a name that is none is told."""

from __future__ import annotations

import pytest

from eecompile.split.radios import RADIOS, USUAL_RADIO, radio_named
from passes.errors import InputError


def test_each_radio_has_its_source_and_power() -> None:
    assert USUAL_RADIO in RADIOS
    for name, radio in RADIOS.items():
        assert radio_named(name) is radio and radio.name == name
        assert len(radio.source) > 40 and min(radio.send_w, radio.receive_w, radio.listen_w) > 0
    # Huang et al. 2012, table 4: LTE uplink 438.39 mW/Mbit/s and 1288.04 mW; Wi-Fi 283.17 and 132.86
    lte, wifi = RADIOS["lte"], RADIOS["wifi"]
    assert lte.send_j_per_bit * 1e6 + lte.send_w == pytest.approx(0.43839 + 1.28804)
    # nRF9160, Cat-M1 at 23 dBm: 115 mA of 3.7 V at most
    assert RADIOS["lte-m"].send_w == pytest.approx(0.4255) and RADIOS["lte-m"].listen_w < 0.17
    assert wifi.send_j_per_bit * 1e7 + wifi.send_w == pytest.approx(2.8317 + 0.13286)


def test_an_unknown_radio_is_refused() -> None:
    with pytest.raises(InputError, match="no radio is called 'wify'") as raised:
        radio_named("wify")
    assert "wifi" in raised.value.hint
