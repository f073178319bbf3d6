"""What is saved by other models of the same chip, so that a saving is known with its spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eecompile.run.figures import Array, saving_of
from eecompile.run_files.summary import (
    AlternativeSaving,
    HostSensitivity,
    Saving,
    SavingCause,
    SavingInterval,
)
from passes.errors import EecompileError
from passes.progress import each
from targets.contract.target import HOST_SCALE, Alternative, Target
from targets.evaluation.report import CostReport


@dataclass(frozen=True)
class Recosted:
    """A network and static by another model of the chip.

    Attributes:
        costs: ``None`` where that model cannot cost one of them.
        static: The network without exits, by the same model.
        reason: Why it cannot; empty where it can.
    """

    alternative: Alternative
    costs: CostReport | None
    static: CostReport | None
    reason: str = ""


def recost(
    target: Target,
    cost: Callable[[Target], tuple[CostReport, CostReport]],
    tell: Callable[[str], None],
    mode: str = "layers",
) -> tuple[Recosted, ...]:
    """Cost a network by all alternatives of ``target``.

    Args:
        target: The target it was made for.
        cost: From a target to the costs of the network and of static, both scheduled for it.
        tell: Called with a line of progress per model.
        mode: Mode of the schedules: models that differ in another are left out.
    """
    found = []
    others = [item for item in target.alternatives() if item.mode in ("", mode)]
    for item in each(others, "models"):
        tell(f"cost by {item.cause}: {item.name}")
        try:
            found.append(Recosted(item, *cost(item.target)))
        except EecompileError as error:
            found.append(Recosted(item, None, None, error.message))
    return tuple(found)


def causes_of(recosted: Sequence[Recosted], nominal: Saving, ratios: Array) -> tuple[SavingCause, ...]:
    """Return what is saved by each model, grouped by why they differ, in the order they were costed.

    Args:
        recosted: The network by other models.
        nominal: What is saved by the model it was made for, which is in the interval of every cause.
        ratios: Share of inputs that leave at each exit.
    """
    groups: dict[str, list[AlternativeSaving]] = {}
    for item in recosted:
        saved = None
        if item.costs is not None and item.static is not None:
            saved = saving_of(item.costs, item.static, ratios)
        row = AlternativeSaving(name=item.alternative.name, saving=saved, reason=item.reason or None)
        groups.setdefault(item.alternative.cause, []).append(row)
    return tuple(
        SavingCause(cause=cause, interval=_interval(nominal, rows), alternatives=tuple(rows))
        for cause, rows in groups.items()
    )


def interval_of(causes: Sequence[SavingCause], nominal: Saving) -> SavingInterval | None:
    """Return the least and the most that is saved by any model; ``None`` without any other."""
    return _interval(nominal, [row for cause in causes for row in cause.alternatives])


def _interval(nominal: Saving, rows: Sequence[AlternativeSaving]) -> SavingInterval | None:
    others = [row.saving for row in rows if row.saving is not None]
    if not others:
        return None
    spans = {}
    for key in SavingInterval.model_fields:
        values = [float(getattr(saving, key)) for saving in (nominal, *others)]
        spans[key] = min(values), max(values)
    return SavingInterval(**spans)


def host_rows(
    recosted: Sequence[Recosted], costs: CostReport, static: CostReport, ratios: Array
) -> tuple[HostSensitivity, ...]:
    """Return the savings by how dear host work is; none where its cost is not in doubt.

    Args:
        recosted: The network by other models; those of another cause are left out.
        costs: The network by the model it was made for.
        static: The network without exits by that model.
        ratios: Share of inputs that leave at each exit.
    """
    scaled = [
        (item.costs, item.static)
        for item in recosted
        if item.alternative.cause == HOST_SCALE and item.costs is not None and item.static is not None
    ]
    if not scaled:
        return ()
    pairs = sorted([*scaled, (costs, static)], key=lambda pair: pair[0].target.host_scale)
    return tuple(
        HostSensitivity(
            host_scale=network.target.host_scale,
            static_latency_cycles=base.total.latency_cycles,
            saving=saving_of(network, base, ratios),
        )
        for network, base in pairs
    )
