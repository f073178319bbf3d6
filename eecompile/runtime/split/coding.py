"""How a payload's bytes are entropy-coded: deflate without a window, so that small devices can."""

from __future__ import annotations

import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Coder:
    """A way to make bytes fewer; all are read by one inflate.

    Attributes:
        name: ``none``, ``huffman``, ``rle`` or ``deflate``.
        strategy: Of zlib; ``None``: bytes stay as they are.
        window_bits: Window of 2^n bytes; huffman and rle look at none.
        memory_level: Of zlib.
    """

    name: str
    strategy: int | None
    window_bits: int = 9
    memory_level: int = 4

    @property
    def memory_bytes(self) -> int:
        """What zlib's encoder takes: 2^(window + 2) + 2^(level + 9), as zconf.h says."""
        if self.strategy is None:
            return 0
        return int((1 << (self.window_bits + 2)) + (1 << (self.memory_level + 9)))

    def encode(self, data: bytes) -> bytes:
        """Return ``data`` with fewer bytes, or more where it has no structure."""
        if self.strategy is None:
            return data
        level = 6 if self.strategy == zlib.Z_DEFAULT_STRATEGY else 1
        made = zlib.compressobj(level, zlib.DEFLATED, -self.window_bits, self.memory_level, self.strategy)
        return made.compress(data) + made.flush()


CODERS = {
    coder.name: coder
    for coder in (
        Coder("none", None),
        Coder("huffman", zlib.Z_HUFFMAN_ONLY),
        Coder("rle", zlib.Z_RLE),
        Coder("deflate", zlib.Z_DEFAULT_STRATEGY, 12, 5),
    )
}


def inflated(data: bytes, size: int) -> bytes:
    """Return what was coded, which has ``size`` bytes.

    Raises:
        ValueError: It is damaged, or has another size; no more than ``size`` bytes are made of it.
    """
    reader = zlib.decompressobj(-15)
    try:
        found = reader.decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError(f"the code is damaged: {error}") from None
    if len(found) != size or not reader.eof or reader.unused_data:
        raise ValueError(f"the code holds {len(found)} bytes or more, not {size}")
    return found
