"""What sending costs a device in energy: published power models of radios."""

from __future__ import annotations

from dataclasses import dataclass

from passes.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Radio:
    """Power while sending or receiving at R bit/s: ``base_w + per_bit * R``, so a bit costs both over R.

    Attributes:
        name: What options call it.
        send_j_per_bit: Joules a bit sent adds.
        receive_j_per_bit: Joules a bit received adds.
        send_w: Watts while sending, whatever the rate.
        receive_w: Watts while receiving.
        listen_w: Watts while the answer is waited for.
        source: Where the figures stand, and how far off they are known to be.
    """

    name: str
    send_j_per_bit: float
    receive_j_per_bit: float
    send_w: float
    receive_w: float
    listen_w: float
    source: str


_HUANG = (
    "Huang et al., A Close Examination of Performance and Power Characteristics of 4G LTE Networks, "
    "MobiSys 2012, table 4, of smartphones; the authors tell an error of their model below 6 % on traces; "
    "bursts and tails of a connection are not counted"
)
RADIOS = {
    radio.name: radio
    for radio in (
        Radio("wifi", 283.17e-9, 137.01e-9, 0.13286, 0.13286, 0.13286, _HUANG),
        Radio("3g", 868.98e-9, 122.12e-9, 0.81788, 0.81788, 0.81788, _HUANG),
        Radio("lte", 438.39e-9, 51.97e-9, 1.28804, 1.28804, 1.28804, _HUANG),
        Radio(
            "lte-m",
            0.0,
            0.0,
            115e-3 * 3.7,
            45e-3 * 3.7,
            45e-3 * 3.7,
            "nRF9160 product specification, modem current in connected mode, Cat-M1: 100 to 115 mA by band "
            "at 180 kbit/s and 23 dBm (the most is taken; 50 to 55 mA at 10 dBm), at 3.7 V, the supply of "
            "its maker's power profiler; receiving and waiting as at 0 dBm, 45 mA, an upper bound; at other "
            "rates the power is taken for the same, and bursts and tails of a connection are not counted",
        ),
        Radio(
            "ble",
            0.0,
            0.0,
            4.8e-3 * 3,
            4.6e-3 * 3,
            4.6e-3 * 3,
            "nRF52840 product specification, radio at 3 V with DC/DC: 4.8 mA sending at 0 dBm, 4.6 mA "
            "receiving at 1 Mbit/s; typical values of the radio alone, and an upper bound while waiting, as "
            "it then may sleep between connection events",
        ),
    )
}  # fmt: skip
USUAL_RADIO = "wifi"


def radio_named(name: str) -> Radio:
    """Return a radio; raises InputError for an unknown one."""
    if name not in RADIOS:
        raise InputError(f"no radio is called '{name}'", did_you_mean(name, RADIOS))
    return RADIOS[name]
