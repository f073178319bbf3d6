"""Which numbers each node computes with: those of the core that its layer runs on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import onnx_graphsurgeon as gs

from eecompile.quantization.wishes import ANALOG, NumberWishes, analog_schemes, schemes_of
from passes.errors import InputError, NoSolutionError
from passes.exits.chain import keep_exits
from passes.integers.schemes import Scheme, scheme
from passes.operator_sets import QUANTIZED_LINEAR
from passes.registry import parse_pipeline
from passes.state import Exit, copy_graph, state_of
from targets.contract.target import Target
from targets.evaluation.report import evaluate
from targets.network.workload import build_workload
from targets.objective import EDP, Objective

NOTHING_ASKED = NumberWishes()


def assign_precisions(
    graph: gs.Graph,
    target: Target,
    objective: Objective = EDP,
    allow_refused: bool = False,
    wishes: NumberWishes = NOTHING_ASKED,
) -> tuple[str, ...]:
    """Write into the state of ``graph`` what each of its nodes computes with on ``target``.

    Layers run where the schedule of the float network has them, each at the numbers that are asked for. What
    takes no core (views, constants) has no precision of its own: it hands on what it is given.

    Args:
        graph: A float graph; nothing else of it is changed.
        target: The accelerator; it has schemes for each of its cores.
        objective: What the schedule minimises.
        allow_refused: Layers that no core takes get the first scheme of the target; else they are an error.
        wishes: What is asked of these numbers; for layers that ``graph`` does not have it is passed over.

    Returns:
        Names of the schemes in use.

    Raises:
        InputError: A target with a core without a scheme; bits that no core has.
        NoSolutionError: A layer no core takes, at the numbers that are asked for.
    """
    ask = functools.partial(
        _chosen, target=target, objective=objective, allow_refused=allow_refused, wishes=wishes
    )
    try:
        chosen = ask(graph)
    except NoSolutionError:
        exits = state_of(graph).exits
        if len(exits) <= 2:
            raise
        # All exits that are tried need not fit together: they are not delivered together.
        chosen = {}
        for item in exits[:-1]:
            chosen |= _chosen_alone(graph, item, ask)
    state_of(graph).precisions = {
        node.name: chosen[node.name].precision(weighted=node.op in QUANTIZED_LINEAR)
        for node in graph.nodes
        if node.name in chosen
    }
    return tuple(sorted({found.name for found in chosen.values()}))


def check_wishes(graph: gs.Graph, target: Target, wishes: NumberWishes) -> None:
    """Refuse wishes that a network on a target cannot have; see :meth:`NumberWishes.check`."""
    if wishes:
        wishes.check(_with_layers(graph, target), target)


def _chosen_alone(
    graph: gs.Graph, item: Exit, ask: Callable[[gs.Graph], dict[str, Scheme]]
) -> dict[str, Scheme]:
    """Return the schemes of a network with one early exit and what that reads, by the names of ``graph``."""
    by_name = {e.name: e for e in state_of(graph).exits}
    names = [item.name]
    while by_name[names[0]].reads:
        names.insert(0, by_name[names[0]].reads)
    found = ask(keep_exits(graph, names))
    back = {f"exit_{number}": name for number, name in enumerate(names)}
    parts = ((name.partition("/"), scheme) for name, scheme in found.items())
    return {back.get(first, first) + slash + rest: scheme for (first, slash, rest), scheme in parts}


def _with_layers(graph: gs.Graph, target: Target) -> gs.Graph:
    named = copy_graph(graph)
    parse_pipeline(target.pipeline(quantized=False))(named)
    return named


def _chosen(
    graph: gs.Graph, target: Target, objective: Objective, allow_refused: bool, wishes: NumberWishes
) -> dict[str, Scheme]:
    """Return the scheme of each node that takes a core."""
    defaults = {core.name: _schemes_of(target, core.name)[0] for core in target.arch.cores}
    named = _with_layers(graph, target)
    asked = _asked(named, target, wishes)
    _write(named, asked)
    costs = evaluate(named, target, objective, allow_refused=allow_refused)
    of_layer = {layer.name: defaults[layer.core] for layer in costs.layers}
    of_layer |= {refusal.layer: next(iter(defaults.values())) for refusal in costs.refusals}
    for report in costs.layers:
        if report.name in asked:
            of_layer[report.name] = _on_core(target, report.core, report.name, asked[report.name])
    layers = state_of(named).layers
    return {node.name: of_layer[layer] for node in graph.nodes if (layer := layers[node.name]) in of_layer}


def _asked(named: gs.Graph, target: Target, wishes: NumberWishes) -> dict[str, Scheme]:
    """Return layer -> scheme, where one is asked for: by its bits, else by where it is to run."""
    found = {}
    if wishes.placement == ANALOG:
        found = {layer: analog_schemes(target)[0] for layer in taken_by_arrays(named, target)}
    for layer, bits in wishes.asked(named).items():
        found[layer] = schemes_of(target, bits)[0]
    return found


def taken_by_arrays(named: gs.Graph, target: Target) -> list[str]:
    """Return the layers of a float network that an analog array of ``target`` takes, at its numbers."""
    arrays = {core for core, names in target.schemes.items() if any(scheme(n).array for n in names)}
    trial = copy_graph(named)
    layers = state_of(trial).layers
    linear = {layers[node.name] for node in trial.nodes if node.op in QUANTIZED_LINEAR}
    _write(trial, dict.fromkeys(linear, analog_schemes(target)[0]))
    found = build_workload(trial, target.precision)
    return [one.name for one in found.layers if one.name in linear and arrays & {*target.survey(one).cores}]


def _write(named: gs.Graph, schemes: Mapping[str, Scheme]) -> None:
    """Give the nodes of some layers the precision of their scheme."""
    state = state_of(named)
    state.precisions = {
        node.name: schemes[layer].precision(node.op in QUANTIZED_LINEAR)
        for node in named.nodes
        if (layer := state.layers[node.name]) in schemes
    }


def _on_core(target: Target, core: str, layer: str, asked: Scheme) -> Scheme:
    """Return the scheme of a core with the weights that were asked for."""
    for found in _schemes_of(target, core):
        if found.weights.bits == asked.weights.bits:
            return found
    raise InputError(
        f"layer '{layer}' runs on {core} of {target.title}, without weights of {asked.weights.bits} bits",
        f"bits of weights there: {', '.join(str(one.weights.bits) for one in _schemes_of(target, core))}",
    )


def _schemes_of(target: Target, core: str) -> tuple[Scheme, ...]:
    if core not in target.schemes:
        raise InputError(
            f"target '{target.title}' does not say with which numbers its core '{core}' computes, so nothing "
            "can be quantized for it",
            "leave the images away, or give the core schemes in `schemes` of its class",
        )
    return tuple(map(scheme, target.schemes[core]))
