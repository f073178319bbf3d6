"""What was pruned, and what that did to cost, loss and accuracy: ``pruning`` of ``run.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eecompile.report.provenance import Fact
from eecompile.wording import quantities


def facts(info: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return one line per fact; none where nothing was pruned.

    Args:
        info: ``run.json``.
    """
    found = info.get("pruning")
    if not isinstance(found, Mapping):
        return ()
    unit = "cycles" if str(found["goal"]).startswith("cycles") else "pJ"
    before, after = float(found["before"]), float(found["after"])
    told = [
        Fact("asked for", str(found["goal"])),
        Fact(
            f"{unit}, before and after",
            f"{before:,.0f} → {after:,.0f}: {quantities.change(1 - after / before)}",
        ),
    ]
    rounds = found["rounds"]
    for number, entry in enumerate(rounds, start=1):
        where = f" (round {number} of {len(rounds)})" if len(rounds) > 1 else ""
        told += [Fact(f"{label}{where}", value) for label, value in _round(entry)]
    return tuple(told)


def _round(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield label and value of what one round did; runs of before there were branches tell less."""
    if layers := entry.get("layers"):
        yield "layers that went whole", "\n".join(layers)
    sizes = entry.get("channels_before", {})
    left = (
        f"{name} {sizes[name]} → {count}" if sizes.get(name, count) != count else f"{name} {count}"
        for name, count in entry["channels"].items()
    )
    yield "channels that stay", ", ".join(left) or "all"
    if sizes:  # else it is the loss by the ranking
        yield "loss of an image before training", f"{entry['loss']:.3f}"
    if epochs := entry["training"]["epochs"]:
        last = epochs[-1]
        seen = ", ".join(quantities.percent(value) for value in last["accuracy"].values())
        yield (
            "trained",
            f"{last['epoch']} epochs, loss {epochs[0]['loss']:.3f} → {last['loss']:.3f}, val {seen}",
        )
