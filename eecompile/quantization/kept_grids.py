"""The grids of a network that came quantized, held against the rules of a target, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.kept_float import layers_of
from eecompile.quantization.layer_schemes import WeightedLayer, has_array, weighted_layers
from eecompile.quantization.placements import AUTO, DIGITAL
from eecompile.quantization.wishes import SchemeWish
from passes.errors import InputError
from passes.exits.chain import head_nodes
from passes.integers.file_grids import Misfit
from passes.integers.quantize import fused_away
from passes.integers.schemes import ZERO_POINT, Scheme
from passes.number_formats import Levels, Precision
from passes.operator_sets import QUANTIZED_LINEAR
from passes.precision import tensor_levels
from passes.state import QuantGrid, copy_graph, state_of
from targets.contract.target import Target
from targets.objective import Objective

if TYPE_CHECKING:  # a verb loads only what it works with
    from eecompile.quantization.calibration import Calibration

NOTE = (
    "the network came quantized and its integers are kept; in float it is the same values without rounding "
    "of activations"
)
_NAMED = 6
"""So many layers are named in a sentence; of the others it says how many they are."""


def is_kept(graph: gs.Graph) -> bool:
    """Whether ``graph`` came with grids that are kept: a float graph that no calibration has seen."""
    return bool(state_of(graph).grids)


def kept_wish(graph: gs.Graph, target: Target, wish: SchemeWish) -> SchemeWish:
    """Return ``wish`` for the layers that are quantized anew, the others in the schemes of their integers.

    A layer that came quantized gets, of all schemes in which digital cores take it, the one with the fewest
    bits that hold its integers. Nothing runs in an analog array: its converters have no grids.
    """
    found = {}
    for layer in weighted_layers(graph, target):
        nodes = _weighted_nodes(graph, layer)
        if nodes and (scheme := _scheme_of(graph, nodes, layer)) is not None:
            found[layer.name] = scheme.name
    placement = DIGITAL if has_array(target) else AUTO
    return SchemeWish(placement, wish.bits, found)


def calibrate_added(
    graph: gs.Graph,
    target: Target,
    objective: Objective,
    images: NDArray[np.float32],
    calibration: str,
    wish: SchemeWish,
) -> tuple[tuple[str, ...], Calibration]:
    """Give what was added to a network that came quantized precisions and grids; all others stay to the bit.

    Args:
        graph: With the grids of its file in its state, and perhaps early exits in float. Changed in place.
        target: The accelerator.
        objective: What layers are placed for.
        images: Preprocessed training images.
        calibration: One of ``CALIBRATIONS``.
        wish: What is wished of layers that are added.

    Returns:
        Names of the schemes in use, and what calibration did.
    """
    given = dict(state_of(graph).grids)
    from eecompile.quantization.calibration import calibrate  # costs need no onnxruntime

    schemes = assign_precisions(graph, target, objective, wish=kept_wish(graph, target, wish))
    done = calibrate(graph, images, calibration, given=given)
    grids = state_of(graph).grids
    if grids[graph.inputs[0].name].dtype == "int8":  # runtimes multiply int8 by int8 alone
        grids |= {name: _signed(grid) for name, grid in grids.items() if name not in given}
    return schemes, done


def _signed(grid: QuantGrid) -> QuantGrid:
    """Return a grid of bytes with the same values, by integers around zero."""
    if grid.dtype != "uint8":
        return grid
    low, high = grid.low - ZERO_POINT, grid.high - ZERO_POINT
    return replace(grid, zero_point=grid.zero_point - ZERO_POINT, low=low, high=high, dtype="int8")


def check_kept(
    graph: gs.Graph, model: str, target: Target, objective: Objective, found: Sequence[Misfit]
) -> None:
    """Refuse a network whose grids a target cannot compute with.

    Args:
        graph: The float form of a quantized network, with its grids.
        model: What messages call it.
        target: The accelerator.
        objective: What layers are placed for.
        found: What of its file has no place in the form that this compiler writes.

    Raises:
        InputError: With the rule and the layers of each misfit.
        NoSolutionError: A layer no core takes.
    """
    named = copy_graph(graph)
    assign_precisions(named, target, objective, wish=kept_wish(graph, target, SchemeWish()))
    misfits = dict.fromkeys([*found, *_misfits(named)])
    if not misfits:
        return
    layers = layers_of(graph, target)
    by_rule: dict[str, dict[str, None]] = {}
    for misfit in misfits:
        by_rule.setdefault(misfit.rule, {})[layers.get(misfit.subject, misfit.subject)] = None
    told = "; ".join(f"{_listed(list(names))}: {rule}" for rule, names in by_rule.items())
    raise InputError(
        f"{model} is quantized already, and {target.title} cannot compute with its integers: {told}",
        "give the float network, or say `requantize` to `run` or `quantize`: it is quantized by the rules of "
        "the target",
    )


def made_for(graph: gs.Graph, target: Target) -> bool:
    """Whether ``graph`` tells with which numbers its nodes compute, and ``target`` has all of these.

    So do files of this compiler, in Q/DQ form and lowered, those with analog layers among them.
    """
    schemes = [scheme for core in target.arch.cores for scheme in target.schemes_of(core.name)]
    known = {scheme.precision(weighted) for scheme in schemes for weighted in (False, True)}
    told = set(state_of(graph).precisions.values())
    return bool(told) and told <= known


def check_mounts(graph: gs.Graph) -> None:
    """Refuse exits that read what the file does not round: rounding it would change the layers behind it.

    Raises:
        InputError: With the mount.
    """
    state = state_of(graph)
    ours = {t.name for e in state.exits[:-1] for node in head_nodes(graph, e) for t in node.outputs}
    from eecompile.quantization.calibration import gridded

    unknown = gridded(graph) - state.grids.keys() - ours
    for item in state.exits[:-1]:
        if item.mount in unknown:
            raise InputError(
                f"{item.name} reads '{item.mount}', which the file does not round, but keeps in sums",
                "name another mount with `exits`; `eecompile inspect` lists them",
            )


def _listed(names: Sequence[str]) -> str:
    shown = [f"'{name}'" if name else "the input" for name in names[:_NAMED]]
    return ", ".join(shown) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _weighted_nodes(graph: gs.Graph, layer: WeightedLayer) -> list[gs.Node]:
    """Return the nodes of a layer whose weights came as integers."""
    grids = state_of(graph).grids
    return [
        node
        for node in graph.nodes
        if node.name in layer.nodes and node.op in QUANTIZED_LINEAR and node.inputs[1].name in grids
    ]


def _scheme_of(graph: gs.Graph, nodes: Sequence[gs.Node], layer: WeightedLayer) -> Scheme | None:
    grids = state_of(graph).grids
    digital = [option.scheme for option in layer.options if not option.analog]
    for scheme in sorted(digital, key=lambda scheme: scheme.weights.bits):
        if not any(_weight_rules(grids[node.inputs[1].name], scheme.weights) for node in nodes):
            return scheme
    return digital[0] if digital else None


def _misfits(graph: gs.Graph) -> Iterator[Misfit]:
    """Yield what does not fit the precisions of ``graph``, in its order."""
    from eecompile.quantization.calibration import gridded

    state, levels, wanted = state_of(graph), tensor_levels(graph), gridded(graph)
    entry = graph.inputs[0].name
    yield from (Misfit("", rule) for rule in _tensor_rules(graph, entry, levels, wanted))
    for node in graph.nodes:
        precision = state.precisions.get(node.name)
        if precision is None:
            continue
        rules = [r for t in node.outputs for r in _tensor_rules(graph, t.name, levels, wanted)]
        if node.op in QUANTIZED_LINEAR and (weights := state.grids.get(node.inputs[1].name)) is not None:
            rules += _weight_rules(weights, precision.weights) if precision.weights else []
            rules += _bias_rules(graph, node, weights, precision)
        if precision.requantization.multiplier_bits == 0:
            rules += _shift_rules(graph, node, precision)
        rules += _double_rules(graph, node)
        yield from (Misfit(node.name, rule) for rule in rules)


def _tensor_rules(graph: gs.Graph, name: str, levels: dict[str, Levels], wanted: set[str]) -> list[str]:
    grid = state_of(graph).grids.get(name)
    if grid is None:
        return ["its result has no grid" if name != graph.inputs[0].name else "it has no grid"] * (
            name in wanted
        )
    return [f"its values have {rule}" for rule in _grid_rules(grid, levels[name])] if name in levels else []


def _weight_rules(grid: QuantGrid, levels: Levels) -> list[str]:
    if grid.zero_point != _middle(grid):
        return [f"its weights have a zero point of {grid.zero_point}, which cores here do not subtract"]
    shared = [] if levels.per_channel or grid.axis is None else ["one step per channel, where all share one"]
    rules = [*shared, *_range_rules(grid, levels), *_power_rules(grid, levels)]
    return [f"its weights have {rule}" for rule in rules]


def _grid_rules(grid: QuantGrid, levels: Levels) -> list[str]:
    if grid.axis is not None:
        return ["one step per channel, which only weights may have"]
    return _range_rules(grid, levels) + _power_rules(grid, levels)


def _range_rules(grid: QuantGrid, levels: Levels) -> list[str]:
    """Return in what integers leave ``levels``, counted from the zero point where that is fixed."""
    bits = np.dtype(grid.dtype).itemsize * 8
    if bits > 8 and grid.high - grid.low > levels.high - levels.low:
        return [f"integers of {bits} bits, where there are {levels.bits}"]
    centre = grid.zero_point if levels.symmetric else _middle(grid)
    low, high = grid.low - centre, grid.high - centre
    if low >= levels.low and high <= levels.high:
        return []
    zero = "" if not levels.symmetric else f" about the zero point {grid.zero_point}"
    return [f"integers from {low} to {high}{zero}, where there are {levels.low} to {levels.high}"]


def _middle(grid: QuantGrid) -> int:
    """Return the integer that stands for 0 where nothing is shifted."""
    return ZERO_POINT if grid.dtype == "uint8" else 0


def _power_rules(grid: QuantGrid, levels: Levels) -> list[str]:
    mantissas, _ = np.frexp(grid.scale)
    return ["steps that are no powers of two"] * (levels.power_of_two and bool((mantissas != 0.5).any()))


def _bias_rules(graph: gs.Graph, node: gs.Node, weights: QuantGrid, precision: Precision) -> list[str]:
    data = state_of(graph).grids.get(node.inputs[0].name)
    if data is None or len(node.inputs) < 3 or node.inputs[2].is_empty():
        return []
    step = data.scale[0] * np.asarray(weights.scale, np.float64)
    largest = float(np.abs(node.inputs[2].values / step).max(initial=0.0))
    if largest < 2.0 ** (precision.bias_bits - 1):
        return []
    return [f"its bias takes more than the {precision.bias_bits} bits there are"]


def _shift_rules(graph: gs.Graph, node: gs.Node, precision: Precision) -> list[str]:
    """Return what a core that only shifts right cannot do: results finer than sums, and too far a shift."""
    grids = state_of(graph).grids
    output = node.outputs[0]
    if output.name not in grids and fused_away(output):
        output = output.outputs[0].outputs[0]
    result = grids.get(output.name)
    inputs = [grids[t.name].scale[0] for t in node.inputs if isinstance(t, gs.Variable) and t.name in grids]
    if result is None or not inputs:
        return []
    finest = coarsest = 1.0
    if node.op in QUANTIZED_LINEAR:
        if (weights := grids.get(node.inputs[1].name)) is None:
            return []
        finest, coarsest = min(weights.scale), max(weights.scale)
    elif node.op != "Add":
        return []
    if result.scale[0] < (min(inputs) if node.op == "Add" else max(inputs) * coarsest):
        return ["its result has a finer step than its sums, and its core only shifts right"]
    places = float(np.log2(result.scale[0] / (min(inputs) * finest)))
    if places > precision.requantization.shift_bits:
        there = precision.requantization.shift_bits
        return [f"its sums would be shifted by {places:.0f} places, where there are {there}"]
    return []


def _double_rules(graph: gs.Graph, node: gs.Node) -> list[str]:
    """Return what tells of a result that is rounded in front of its activation and behind it otherwise."""
    grids, output = state_of(graph).grids, node.outputs[0]
    if output.name not in grids or not fused_away(output):
        return []
    behind = grids.get(output.outputs[0].outputs[0].name)
    if behind is None or behind == grids[output.name]:
        return []
    return ["it is rounded in front of its activation and again behind it, where a core rounds once"]
