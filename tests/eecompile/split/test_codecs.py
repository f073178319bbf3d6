"""Grids, channels and coders are those that the training images ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eecompile.runtime.split.feature_codec import FeatureCodec
from eecompile.split.codecs import channels_by_worth, entropy_bytes, fitted_codecs, grids, shortest
from eecompile.split.device_costs import CutPlace

RNG = np.random.default_rng(0)


class Sums:
    """A later part whose logits are weighted sums of channels."""

    weights = np.array([[0.0, 3.0, 1.0, 0.1], [0.0, -3.0, 1.0, 0.2]], np.float32)

    def logits(self, features: Any) -> Any:
        return features.astype(np.float32).mean((2, 3)) @ self.weights.T


FEATURES = RNG.normal(size=(80, 4, 3, 3)).astype(np.float32)
PLACE = CutPlace("conv_0", "t", "float32", (1, 4, 3, 3), 1)
PARTS: Any = Sums()


def test_channels_that_change_the_logits_most_come_first() -> None:
    means = FEATURES.mean((0, 2, 3)).astype(np.float64)
    order = channels_by_worth(PARTS, FEATURES, 1, means, PARTS.logits(FEATURES))
    assert order.tolist() == [1, 2, 3, 0]


def test_codecs_keep_the_channels_that_matter_and_none_is_beaten_by_another() -> None:
    found = fitted_codecs(PLACE, PARTS, FEATURES, 1, None)
    assert any(one.codec.bits == 8 and len(one.codec.kept) < 4 for one in found)
    for one in found:
        assert {*one.codec.kept} == {*[1, 2, 3, 0][: len(one.codec.kept)]}
        assert not any(
            other.mean_bytes < one.mean_bytes and other.agree > one.agree
            for other in found
            if other is not one
        )
    best = max(found, key=lambda one: one.agree)
    assert best.agree == 1.0
    part = next(one.codec for one in found if len(one.codec.kept) < 4)
    without = [c for c in range(4) if c not in part.kept]
    assert part.fill == pytest.approx([float(FEATURES[:, c].mean()) for c in without], rel=1e-4)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_grids_lose_no_more_than_those_of_all_the_range(bits: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.exponential(1.0, (800, 2, 8)).astype(np.float32)
    values[0, :, 0] = 20
    low, step = grids(values, 1, bits)
    top = 2**bits - 1

    def error(step: Any) -> float:
        by = np.moveaxis(values, 1, -1)
        codes = np.clip(np.rint((by - low) / step), 0, top)
        return float(((low + codes * step - by) ** 2).mean())

    whole = (values.max((0, 2)) - values.min((0, 2))) / top
    assert error(step) <= error(whole) * (1 + 1e-6) and (low == values.min((0, 2))).all()
    if bits == 2:
        assert (step < whole).all(), "what is far out is clipped"


def test_integers_of_8_bits_and_known_limits_are_kept() -> None:
    ints = RNG.integers(3, 90, (5, 2, 4)).astype(np.uint8)
    assert [part.tolist() for part in grids(ints, 1, 8)] == [[0, 0], [1, 1]]
    low, step = grids(ints.astype(np.float32), 1, 8, (np.array([0.0, -1.0]), np.array([255.0, 1.0])))
    assert low.tolist() == [0, -1] and step.tolist() == [1, pytest.approx(2 / 255)]
    flat = grids(np.ones((4, 1, 3), np.float32), 1, 4)
    assert flat[0].tolist() == [1] and flat[1][0] > 0, "a channel that never changes has a grid, too"


def test_the_coder_is_the_shortest() -> None:
    codec = FeatureCodec("uint8", (1, 1, 16, 16), 1, 8, (0,), (0.0,), (1.0,), ())
    noise = RNG.integers(0, 256, (4, 1, 16, 16)).astype(np.uint8)
    assert shortest(codec, noise).codec.coder == "none" and shortest(codec, noise).mean_bytes == 256
    ramp = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (4, 1, 16, 1))
    ramp = (ramp + RNG.integers(0, 2, ramp.shape)).astype(np.uint8)
    found = shortest(codec, ramp)
    assert found.codec.coder != "none" and found.codec.differences and found.mean_bytes < 100


def test_the_entropy_is_that_of_shares_per_channel() -> None:
    codes = np.zeros((2, 2, 4), np.uint8)
    codes[:, 1] = [0, 1, 2, 3]
    assert entropy_bytes(codes, 1) == pytest.approx(4 * 2 / 8)
    halves = np.tile(np.array([0, 1], np.uint8), (3, 1, 8))
    assert entropy_bytes(halves, 1) == pytest.approx(16 / 8)
