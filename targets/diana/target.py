"""DIANA: digital and analog in-memory cores, pooling, SIMD and a RISC-V host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from targets.contract.target import Alternative
from targets.diana.fused import RowAssumptions
from targets.diana.rows import DianaRows
from targets.diana.whole_layers import WholeLayers
from targets.schedule.freedom import LAYERS, ROWS, Freedom

# Each argued for in docs/results/diana_segment.md; what else is assumed there are decisions of a schedule.
ROW_MODELS: Mapping[str, RowAssumptions] = {
    "as many words per row as it needs": RowAssumptions(),
    "two words per row": RowAssumptions(counts_stride=False),
    "one analog column": RowAssumptions(columns=1),
    "two words per row, one analog column": RowAssumptions(columns=1, counts_stride=False),
}
NOTHING_STAYS = Freedom(split=False, fuse=False, hold=False)


@dataclass(frozen=True)
class DianaTarget(WholeLayers):
    """DIANA at 260 MHz; transfers, host and compute add up, as in its public flow.

    Attributes:
        assumed: What is assumed of rows, in the mode that has them.
    """

    assumed: RowAssumptions = field(default_factory=RowAssumptions, kw_only=True)

    @property
    def schedules(self) -> Mapping[str, Freedom]:
        """Whole layers; with closed forms also groups of layers row by row, which `engine` has no cost of."""
        if self.cost_model == "engine":
            return {LAYERS: NOTHING_STAYS}
        return {LAYERS: NOTHING_STAYS, ROWS: Freedom(split=False, fuse=False, hold=False, rows=True)}

    def alternatives(self) -> tuple[Alternative, ...]:
        """Return each cost model with host work as it is and scaled, and what else may be assumed of rows."""
        rows = tuple(
            Alternative(name, "rows", replace(self, assumed=assumed), mode=ROWS)
            for name, assumed in ROW_MODELS.items()
            if assumed != self.assumed
        )
        return (*self.scaled_hosts(), *self.other_models(), *rows)

    def row_model(self) -> DianaRows:
        """Return how groups of layers run row by row; raises ValueError for cost model `engine`."""
        return DianaRows(self, self.assumed)
