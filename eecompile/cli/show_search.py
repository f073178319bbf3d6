"""What `search`, `why` and `cache` print when nobody asked for JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from eecompile.cli.terminal import bullets, line, table

if TYPE_CHECKING:  # a verb loads only what it works with
    from eecompile.search.dry_run import DryRun
    from eecompile.search.joining import Joined
    from eecompile.search.searching import SearchResult
    from eecompile.search.several_targets import TargetsDryRun, TargetsResult
    from eecompile.verbs.search import CacheList, TrialReason

_SHOWN = 20  # entries of the cache
# Objectives that are shown only where they are asked for: column, key, unit, digits.
_MORE: dict[str, tuple[str, str, float, int]] = {
    "macs": ("MACs", "macs", 1, 0),
    "memory": ("KiB", "memory_bytes", 2**10, 1),
    "worst_latency": ("cycles at worst", "worst_latency_cycles", 1, 0),
}
_MORE_IN_SECONDS = _MORE | {"worst_latency": ("ms at worst", "worst_latency_s", 1e-3, 3)}


def searched(out: Console, found: SearchResult | DryRun | Joined | TargetsResult | TargetsDryRun) -> None:
    """Print the front of a search, what it would do, or what was done for one; of several one by one."""
    from eecompile.search.dry_run import DryRun
    from eecompile.search.joining import Joined
    from eecompile.search.searching import predictions
    from eecompile.search.several_targets import TargetsDryRun, TargetsResult

    if isinstance(found, Joined):
        line(out, f"The search '{found.study}' is over; {found.designs} of its designs were worked on here.")
        return
    if isinstance(found, TargetsDryRun):
        for target, run in found.runs.items():
            line(out, f"Target {target}")
            searched(out, run)
        return
    if isinstance(found, TargetsResult):
        for result in found.results.values():
            searched(out, result)
            out.print()
        _common(out, found)
        return
    if isinstance(found, DryRun):
        _dry(out, found)
        return
    front = found.front
    line(
        out,
        f"{front['trials_done']} designs on {front['target']}, {front['data']}, seed {front['seed']}; "
        f"hypervolume {front['hypervolume']:.4f} on val",
    )
    out.print()
    several = len(front["operating_points"]) > 1  # their cycles take different times
    known = _MORE_IN_SECONDS if several else _MORE
    more = [known[name] for name in front["objectives"] if name in known]
    rows = [
        (
            f"{point['trial']}",
            f"{100 * point['accuracy_val']:.1f}",
            _interval(point),
            *_edp_and_time(point, several),
            f"{point['energy_pj'] / 1e6:.3g}",
            *(f"{point[key] / unit:,.{digits}f}" for _, key, unit, digits in more),
            f"{len(point['exits'])}",
            point["final_head"],
        )
        for point in front["points"]
    ]
    units = ("EDP J·s", "ms", "at") if several else ("EDP J·cycles", "cycles")
    extra = (column for column, *_ in more)
    columns = ("trial", "val %", "test % [95 %]", *units, "µJ", *extra, "exits", "closed by")
    table(out, "Front: expected figures over the images", columns, rows, columns[1:-1])
    if not rows:
        line(out, "No network keeps all constraints.")
        _nearest(out, found)
    if "predictor" in front:
        told = predictions(front["predictor"])
        line(out, f"{told[0].upper()}{told[1:]}.")
    line(out, found.times.line)
    line(out, f"{found.seconds:.0f} s. Files: {found.out}")


def _nearest(out: Console, found: SearchResult) -> None:
    """Print what came nearest to a network that keeps all constraints, or why nothing did."""
    nearest = found.front["nearest"]
    if nearest is not None:
        trial = nearest["trial"]
        bullets(
            out, f"The nearest is trial {trial}, which breaks", [_broken(item) for item in nearest["why"]]
        )
        line(out, f"What helps: eecompile why {found.out} --trial {trial}")
        return
    kept = [outcome.candidate for outcome in found.outcomes if outcome.points]
    if kept:
        line(
            out,
            f"Networks of trial {kept[0]} did before they were trained on by themselves: allow a little "
            "more, or train longer (`epochs`).",
        )
    elif found.outcomes:
        line(out, f"No design could be built and trained: eecompile why {found.out} --trial 0")


def reason(out: Console, found: TrialReason) -> None:
    """Print what became of a design."""
    became = found.state if found.state == "failed" else f"is {found.state}"
    line(out, f"Trial {found.trial} {became}: {found.design}")
    bullets(out, "What it breaks", [_broken(item) for item in found.reasons])
    bullets(out, "What helps", [("", lever) for lever in found.levers])


def cached(out: Console, found: CacheList) -> None:
    """Print what is kept."""
    if found.removed:
        line(out, f"{found.removed} entries removed")
    line(out, f"{found.folder}: {len(found.entries)} entries, {_size(found.bytes)}")
    kinds = [(kind, f"{told['entries']}", _size(told["bytes"])) for kind, told in found.kinds.items()]
    if kinds:
        table(out, "By kind", ("kind", "entries", "size"), kinds, ("entries", "size"))
    rows = [
        (entry.kind, entry.title, _size(entry.bytes), _day(entry.used)) for entry in found.entries[:_SHOWN]
    ]
    if rows:
        columns = ("kind", "what", "size", "used")
        table(out, "The last used", columns, rows, ("size",))


def _dry(out: Console, found: DryRun) -> None:
    line(out, found.size)
    out.print()
    rows = [
        (
            corner.name,
            f"{corner.figures['macs']:,.0f}",
            f"{corner.figures['latency_cycles']:,.0f}",
            f"{corner.figures['energy_pj'] / 1e6:.3g}",
            f"{corner.exits}",
            "" if corner.epoch_s is None else f"{corner.epoch_s:.2g}",
        )
        for corner in found.corners
        if not corner.refusal
    ]
    columns = ("design", "MACs", "cycles", "µJ", "exits tried", "s per epoch")
    table(out, "Corners of the space, without exits", columns, rows, columns[1:])
    bullets(out, "Not on this target", [(c.name, c.refusal) for c in found.corners if c.refusal])
    if found.seconds is not None:
        low, high = (f"{seconds / 60:.1f}" for seconds in found.seconds)
        designs = f"{min(found.trials, found.designs)} designs"
        what = "the network whose weights they share" if found.shared else designs
        line(out, f"Training {what} takes {low} to {high} minutes here.")


def _broken(item: Mapping[str, Any]) -> tuple[str, str]:
    if item.get("what"):
        return "", str(item["what"])
    if item["reached"] is None:
        return str(item["constraint"]), "each can be kept, but not together"
    return str(item["constraint"]), f"{item['reached']:.4g} at best, {item['asked']:.4g} asked"


def _interval(point: Mapping[str, Any]) -> str:
    low, high = point["accuracy_ci95"]
    return f"{100 * point['accuracy']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _common(out: Console, found: TargetsResult) -> None:
    """Print which networks are on several fronts."""
    if not found.common:
        line(out, f"No network is on the fronts of two of {', '.join(found.results)}.")
        return
    rows = [
        (
            "; ".join(
                f"{target}: " + ", ".join(str(place["trial"]) for place in places)
                for target, places in network["points"].items()
            ),
            f"{len(network['exits'])}",
            network["final_head"],
            network["design"],
        )
        for network in found.common
    ]
    table(out, "Networks of several fronts", ("trials", "exits", "closed by", "design"), rows, ("exits",))


def _edp_and_time(point: Mapping[str, Any], several: bool) -> tuple[str, ...]:
    if several:
        return f"{point['edp_js']:.3g}", f"{1e3 * point['latency_s']:.3g}", point["operating_point"]
    return f"{point['edp_j_cycles']:.3g}", f"{point['latency_cycles']:,.0f}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
