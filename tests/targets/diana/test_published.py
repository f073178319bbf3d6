"""The published latency models against published sums, without DMA unless said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.diana import match, odimo
from targets.diana.tiling import linear_traffic
from targets.network.layer import LoopDims
from tests.targets.networks import ds_cnn, linear_layer, mobilenet_v1_025, resnet8, resnet20, square

CLOCK_KHZ = 260e3
L1, WEIGHTS = 262144, 65536

dims_strategy = st.builds(
    square,
    st.integers(1, 128),
    st.integers(1, 128),
    st.integers(1, 40),
    st.sampled_from((1, 3, 5, 7)),
    st.sampled_from((1, 2)),
)


def match_ms(network: list[LoopDims]) -> float:
    """Compute, and per depthwise channel the load of its padded weights and bias, in ms."""
    total = 0
    for dims in network:
        total += match.digital_compute_cycles(dims)
        if dims.depthwise:
            traffic = linear_traffic(linear_layer(dims), L1, WEIGHTS)
            assert traffic is not None
            total += match.transfer_cycles(traffic.weight_bytes, dims.g, 16, 70)
    return total / CLOCK_KHZ


def odimo_ms(network: list[LoopDims]) -> float:
    return (
        sum(odimo.digital_compute_cycles(d) + odimo.digital_transfer_cycles(d) for d in network) / CLOCK_KHZ
    )


@pytest.mark.parametrize(
    ("network", "odimo_expected", "match_expected"),
    [
        (resnet8, 0.314, 0.448),
        (resnet20, 0.976, 1.41),
        (ds_cnn, 0.401, 1.38),
        (mobilenet_v1_025, 0.802, 2.69),
    ],
)
def test_sums_over_networks(
    network: Callable[[], list[LoopDims]], odimo_expected: float, match_expected: float
) -> None:
    source = "convolutions and fully connected layers at 260 MHz, all digital, by the formulas of {}"
    assert odimo_ms(network()) == pytest.approx(odimo_expected, abs=0.0006), source.format("ODiMO / PLiNIO")
    assert match_ms(network()) == pytest.approx(match_expected, rel=0.0035), source.format("MATCH")


def test_macs_of_the_networks() -> None:
    published = "MLPerf Tiny: ResNet8 has 12.5 M MACs, MobileNetV1-0.25 at 96x96 has 7.49 M"
    assert sum(d.iterations for d in resnet8()) == 12_501_632, published
    assert sum(d.iterations for d in mobilenet_v1_025()) == 7_489_664, published


@given(dims_strategy)
def test_no_model_beats_the_array(dims: LoopDims) -> None:
    assert match.digital_compute_cycles(dims) * 256 >= dims.iterations
    assert odimo.digital_compute_cycles(dims) * 256 >= dims.iterations
    assert match.digital_compute_cycles(dims) >= odimo.digital_compute_cycles(dims)
