"""A log beside its prediction: a line per layer, the median per kind, and the whole."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from targets.gap9.chain import ChainLayer, run_chain
from targets.gap9.target import Gap9Target
from tools.gap9.layer_log import IMAGE, LogLayer, layers_in
from tools.gap9.log_rows import read_rows


@dataclass(frozen=True)
class Compared:
    """A layer of a log and what is predicted for it."""

    log: LogLayer
    predicted: ChainLayer

    @property
    def ratio(self) -> float | None:
        """Predicted over measured cycles; ``None`` where none were measured."""
        measured = self.log.row.measured
        return self.predicted.cost.latency_cycles / measured if measured else None


def compare(log: Sequence[LogLayer], target: Gap9Target | None = None) -> tuple[Compared, ...]:
    """Predict every layer of a log; measured cycles are not looked at."""
    chain = run_chain(target or Gap9Target(), [one.layer for one in log], {IMAGE})
    return tuple(Compared(one, predicted) for one, predicted in zip(log, chain, strict=True))


def compare_file(path: Path) -> tuple[Compared, ...]:
    """Predict every layer of the log at ``path``. Raises InputError."""
    return compare(layers_in(read_rows(path), str(path)))


def medians(layers: Sequence[Compared]) -> dict[str, tuple[int, float | None]]:
    """Return for each kind its number of layers and the median ratio of those measured."""
    found: dict[str, list[Compared]] = {}
    for one in layers:
        found.setdefault(one.log.kind, []).append(one)
    ratios = {kind: [one.ratio for one in same if one.ratio is not None] for kind, same in found.items()}
    return {
        kind: (len(same), statistics.median(ratios[kind]) if ratios[kind] else None)
        for kind, same in found.items()
    }


def total_ratio(layers: Sequence[Compared]) -> float | None:
    """Return predicted over measured cycles of all measured layers; ``None`` where there are none."""
    known = [one for one in layers if one.ratio is not None]
    measured = sum(one.log.row.measured or 0 for one in known)
    return sum(one.predicted.cost.latency_cycles for one in known) / measured if measured else None


def log_lines(layers: Sequence[Compared]) -> list[str]:
    """Return a line per layer, ``kind NAME n N median R`` per kind, and last ``total ratio R``."""
    width = max(len(one.log.row.name) for one in layers)
    lines = []
    for one in layers:
        measured = one.log.row.measured
        outside = " external memory" if one.predicted.outside or one.predicted.cost.load_cycles else ""
        lines.append(
            f"{one.log.row.name:<{width}} {one.log.kind:<18} {one.predicted.core:<8} predicted "
            f"{one.predicted.cost.latency_cycles:>9} measured {measured if measured else '-':>9} "
            f"ratio {_three(one.ratio)}{outside}"
        )
    lines += [f"kind {kind} n {n} median {_three(ratio)}" for kind, (n, ratio) in medians(layers).items()]
    return [*lines, f"total ratio {_three(total_ratio(layers))}"]


def _three(ratio: float | None) -> str:
    return "none" if ratio is None else f"{ratio:.3f}"
