"""What the figures of a run mean: their unit, and whether more or less is better."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

LESS, MORE, NEITHER = -1, 1, 0
CYCLES = frozenset({"cycles", "J·cycles"})
"""Units that are another one on another clock."""


@dataclass(frozen=True)
class FigureKind:
    """What a figure means.

    Attributes:
        unit: ``pJ``, ``s``, ``cycles``, ``J·s``, ``J·cycles``, ``MACs``, ``share`` (1 is all), ``points``,
            ``bytes``, ``Hz``; empty for a number of its own.
        better: ``LESS`` or ``MORE`` of it; ``NEITHER``: it is not judged.
    """

    unit: str
    better: int = NEITHER


_BY_NAME: tuple[tuple[str, FigureKind], ...] = (
    (r".*_pj", FigureKind("pJ", LESS)),
    (r".*latency_cycles", FigureKind("cycles", LESS)),
    (r".*latency_s", FigureKind("s", LESS)),
    (r"edp.*_js", FigureKind("J·s", LESS)),
    (r"edp_j_cycles", FigureKind("J·cycles", LESS)),
    (r"macs", FigureKind("MACs", LESS)),
    (r"accuracy\w*", FigureKind("share", MORE)),
    (r"points|(val_|test_)?drop", FigureKind("points", LESS)),
    (r"max_drop|min_gain", FigureKind("points")),
    (r"ratio|left_early|answers_changed", FigureKind("share")),
    (r".*_bytes", FigureKind("bytes", LESS)),
    (r".*_hz", FigureKind("Hz")),
)
_OF_LEAVERS = re.compile(r"exits\.[^.]+\.accuracy")
"""The accuracy of the images that leave at an exit: which these are changes with all else."""


def kind_of(key: str) -> FigureKind:
    """Return what a figure of ``summary.json`` means, by its dotted key; ends of intervals are not judged."""
    parts = key.split(".")
    if parts[-1].isdigit() and len(parts) > 1:
        return FigureKind(kind_of(_without_ending(".".join(parts[:-1]))).unit)
    if any(part == "saving" or part.startswith("saving_") for part in parts):
        return FigureKind("share", MORE)
    if _OF_LEAVERS.fullmatch(key):
        return FigureKind("share")
    return next((kind for name, kind in _BY_NAME if re.fullmatch(name, parts[-1])), FigureKind(""))


def _without_ending(key: str) -> str:
    """Return the key of the figure that an interval is around."""
    around = {"latency_interval": "latency_cycles", "energy_interval": "energy_pj", "ci95": "points"}
    parent, _, last = key.rpartition(".")
    if last in around:
        return f"{parent}.{around[last]}"
    return key.removesuffix("_ci95")


_MATTER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("accuracy with exits", ("expected.accuracy",)),
    ("accuracy without exits", ("static.accuracy_quant",)),
    ("drop", ("drop.points",)),
    ("images that leave early", ("left_early",)),
    ("energy per image", ("expected.energy_pj",)),
    ("latency per image", ("expected.latency_s", "expected.latency_cycles")),
    ("EDP per image", ("expected.edp_js", "expected.edp_j_cycles")),
    ("MACs per image", ("expected.macs",)),
    ("energy of the deepest path", ("deepest.energy_pj",)),
    ("latency of the deepest path", ("deepest.latency_s", "deepest.latency_cycles")),
    ("EDP without exits", ("static.edp_js", "static.edp_j_cycles")),
    ("EDP saved", ("saving.edp",)),
    ("file with exits", ("files.dynamic_bytes",)),
)


def that_matter(everywhere: Collection[str], somewhere: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the figures that matter, as people call them, with their keys.

    Where there are several units for one, the first that all runs have is taken.

    Args:
        everywhere: Keys that all runs have.
        somewhere: Keys that any has.
    """
    for name, keys in _MATTER:
        key = next(
            (key for key in keys if key in everywhere), next((k for k in keys if k in somewhere), None)
        )
        if key is not None:
            yield name, key
