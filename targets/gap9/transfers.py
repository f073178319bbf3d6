"""How a layer is cut to fit L1, and what its DMA moves before, beside and after the work.

While one tile is worked on, the next one is loaded and the last one written, so L1 holds what is cut twice
and what is not cut once. Source: the double-buffered flow of DORY and of GreenWaves' own tiler. Which cuts
are compared is this project's, and agrees with what layers of GreenWaves' log of EfficientNet-Lite0 take:
rows in multiples of NE16's block, as many channels as fit in multiples of 8.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from targets.cost.layer_cost import ceil_div
from targets.gap9.ne16 import INPUT_CHANNELS, row_block
from targets.network.layer import Layer, LoopDims

BUFFERS = 2
CHANNEL_STEP = 8
MORE_TILES = 2
"""Cuts into at most so many times as many tiles as needed are compared."""
COMPARED = 16
"""Equal pieces are compared in so many steps."""


@dataclass(frozen=True)
class Tiling:
    """One way to cut a layer, and the bytes that move: of its first tile, of its last results, of all else.

    Attributes:
        rows: Output rows of a tile (rows of a product).
        channels: Output channels of a tile.
        tiles: Number of tiles.
        first_bytes: Loaded before work can start.
        last_bytes: Results written after the work is over.
        beside_bytes: All else.
        read_bytes: Of all these, those of its inputs.
        read_runs: Pieces in a row that the inputs are read in.
        written_runs: Pieces in a row that the results are written in.
    """

    rows: int
    channels: int
    tiles: int
    first_bytes: int
    last_bytes: int
    beside_bytes: int
    read_bytes: int
    read_runs: int
    written_runs: int


def stored_weight_bytes(layer: Layer) -> int:
    """Return the size of weights and bias; weights are stored with input channels padded to 16.

    Source: MATCH (eml-eda/match, weight encoding of its GAP9 target) and the GAP SDK.
    """
    if layer.weight is None:
        return 0
    dims = layer.dims
    elements = layer.weight.elements
    if dims is not None and dims.depthwise:
        elements = ceil_div(dims.g, INPUT_CHANNELS) * INPUT_CHANNELS * dims.fy * dims.fx
    elif dims is not None:
        elements = ceil_div(dims.c, INPUT_CHANNELS) * INPUT_CHANNELS * (layer.weight.elements // dims.c)
    return ceil_div(elements * layer.weight.bits, 8) + (layer.bias.size_bytes if layer.bias else 0)


@functools.lru_cache(maxsize=4096)
def linear_cuts(layer: Layer, l1_bytes: int) -> tuple[Tiling, ...]:
    """Return the ways to cut a convolution or product for NE16, with the fewest tiles and up to double.

    Empty if not even one block of rows and channels fits.
    """
    dims = layer.dims
    if dims is None:
        return ()
    image = _Image(layer, dims)
    step = row_block(dims)
    found = image.cuts(image.rows, l1_bytes)
    for rows in range(step, image.rows, step):
        cuts = image.cuts(rows, l1_bytes)
        if not cuts:
            break  # More rows take more room.
        found += cuts
    least = min((cut.tiles for cut in found), default=0)
    return tuple(cut for cut in dict.fromkeys(found) if cut.tiles <= MORE_TILES * least)


def equal_cuts(layer: Layer, l1_bytes: int) -> tuple[Tiling, ...]:
    """Return the ways to cut a layer of the cluster: as few equal pieces as fit twice, and up to double.

    Everything moves once: inputs, stored weights or constants, and results.
    """
    constant_bytes = stored_weight_bytes(layer) + (layer.constant.size_bytes if layer.constant else 0)
    read, written = layer.read_bytes + constant_bytes, layer.output_bytes
    least = max(1, ceil_div(read + written, l1_bytes // BUFFERS))
    found = []
    steps = min(least, COMPARED)
    for pieces in (least + least * (MORE_TILES - 1) * step // steps for step in range(steps + 1)):
        first, last = ceil_div(read, pieces), ceil_div(written, pieces)
        found.append(
            Tiling(
                rows=1,
                channels=1,
                tiles=pieces,
                first_bytes=first,
                last_bytes=last,
                beside_bytes=read + written - first - last,
                read_bytes=layer.read_bytes,
                read_runs=pieces,
                written_runs=pieces,
            )
        )
    return tuple(found)


class _Image:
    """A layer as rows and channels of inputs and results."""

    def __init__(self, layer: Layer, dims: LoopDims) -> None:
        self._dims = dims
        product = dims.oy * dims.ox == 1
        self.rows = dims.b if product else dims.oy
        self.channels = dims.g if dims.depthwise else dims.k
        self._rows_in = dims.b if product else dims.iy
        self._columns_in, self._columns = (1, 1) if product else (dims.ix, dims.ox)
        self._in_bytes, self._out_bytes = layer.input_bytes, layer.output_bytes
        self._weight_bytes = stored_weight_bytes(layer)
        self._stride = 1 if product else dims.stride_y
        self._reach = 1 if product else dims.fy

    def _read_rows(self, rows: int) -> int:
        return min(self._rows_in, (rows - 1) * self._stride + self._reach)

    def _share(self, size_bytes: int, channels: int) -> int:
        return ceil_div(size_bytes * channels, self.channels)

    def _tile_in(self, rows: int, channels: int) -> int:
        """Return bytes of inputs of a tile; a depthwise tile reads its own channels alone."""
        read = ceil_div(self._in_bytes * self._read_rows(rows), self._rows_in)
        return self._share(read, channels) if self._dims.depthwise else read

    def _tile_out(self, rows: int, channels: int) -> int:
        return self._share(ceil_div(self._out_bytes * rows, self.rows), channels)

    def bytes_in_l1(self, rows: int, channels: int) -> int:
        """Return what tiles of this size take in L1; what is cut is there twice."""
        by_rows, by_channels = rows < self.rows, channels < self.channels
        again = by_rows or (by_channels and self._dims.depthwise)
        return (
            self._tile_in(rows, channels) * (BUFFERS if again else 1)
            + self._tile_out(rows, channels) * (BUFFERS if by_rows or by_channels else 1)
            + self._share(self._weight_bytes, channels) * (BUFFERS if by_channels else 1)
        )

    def most_channels(self, rows: int, l1_bytes: int) -> int:
        """Return the most output channels of a tile, less than all, that fit; 0 if none do."""
        step = INPUT_CHANNELS if self._dims.depthwise else CHANNEL_STEP
        low, high = 0, (self.channels - 1) // step
        while low < high:
            middle = (low + high + 1) // 2
            if self.bytes_in_l1(rows, middle * step) <= l1_bytes:
                low = middle
            else:
                high = middle - 1
        return low * step

    def cuts(self, rows: int, l1_bytes: int) -> list[Tiling]:
        """Return the cuts into so many rows: with all channels, and with the most that are less."""
        found = [self.cut(rows, self.channels)] if self.bytes_in_l1(rows, self.channels) <= l1_bytes else []
        most = self.most_channels(rows, l1_bytes)
        return [*found, self.cut(rows, most)] if most else found

    def cut(self, rows: int, channels: int) -> Tiling:
        """Return the cut; where both operands of a dense layer are cut, the smaller one comes again."""
        row_tiles, chunks = ceil_div(self.rows, rows), ceil_div(self.channels, channels)
        halo = max(0, self._reach - self._stride)
        read = self._in_bytes + (row_tiles - 1) * halo * ceil_div(self._in_bytes, self._rows_in)
        weights, times = self._weight_bytes, 1
        if row_tiles > 1 and chunks > 1 and not self._dims.depthwise:
            if read * chunks + weights <= read + weights * row_tiles:
                times = chunks
            else:
                weights *= row_tiles
        read *= times
        first = self._tile_in(rows, channels) + self._share(self._weight_bytes, channels)
        last = self._tile_out(self.rows - (row_tiles - 1) * rows, self.channels - (chunks - 1) * channels)
        pixels_read = (self._rows_in + (row_tiles - 1) * halo) * self._columns_in
        narrow_in = chunks > 1 and self._dims.depthwise
        return Tiling(
            rows=rows, channels=channels, tiles=row_tiles * chunks, first_bytes=first, last_bytes=last,
            beside_bytes=max(0, read + weights + self._out_bytes - first - last), read_bytes=read,
            read_runs=pixels_read * chunks if narrow_in else row_tiles * times,
            written_runs=self.rows * self._columns * chunks if chunks > 1 else row_tiles,
        )  # fmt: skip
