"""Where the figures of a report come from: versions, hashes, measured times, how costs are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eecompile.report.reading import RunFiles
from eecompile.run_files.summary import Summary
from eecompile.wording import quantities
from targets.schedule.freedom import MODES

_SHOWN_ELSEWHERE = ("measured", "agreement", "warnings", "pruning")


@dataclass(frozen=True)
class Fact:
    """One line of a two-column table."""

    label: str
    value: str


def measured(run: RunFiles) -> tuple[Fact, ...]:
    """Return wall-clock times per image (``measured`` of ``run.json``), in milliseconds."""
    times = run.info.get("measured")
    if not isinstance(times, Mapping):
        return ()
    facts = []
    for key, label in (
        ("given_ms", "your network in float"),
        ("static_ms", "static network"),
        ("dynamic_ms", "early-exit network, average over test images"),
    ):
        if isinstance(times.get(key), int | float):
            facts.append(Fact(label, f"{times[key]:.3f} ms{_spread(times, key)}"))
    static, dynamic = times.get("static_ms"), times.get("dynamic_ms")
    if isinstance(static, int | float) and isinstance(dynamic, int | float) and static:
        facts.append(Fact("change", quantities.change(1 - dynamic / static)))
    per_exit = times.get("per_exit_ms")
    if isinstance(per_exit, list):
        per_exit = {e.name: value for e, value in zip(run.summary.exits, per_exit, strict=False)}
    if isinstance(per_exit, Mapping):
        for name, value in per_exit.items():
            text = f"{value:.3f} ms" if isinstance(value, int | float) else quantities.ABSENT
            facts.append(Fact(f"an image that leaves at {name}", text))
    known = {"given_ms", "static_ms", "dynamic_ms", "per_exit_ms", "spread_ms"}
    facts += [
        Fact(words(key), value) for key, value in _flat({k: v for k, v in times.items() if k not in known})
    ]
    return tuple(facts)


def _spread(times: Mapping[str, Any], key: str) -> str:
    """Return the median over images and what nine of ten take, where that is known."""
    spread = times.get("spread_ms")
    found = spread.get(key.removesuffix("_ms")) if isinstance(spread, Mapping) else None
    if not isinstance(found, list | tuple) or len(found) != 3:
        return ""
    low, middle, high = found
    return f" (median {middle:.3f}, 5 to 95 % of images {low:.3f} to {high:.3f})"


def agreement(run: RunFiles) -> tuple[Fact, ...]:
    """Return how far the dynamic files agree with the flat model (``agreement`` of ``run.json``)."""
    found = run.info.get("agreement")
    if found is None:
        return ()
    if isinstance(found, Mapping) and isinstance(found.get("images"), int):
        images = found["images"]
        return tuple(
            Fact(
                words(str(key)),
                f"{value:,} of {images:,} test images" if isinstance(value, int) else str(value),
            )
            for key, value in found.items()
            if key != "images"
        )
    return tuple(Fact(words(key) or "agreement", value) for key, value in _flat(found))


def knowledge(run: RunFiles) -> tuple[Fact, ...]:
    """Return the share of energy and cycles per way of knowing: measured, published, placeholder."""
    kinds = dict.fromkeys(layer.known for layer in run.layers if layer.known)
    total_energy = sum(layer.energy_pj for layer in run.layers)
    total_cycles = sum(layer.latency_cycles for layer in run.layers)
    facts = []
    for kind in kinds:
        mine = [layer for layer in run.layers if layer.known == kind]
        shares = [
            quantities.percent(quantities.ratio(sum(layer.energy_pj for layer in mine), total_energy), 0),
            quantities.percent(
                quantities.ratio(sum(layer.latency_cycles for layer in mine), total_cycles), 0
            ),
        ]
        facts.append(Fact(kind, f"{len(mine)} layers, {shares[0]} of the energy, {shares[1]} of the cycles"))
    return tuple(facts)


def facts(run: RunFiles) -> tuple[Fact, ...]:
    """Return everything else ``run.json`` records, flattened to one line per value."""
    summary = run.summary
    lines = [
        Fact("model", summary.model),
        Fact("target", summary.target),
        Fact("objective", summary.objective.name),
        Fact("cost model", summary.cost_model),
        *(() if summary.point is None else (Fact("operating point", _point(summary)),)),
        *(() if summary.rules is None else (Fact("rules of latency", summary.rules),)),
        *(
            ()
            if summary.schedule is None
            else (Fact("schedule", f"{summary.schedule}: {MODES.get(summary.schedule, '')}"),)
        ),
        Fact("known error of the cost model", summary.known_error),
        Fact("seed", str(summary.seed)),
    ]
    if summary.dataset:
        data = summary.dataset
        sizes = f"{data.train:,} train, {data.val:,} validation, {data.test:,} test"
        lines.append(Fact("data", f"{data.name} ({sizes})"))
        rule = "plain estimate" if summary.optimistic else "upper 90 % bootstrap bound"
        held = f"{rule} and mean over neighbouring thresholds, on validation images"
        if summary.kept_thresholds:
            lines.append(Fact("thresholds", "kept as the network brought them"))
        else:
            lines.append(Fact("allowed accuracy drop", f"{summary.max_drop:g} points ({held})"))
    named = {line.label for line in lines}
    rest = {key: value for key, value in run.info.items() if key not in _SHOWN_ELSEWHERE}
    lines += [Fact(label, value) for key, value in _flat(rest) if (label := words(key)) not in named]
    return tuple(lines)


def _point(summary: Summary) -> str:
    """Return the operating point of all figures, and what energies there are over those of the first."""
    found = next((p for p in summary.operating_points if p.name == summary.point), None)
    if found is None:
        return str(summary.point)
    volts = "" if found.voltage_v is None else f", {found.voltage_v:g} V"
    scale = "" if found.energy_scale_source is None else f" ({found.energy_scale_source})"
    return f"{found.name}: {found.clock_hz / 1e6:g} MHz{volts}, energies x {found.energy_scale:.3g}{scale}"


def words(key: str) -> str:
    """Return a key of a JSON file as words: ``wall_s.train`` becomes ``wall s: train``."""
    return key.replace("_", " ").replace(".", ": ", 1)


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _flat(entry, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and all(_is_plain(entry) for entry in value):
        separator = "\n" if any(isinstance(e, list) or len(str(e)) > 40 for e in value) else ", "
        yield prefix, separator.join(_plain(e) for e in value) or quantities.ABSENT
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _flat(entry, f"{prefix}.{index}")
    elif isinstance(value, float):
        yield prefix, _plain(value)
    else:
        yield prefix, quantities.ABSENT if value is None else str(value)


def _is_plain(value: Any) -> bool:
    """Whether ``value`` is a scalar, or a list of scalars such as a name and a number."""
    entries = value if isinstance(value, list) else [value]
    return not any(isinstance(entry, Mapping | list) for entry in entries)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ": ".join(_plain(entry) for entry in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
