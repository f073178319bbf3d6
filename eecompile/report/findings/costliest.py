"""The layers that most of the cost of an image goes into, and what makes each cheaper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eecompile.report.charts import HOST_NAMES
from eecompile.report.findings.levers import closer_look, on_model, other_drop, pruning, setting, with_images
from eecompile.report.findings.piece import Advice, Trial
from eecompile.report.reading import LayerRow, RunFiles
from eecompile.run_files.summary import Summary
from eecompile.wording import quantities

COUNT = 3
# From this share of its cycles on, moving data is what a layer does.
_MOSTLY = 0.5


@dataclass(frozen=True)
class LayerShare:
    """What a layer takes of the cost of the average image, or of the longest path where no data were given.

    Attributes:
        reached: Share of images (0 to 1) that get to it.
        energy: Share (0 to 1) of the energy of all layers, each counted as often as it runs.
        latency: Likewise of their cycles; where layers run at once, the shares are those of their work.
    """

    layer: LayerRow
    reached: float
    energy: float
    latency: float

    def of(self, by_time: bool) -> float:
        """Return the share of the time, else of the energy."""
        return self.latency if by_time else self.energy


def layer_shares(layers: Sequence[LayerRow], summary: Summary) -> tuple[LayerShare, ...]:
    """Return the share of each layer in the cost of the average image, in the order they run."""
    reached = _reached(summary)
    often = [reached.get(layer.exit, 1.0) for layer in layers]
    energy = sum(share * layer.energy_pj for share, layer in zip(often, layers, strict=True))
    cycles = sum(share * layer.latency_cycles for share, layer in zip(often, layers, strict=True))
    return tuple(
        LayerShare(
            layer,
            share,
            share * layer.energy_pj / energy if energy else 0.0,
            share * layer.latency_cycles / cycles if cycles else 0.0,
        )
        for share, layer in zip(often, layers, strict=True)
    )


def costliest(run: RunFiles, count: int = COUNT) -> tuple[Advice, ...]:
    """Return what makes the ``count`` layers cheaper that take most; those with one way are told together.

    Most is by what was minimised, of EDP by energy.
    """
    shares = layer_shares(run.layers, run.summary)
    by_time = not run.summary.objective.counts_energy
    most = sorted(shares, key=lambda item: (-item.of(by_time), item.layer.name))[:count]
    ways: dict[tuple[str, Trial | None], list[LayerShare]] = {}
    for item in most:
        if item.of(by_time) > 0:
            ways.setdefault(_step(item, run.summary), []).append(item)
    return tuple(
        Advice(
            quantities.percent(sum(item.of(by_time) for item in items), 0),
            f"of the {'time' if by_time else 'energy'}",
            _finding(items, run, by_time),
            *way,
        )
        for way, items in ways.items()
    )


def _reached(summary: Summary) -> Mapping[str, float]:
    """Return exit -> share of images that get to the layers before it, which no exit before needs."""
    left, found = 1.0, {}
    for item in summary.exits:
        found[item.name] = max(left, 0.0)
        left -= item.ratio or 0.0
    return found


def _finding(items: Sequence[LayerShare], run: RunFiles, by_time: bool) -> str:
    kinds = ("time", "energy") if by_time else ("energy", "time")
    sums = [quantities.percent(sum(item.of(kind) for item in items), 0) for kind in (by_time, not by_time)]
    of = "the longest path" if run.summary.expected is None else "the average image"
    names = [_called(item, run, by_time if len(items) > 1 else None) for item in items]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    take = "takes" if len(names) == 1 else "take"
    return f"{listed} {take} {sums[0]} of the {kinds[0]} and {sums[1]} of the {kinds[1]} of {of}"


def _called(item: LayerShare, run: RunFiles, by_time: bool | None) -> str:
    """Return layer and core, with its own share where others stand beside it."""
    name = quantities.shortened(run.names.get(item.layer.name, item.layer.name), 40)
    share = "" if by_time is None else f", {quantities.percent(item.of(by_time), 0)}"
    return f"{name} (on {item.layer.core}{share})"


def _step(item: LayerShare, summary: Summary) -> tuple[str, Trial | None]:
    """Return what makes a layer cheaper: the first that fits of its core, its exit, its cycles, its work."""
    layer = item.layer
    head = next((e for e in summary.exits if e.head and layer.name.startswith(f"{e.name}/")), None)
    if layer.core.lower() in HOST_NAMES and layer.nodes:
        return "no core of the chip takes that, and this says why", on_model("inspect", summary)
    if head is not None and not head.head.startswith("linear"):
        step = f"it is in the {head.head} head of {head.name}; a linear one has less to do"
        return step, setting("head", "linear")
    drop = other_drop(summary, 2)
    if item.reached < 1 and drop is not None:
        reached = quantities.percent(item.reached)
        return f"{reached} of images get there, and fewer do where a larger drop is allowed", drop
    moving = layer.dma_cycles + layer.load_cycles + layer.store_cycles + layer.stall_cycles
    if layer.latency_cycles and moving >= _MOSTLY * layer.latency_cycles:
        share = quantities.percent(moving / layer.latency_cycles, 0)
        return f"{share} of its cycles move data or wait for it, and this says which", closer_look(summary)
    pruned = pruning(summary)
    if pruned is not None:
        return "every image pays for that; fewer channels cost less", pruned
    if summary.dataset is None:
        return "images that leave before do not pay for it; with data it is known how many do", with_images()
    return "every image pays for that; another backbone may cost less", Trial("search")
