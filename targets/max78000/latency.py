"""The vendor's closed form of how many cycles the accelerator takes for a layer.

Source: analogdevicesinc/ai8x-synthesis, ``izer/latency.py`` (facts; written here in another form). Nineteen
counts of its ``izer/test/test_cycles.py`` are held to the cycle by the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

START_CYCLES = 1
"""Before the first layer of a network."""
_READ, _SHIFT, _FILL = 1, 1, 1
"""Cycles to read a value, to shift it into the line buffer, and of a position that no output comes from."""


@dataclass(frozen=True)
class Job:
    """What the accelerator does in one go: pool while it reads, then convolve, or pass through.

    Attributes:
        rows: Of the input. A one-dimensional layer has its length here and one column.
        columns: Of the input.
        passes: Over the input channels, 64 at a time.
        outputs: Output channels.
        kernel: Rows and columns; of a pass-through (1, 1).
        padding: Rows and columns of zeros on each side.
        pool: Rows and columns of the window it pools over.
        pool_stride: Along both axes.
        operands: Tensors that are added up while they are read.
        convolves: False for a pass-through.
        depthwise: Each output comes from one input channel.
        flatten: All positions are inputs of a fully connected layer.
        doubled: Zeros are put between rows and columns: a transposed convolution with stride 2.
        pool_last: Operands are added up before pooling instead of after it; pass-through only.
        slots: Cycles in which a pass-through writes a position, per pass.
    """

    rows: int
    columns: int
    passes: int
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    pool: tuple[int, int] = (1, 1)
    pool_stride: int = 1
    operands: int = 1
    convolves: bool = True
    depthwise: bool = False
    flatten: bool = False
    doubled: bool = False
    pool_last: bool = False
    slots: int = 1

    @property
    def pooled(self) -> tuple[int, int]:
        """Rows and columns that are convolved."""
        scale = 2 if self.doubled else 1
        return (
            (scale * self.rows - self.pool[0]) // self.pool_stride + 1,
            (scale * self.columns - self.pool[1]) // self.pool_stride + 1,
        )

    @property
    def written(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        rows, columns = self.pooled
        return (
            rows + 2 * self.padding[0] - self.kernel[0] + 1,
            columns + 2 * self.padding[1] - self.kernel[1] + 1,
        )

    @property
    def cycles(self) -> int:
        """Cycles it takes.

        Raises:
            ValueError: Operands are added up before pooling and a convolution: what that takes depends on
                where the weights lie.
        """
        rows, columns = self.pooled
        window = self.pool[0] * self.pool[1]
        read = self.operands * (window * _READ + _SHIFT)
        if self.pool_last:
            if self.convolves:
                raise ValueError("no closed form for pooling between an addition and a convolution")
            read = self.operands * window * _READ + _SHIFT
        if not self.convolves:
            return rows * columns * self.passes * (read + self.slots)
        zero = self.passes * self.operands * (_READ + _SHIFT)
        return self._convolution(rows, columns, zero, self.passes * read)

    def _convolution(self, rows: int, columns: int, zero: int, data: int) -> int:
        """Return the cycles of all rows: those that fill the line buffers, and those with outputs."""
        above, beside = self.padding
        lead_rows, lead_columns = self.kernel[0] - 1 - above, self.kernel[1] - 1 - beside
        ends = 2 * beside * (zero + _FILL)

        def filling(position: int) -> int:
            return ends + columns * (position + _FILL)

        def computing(position: int) -> int:
            begin = beside * (zero + _FILL) + lead_columns * (position + _FILL)
            return begin + (self.written[1] - beside) * position + beside * zero + self._row_of_outputs()

        return (
            int(self.flatten)
            + above * filling(zero)
            + lead_rows * filling(data)
            + (rows - lead_rows) * computing(data)
            + above * computing(zero)
        )

    def _row_of_outputs(self) -> int:
        """Return the cycles to write one row: a channel each cycle and pass."""
        columns = self.written[1]
        if self.depthwise:
            return columns * self.outputs
        alone = 1 if self.outputs == self.passes == 1 else 0
        return self.passes * columns * self.outputs + alone
