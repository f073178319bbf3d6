"""The verb `cost`: what a network and its exits cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eecompile.verbs.given.lists import Exits, Heads, exits_given, heads_given, numbers
from eecompile.verbs.given.network import network_given
from eecompile.verbs.given.option_rules import check_given
from eecompile.verbs.progress import Progress, silent
from passes.errors import InputError

if TYPE_CHECKING:
    from eecompile.verbs.given.network import Model
    from targets.evaluation.report import CostReport
    from targets.network.layer import Bits


def cost(
    model: Model,
    target: str = "diana",
    objective: str = "edp",
    cost_model: str | None = None,
    exits: Exits | None = None,
    head: Heads | None = None,
    host_scale: float | None = None,
    mapping: Path | str | None = None,
    locality: bool | None = None,
    fusion: bool = True,
    lpf_limit: int | Literal["full"] | None = None,
    bits: Bits | None = None,
    save_mapping: Path | str | None = None,
    point: str | None = None,
    max_latency: float | None = None,
    schedule: str | None = None,
    weights: str | None = None,
    ratios: Sequence[float] | None = None,
    speculate: bool = False,
    solver: str | None = None,
    time_limit: float | None = None,
    trace: Path | str | None = None,
    overlay: Path | str | None = None,
    rules: str | None = None,
    progress: Progress = silent,
) -> CostReport:
    """Return what a network and each of its exits cost on a target.

    Args:
        model: A network: path, bytes, ``onnx.ModelProto`` or graph; its weights may be absent.
        target: Name of the accelerator, or the file of its description: ours, ZigZag's or Stream's.
        objective: What mapping and schedule minimize.
        cost_model: Latency model of the target; its default if absent.
        exits: Exits to insert first: how many, or mounts. Exits the network has already are costed.
        head: Head of inserted exits, as `run` has it; ``auto`` if absent.
        host_scale: Factor on the placeholder cost of host work; 1 if absent.
        mapping: File with wishes for the mapping of layers: ZigZag's or Stream's form, or as saved.
        locality: Tensors may stay on chip between layers: the default of targets that search mappings.
        fusion: Layers hold the activations that follow them.
        lpf_limit: Most temporal factors per layer in the search of mappings, or ``full``.
        bits: Precision of float tensors, a `targets.network.layer.Bits`; the target's own if absent.
        save_mapping: Where to write the chosen mappings.
        point: Operating point the figures are for; the target's first if absent.
        max_latency: Longest allowed latency of the deepest exit, in s: the figures are for the operating
            point that is best for the objective within it, or for ``point`` if it is.
        schedule: ``layers``: each whole on one core; ``split``: cut over cores where that helps; ``fused``:
            also fused depth first; ``rows``: groups of layers row by row on several cores. A target takes
            some of them (`eecompile targets NAME`); its first if absent.
        weights: ``keep`` (the default): weights that fit stay on chip between inferences; ``fetch``: none do.
        ratios: Share of inputs that leave at each exit, the final one included: the schedule is made for
            them, and expected values are given. Equal shares are scheduled for if absent.
        speculate: The next stage may start while a head decides; it does where that lowers the objective.
        solver: ``default`` or ``exact``, which improves the default schedule and bounds it.
        time_limit: Seconds after which the exact solver stops; 60 if absent.
        trace: Where to write the schedule as a trace that Perfetto opens.
        overlay: Where to write cost, core, bits and exits of each node, for Model Explorer.
        rules: How latency counts what unrollings leave over: ``exact`` (if absent) in full, so that no layer
            is faster than its data or its work allows; ``zigzag`` as that tool does, rounded down.
        progress: Called with one line of text per step.

    Raises:
        InputError: A wrong file or value, or an option the target cannot honour.
        NoSolutionError: A layer that no core of the target supports, or no point meets ``max_latency``.

    Examples:
        >>> from eecompile import api
        >>> found = api.cost("digits_resnet.onnx", exits=["relu_2"])
        >>> [(path.name, path.cost.macs) for path in found.exits]
        [('exit_0', ...), ('final', ...)]
        >>> found.save("costs.csv")
        PosixPath('costs.csv')
    """
    from eecompile.run.schedule_options import ScheduleOptions
    from eecompile.verbs.work.cost import CostOptions, cost_network
    from targets.network.layer import Bits
    from targets.objective import objective_named

    kind = heads_given(head)
    check_given("cost", {"exits": exits, "head": head, "solver": solver, "time_limit": time_limit})
    if bits is not None and not isinstance(bits, Bits):
        raise InputError(
            f"`bits` is a targets.network.layer.Bits, not {bits!r}",
            "write Bits(8, 8, 16): of weights, of activations, of partial sums",
        )
    if lpf_limit is not None and lpf_limit != "full" and lpf_limit < 1:
        raise InputError(f"`lpf_limit` must be at least 1, or 'full', not {lpf_limit}", "6 is the default")
    options = CostOptions(
        mapping=None if mapping is None else Path(mapping),
        locality=locality,
        fusion=fusion,
        lpf_limit=lpf_limit,
        bits=bits,
        save_mapping=None if save_mapping is None else Path(save_mapping),
        point=point,
        max_latency_s=max_latency,
        trace=None if trace is None else Path(trace),
        overlay=None if overlay is None else Path(overlay),
        rules=rules,
        scheduling=ScheduleOptions(
            schedule,
            weights,
            None if ratios is None else numbers("ratios", ratios, "[0.6, 0.3, 0.1]"),
            speculate,
            solver,
            time_limit,
        ),
    )
    return cost_network(
        network_given(model), target, objective_named(objective), cost_model, exits_given(exits), kind,
        host_scale, options, progress,
    )  # fmt: skip
