"""Features there and back, for all precisions, channels and coders; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.runtime.split.coding import CODERS
from eecompile.runtime.split.feature_codec import BITS, HEAD, FeatureCodec, PayloadError, opened
from passes.errors import InputError

PART = b"12345678"
SHAPE = (1, 4, 3, 5)
KINDS = ("float32", "uint8", "int8")


def features(kind: str, seed: int, shape: tuple[int, ...] = SHAPE) -> Any:
    rng = np.random.default_rng(seed)
    if kind == "float32":
        return (20 * rng.normal(size=shape)).astype(np.float32)
    ends = np.iinfo(kind)
    return rng.integers(ends.min, ends.max + 1, shape).astype(kind)


def codec_of(
    kind: str, bits: int, kept: tuple[int, ...], coder: str, differences: bool, values: Any, axis: int = 1
) -> FeatureCodec:
    """Return a codec whose grid spans all values."""
    low, high = float(values.min()), float(values.max())
    count = 0 if bits == 32 else len(kept)
    step = (high - low) / (2**bits - 1) if bits < 32 else 1.0
    left = values.shape[axis] - len(kept)
    return FeatureCodec(
        kind,
        values.shape,
        axis,
        bits,
        kept,
        (low,) * count,
        (step,) * count,
        (3.0,) * left,
        coder,
        differences,
    )


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.sampled_from(BITS),
    st.sets(st.integers(0, 3), min_size=1),
    st.sampled_from(sorted(CODERS)),
    st.booleans(),
    st.sampled_from((1, 3)),
    st.integers(0, 99),
)
def test_there_and_back(
    kind: str, bits: int, some: set[int], coder: str, differences: bool, axis: int, seed: int
) -> None:
    """The error is at most half a step, and nothing at 32 bits; what is not sent has its fill."""
    values, kept = features(kind, seed), tuple(sorted(some))
    codec = codec_of(kind, bits, kept, coder, differences and bits < 32, values, axis)
    payload = codec.encode(PART, values)
    found = codec.decode(payload)
    assert found.shape == SHAPE and found.dtype == values.dtype
    there, back = (np.take(a.astype(np.float64), kept, axis) for a in (values, found))
    rounding = 0.5 if kind != "float32" else 1e-4
    most = 0.0 if bits == 32 else codec.step[0] / 2 + rounding
    assert np.abs(there - back).max() <= most
    others = [c for c in range(SHAPE[axis]) if c not in some]
    assert (np.take(found, others, axis) == 3).all()
    assert codec.packed_bytes == -(-codec.values * min(bits, 8 * values.itemsize) // 8)
    assert len(payload) <= HEAD.size + codec.packed_bytes
    if coder == "none":
        assert len(payload) == HEAD.size + codec.packed_bytes
    assert FeatureCodec.from_json(codec.to_json()) == codec


def test_a_batch_is_coded_as_its_images() -> None:
    values = features("float32", 0, (6, 4, 3, 5))
    codec = codec_of("float32", 4, (0, 2), "huffman", True, values[:1])
    together = codec.restored(codec.codes(values))
    alone = [codec.decode(codec.encode(PART, image[None])) for image in values]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_integers_of_8_bits_lose_nothing() -> None:
    for kind, low in (("uint8", 0.0), ("int8", -128.0)):
        values = features(kind, 1)
        codec = FeatureCodec(kind, SHAPE, 1, 8, (0, 1, 2, 3), (low,) * 4, (1.0,) * 4, (), "huffman", True)
        np.testing.assert_array_equal(codec.decode(codec.encode(PART, values)), values)


def test_nan_is_sent_as_the_least_value() -> None:
    values = features("float32", 2)
    codec = codec_of("float32", 8, (0, 1, 2, 3), "none", False, values)
    values[0, 0, 0, 0] = np.nan
    assert codec.decode(codec.encode(PART, values))[0, 0, 0, 0] == np.float32(codec.low[0])


def test_a_payload_is_read_only_whole() -> None:
    values = features("uint8", 3)
    codec = codec_of("uint8", 4, (0, 1, 2, 3), "huffman", False, values)
    payload = codec.encode(PART, values)
    assert opened(payload)[1] == PART
    for number in range(len(payload)):
        wrong = bytearray(payload)
        wrong[number] ^= 1
        if 2 <= number < 10:  # another part: who has it, decides
            assert opened(bytes(wrong))[1] != PART
            continue
        with pytest.raises(PayloadError):
            codec.decode(bytes(wrong))
    for wrong_size in (payload[:-1], payload + b"x", payload[:5], b""):
        with pytest.raises(PayloadError):
            codec.decode(wrong_size)
    other = replace(codec, kept=(0, 1), low=codec.low[:2], step=codec.step[:2], fill=(0.0, 0.0))
    with pytest.raises(PayloadError, match="not 15"):
        other.decode(payload)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bits": 3}, {"coder": "zip"}, {"kept": ()}, {"kept": (1, 0)}, {"kept": (0, 9)}, {"step": (0.0,) * 4},
        {"low": ()}, {"fill": (1.0,)}, {"made_up": 1},
    ],
)  # fmt: skip
def test_what_is_no_codec_is_refused(wrong: dict[str, Any]) -> None:
    codec = codec_of("uint8", 4, (0, 1, 2, 3), "huffman", False, features("uint8", 3))
    with pytest.raises(InputError, match="a recorded codec cannot be read"):
        FeatureCodec.from_json(codec.to_json() | wrong)


def test_another_codec_or_model_has_another_name() -> None:
    codec = codec_of("uint8", 4, (0, 1, 2, 3), "huffman", False, features("uint8", 3))
    names = {codec.name_for("a"), codec.name_for("b"), replace(codec, coder="rle").name_for("a")}
    assert len(names) == 3 and {len(name) for name in names} == {8}
    assert codec.words == "4 bit, huffman"
    assert replace(codec, differences=True).words == "4 bit, huffman of differences"
