"""Features as few bytes: which channels, on what grid, coded how; and back."""

from __future__ import annotations

import functools
import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.split.coding import CODERS, inflated
from passes.errors import InputError

Array = NDArray[Any]
FLOAT_BITS = 32
BITS = (FLOAT_BITS, 8, 4, 2)
HEAD = struct.Struct("<BB8sI")
"""Version, whether coded, part, checksum of the rest."""
_VERSION = 1


class PayloadError(ValueError):
    """A payload that cannot be read: damaged, of another plan, or none at all."""


@dataclass(frozen=True)
class FeatureCodec:
    """How one tensor of one image is sent.

    A value of channel c becomes ``clip(rint((value - low[c]) / step[c]), 0, 2^bits - 1)``; channels that are
    not sent are filled with ``fill``. At 32 bits values go as they are.

    Attributes:
        dtype: Of the tensor: ``float32``, ``uint8`` or ``int8``.
        shape: Its sizes, [1, ...].
        axis: The one along which channels lie.
        bits: 32, 8, 4 or 2.
        kept: Numbers of the channels that are sent, rising.
        low: Of each channel that is sent.
        step: Alike.
        fill: Of each channel that is not sent, in their order.
        coder: Name of one of `CODERS`.
        differences: Codes along the last axis are sent as differences to the one before, modulo 2^bits.
    """

    dtype: str
    shape: tuple[int, ...]
    axis: int
    bits: int
    kept: tuple[int, ...]
    low: tuple[float, ...]
    step: tuple[float, ...]
    fill: tuple[float, ...]
    coder: str = "none"
    differences: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no codec.

        Raises:
            ValueError: Numbers that do not go together.
        """
        channels = self.shape[self.axis]
        if self.bits not in BITS or self.coder not in CODERS:
            raise ValueError(f"there is no codec of {self.bits} bits and coder '{self.coder}'")
        if not self.kept or sorted({*self.kept}) != [*self.kept] or not 0 <= self.kept[-1] < channels:
            raise ValueError(f"channels {self.kept} are none of {channels}")
        of_grid = len(self.kept) if self.bits != FLOAT_BITS else 0
        if (len(self.low), len(self.step)) != (of_grid, of_grid) or not all(self.step):
            raise ValueError("each channel that is sent has a grid, with steps above 0")
        if len(self.fill) != channels - len(self.kept):
            raise ValueError("each channel that is not sent has one fill value")

    @property
    def values(self) -> int:
        """How many values are sent."""
        return int(np.prod(self.shape)) // self.shape[self.axis] * len(self.kept)

    @property
    def packed_bytes(self) -> int:
        """How many bytes they take before they are coded."""
        if self.bits == FLOAT_BITS:
            return self.values * np.dtype(self.dtype).itemsize
        return -(-self.values * self.bits // 8)

    @property
    def words(self) -> str:
        """What it is, in a few words."""
        channels = self.shape[self.axis]
        bits = "as they are" if self.bits == FLOAT_BITS else f"{self.bits} bit"
        some = "" if len(self.kept) == channels else f", {len(self.kept)} of {channels} channels"
        coded = "" if self.coder == "none" else f", {self.coder}"
        return f"{bits}{some}{coded}{' of differences' if self.differences else ''}"

    def codes(self, features: Array) -> Array:
        """Return the integers [1, ...] that are sent for ``features``, channels first along their axis."""
        kept = np.take(features, self.kept, self.axis)
        if self.bits == FLOAT_BITS:
            return np.ascontiguousarray(kept)
        low, step = (self._along(values) for values in (self.low, self.step))
        scaled = np.rint((kept.astype(np.float32) - low) / step)
        found: Array = np.clip(np.nan_to_num(scaled), 0, 2**self.bits - 1).astype(np.uint8)
        if self.differences:
            before = np.zeros_like(found)
            before[..., 1:] = found[..., :-1]
            found = (found - before) & np.uint8(2**self.bits - 1)
        return found

    def restored(self, codes: Array) -> Array:
        """Return features of which ``codes`` were sent, as the server reads them."""
        kind = np.dtype(self.dtype)
        values = codes
        if self.bits != FLOAT_BITS:
            if self.differences:
                codes = np.cumsum(codes, axis=-1, dtype=np.uint8) & np.uint8(2**self.bits - 1)
            low, step = (self._along(values) for values in (self.low, self.step))
            values = _as_kind(low + step * codes.astype(np.float32), kind)
        if len(self.kept) == self.shape[self.axis]:
            return np.ascontiguousarray(values)
        found: Array = np.empty((len(codes), *self.shape[1:]), kind)
        moved = np.moveaxis(found, self.axis, 0)
        moved[list(self.kept)] = np.moveaxis(values, self.axis, 0)
        for channel, value in zip(self._dropped, self.fill, strict=True):
            moved[channel] = _as_kind(np.float32(value), kind)
        return found

    def body(self, features: Array) -> tuple[bool, bytes]:
        """Return whether the values [1, ...] of an image were coded, and their bytes."""
        packed = self._packed(self.codes(features))
        coded = CODERS[self.coder].encode(packed)
        return (True, coded) if len(coded) < len(packed) else (False, packed)

    def encode(self, part: bytes, features: Array) -> bytes:
        """Return the payload of an image for the server's part with these 8 bytes as its name."""
        coded, body = self.body(features)
        return HEAD.pack(_VERSION, coded, part, zlib.crc32(body)) + body

    def decode(self, payload: bytes) -> Array:
        """Return the features [1, ...] of a payload.

        Raises:
            PayloadError: It is damaged.
        """
        coded, _, body = opened(payload)
        try:
            packed = inflated(body, self.packed_bytes) if coded else body
        except ValueError as error:
            raise PayloadError(str(error)) from None
        if len(packed) != self.packed_bytes:
            raise PayloadError(f"the payload holds {len(packed)} bytes, not {self.packed_bytes}")
        return self.restored(self._unpacked(packed))

    def name_for(self, model_sha256: str) -> bytes:
        """Return the 8 bytes that name this codec in front of a model: another of either has another."""
        text = json.dumps(self.to_json(), sort_keys=True) + model_sha256
        return hashlib.sha256(text.encode()).digest()[:8]

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads back."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> FeatureCodec:
        """Read a recorded codec.

        Raises:
            InputError: Keys missing, or values that do not go together.
        """
        try:
            fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
            return FeatureCodec(**fields)
        except (TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"a recorded codec cannot be read: {error}", "make the split again with `eecompile split`"
            ) from None

    @functools.cached_property
    def _dropped(self) -> list[int]:
        return [c for c in range(self.shape[self.axis]) if c not in set(self.kept)]

    def _along(self, values: tuple[float, ...]) -> Array:
        shape = [1] * len(self.shape)
        shape[self.axis] = -1
        return np.array(values, np.float32).reshape(shape)

    def _packed(self, codes: Array) -> bytes:
        flat = codes.reshape(-1)
        each = 8 // self.bits if self.bits < 8 else 1
        if each == 1:
            return flat.tobytes()
        padded = np.zeros(-(-len(flat) // each) * each, np.uint8)
        padded[: len(flat)] = flat
        shifts = np.arange(each, dtype=np.uint8) * np.uint8(self.bits)
        packed: Array = np.bitwise_or.reduce(padded.reshape(-1, each) << shifts, axis=1)
        return packed.astype(np.uint8).tobytes()

    def _unpacked(self, packed: bytes) -> Array:
        shape = list(self.shape)
        shape[self.axis] = len(self.kept)
        if self.bits == FLOAT_BITS:
            return np.frombuffer(packed, self.dtype).reshape(shape)
        flat = np.frombuffer(packed, np.uint8)
        if self.bits < 8:
            shifts = np.arange(8 // self.bits, dtype=np.uint8) * np.uint8(self.bits)
            flat = ((flat[:, None] >> shifts) & np.uint8(2**self.bits - 1)).reshape(-1)
        return flat[: self.values].reshape(shape)


def opened(payload: bytes) -> tuple[bool, bytes, bytes]:
    """Return whether a payload is coded, the name of the part it is for, and its body.

    Raises:
        PayloadError: It is none, of another version, or damaged.
    """
    if len(payload) < HEAD.size:
        raise PayloadError(f"{len(payload)} bytes are no payload")
    version, coded, part, checksum = HEAD.unpack_from(payload)
    body = payload[HEAD.size :]
    if version != _VERSION or coded not in (0, 1):
        raise PayloadError(f"it is no payload of version {_VERSION}")
    if zlib.crc32(body) != checksum:
        raise PayloadError("its checksum is another: it was damaged on the way")
    return bool(coded), part, body


def _as_kind(values: Array | np.float32, kind: np.dtype[Any]) -> Array:
    """Return float32 values in the type of a tensor; integers are the nearest there are."""
    if kind.kind == "f":
        return np.asarray(values, kind)
    limits = np.iinfo(kind)
    return np.clip(np.rint(values), limits.min, limits.max).astype(kind)
