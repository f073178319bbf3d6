"""What sending takes: bytes with their heads, round trips, and what is lost and sent again."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.runtime.split.link_speed import SEGMENT_BYTES
from eecompile.split.link import SplitLink
from eecompile.split.radios import RADIOS

BYTES = np.array([100.0, 1460.0, 1461.0, 20_000.0])


def test_without_loss_a_request_takes_its_bits_a_round_trip_and_the_work() -> None:
    link = SplitLink(0.02, 0.0, 160)
    line = link.latency(BYTES, 0.003)
    assert link.segments(BYTES).tolist() == [1, 1, 2, 14]
    wire = BYTES + 40 * link.segments(BYTES) + 160 + 40
    np.testing.assert_allclose(line.fixed, 0.023)
    np.testing.assert_allclose(line.per_bit_s, 8 * wire)
    np.testing.assert_allclose(line.at(1e-6), 0.023 + 8e-6 * wire)


def simulated(size: int, loss: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the mean rounds of sending segments until all are there, and its 99th percentile."""
    count = -(-size // SEGMENT_BYTES) + 1
    rounds = rng.geometric(1 - loss, (200_000, count)).max(axis=1)
    return float(rounds.mean()), float(np.quantile(rounds, 0.99))


@pytest.mark.parametrize("size", [100, 20_000])
@pytest.mark.parametrize("loss", [0.02, 0.3])
def test_lost_segments_come_again_as_in_a_simulation(size: int, loss: float) -> None:
    mean, p99 = simulated(size, loss, np.random.default_rng(0))
    link, clean = SplitLink(1.0, loss), SplitLink(1.0, 0.0)
    request = np.array([float(size)])
    assert link.latency(request, 0.0).fixed[0] == pytest.approx(mean, rel=0.005)
    bits = link.latency(request, 0.0).per_bit_s[0]
    assert bits == pytest.approx(clean.latency(request, 0.0).per_bit_s[0] / (1 - loss))
    quantile = link.quantile_latency(float(size), 0.0, 0.0, np.array([0.0, 0.99]))
    assert quantile.tolist() == [1.0, p99]


def test_without_loss_nothing_is_drawn() -> None:
    link = SplitLink(0.02)
    times = link.quantile_latency(100.0, 0.003, 1e-6, np.array([0.1, 0.99]))
    np.testing.assert_allclose(times, link.latency(np.array([100.0]), 0.003).at(1e-6)[0])


def test_energy_is_that_of_the_radio_by_bit_and_by_time_and_of_waiting() -> None:
    link, radio = SplitLink(0.02, 0.0, 160), RADIOS["wifi"]
    line = link.energy(BYTES[:1], 0.003, radio, 0.5)
    sent, got = 8 * 140.0, 8 * 200.0
    waits = 0.5 * 0.023
    assert line.fixed[0] == pytest.approx(radio.send_j_per_bit * sent + radio.receive_j_per_bit * got + waits)
    assert line.per_bit_s[0] == pytest.approx(radio.send_w * sent + radio.receive_w * got)
    lossy = SplitLink(0.02, 0.5, 160).energy(BYTES[:1], 0.003, radio, 0.0)
    assert lossy.fixed[0] == pytest.approx(2 * link.energy(BYTES[:1], 0.003, radio, 0.0).fixed[0])


@pytest.mark.parametrize("wrong", [(-1.0, 0.0), (float("inf"), 0.0), (0.0, 1.0), (0.0, -0.1)])
def test_what_is_no_link_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a link has"):
        SplitLink(*wrong)


def test_nobody_sends() -> None:
    """A plan may let all images of val leave before its cut."""
    line = SplitLink(rtt_s=0.02, loss=0.1, answer_bytes=100).latency(np.zeros(0), 0.001)
    assert line.fixed.shape == line.per_bit_s.shape == (0,)
