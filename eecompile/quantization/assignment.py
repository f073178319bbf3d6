"""Which numbers each node computes with: those of the core that its layer runs on."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from eecompile.quantization.layer_schemes import weighted_layers
from eecompile.quantization.wishes import SchemeWish
from passes.errors import NoSolutionError
from passes.exits.chain import keep_exits
from passes.integers.schemes import Scheme
from passes.operator_sets import QUANTIZED_LINEAR
from passes.registry import parse_pipeline
from passes.state import Exit, copy_graph, state_of
from targets.contract.target import Target
from targets.evaluation.report import evaluate
from targets.objective import EDP, Objective

USUAL = SchemeWish()


def assign_precisions(
    graph: gs.Graph,
    target: Target,
    objective: Objective = EDP,
    allow_refused: bool = False,
    wish: SchemeWish = USUAL,
) -> tuple[str, ...]:
    """Write into the state of ``graph`` what each of its nodes computes with on ``target``.

    Layers run where the schedule of the float network has them at the usual numbers of the cores, in the
    usual scheme of the core. Layers with weights that ``wish`` says something of are computed in another, and
    run where that is. What takes no core (views, constants) has no precision of its own: it hands on what it
    is given.

    Args:
        graph: A float graph; nothing else of it is changed.
        target: The accelerator; it has a scheme for each of its cores.
        objective: What the schedule minimises.
        allow_refused: Layers that no core takes get the first scheme of the target; else they are an error.
        wish: Placement of layers, and bits of their weights.

    Returns:
        Names of the schemes in use.

    Raises:
        InputError: A target with a core without a scheme, or a wish that it cannot meet.
        NoSolutionError: A layer no core takes.
    """
    state_of(graph).precisions = {}
    try:
        chosen = _chosen(graph, target, objective, allow_refused)
    except NoSolutionError:
        exits = state_of(graph).exits
        if len(exits) <= 2:
            raise
        # All exits that are tried need not fit together: they are not delivered together.
        chosen = {}
        for item in exits[:-1]:
            chosen |= _chosen_alone(graph, item, target, objective, allow_refused)
    if wish:
        chosen |= _wished(graph, target, chosen, wish)
    state_of(graph).precisions = {
        node.name: chosen[node.name].precision(weighted=node.op in QUANTIZED_LINEAR)
        for node in graph.nodes
        if node.name in chosen
    }
    return tuple(sorted({found.name for found in chosen.values()}))


def _wished(graph: gs.Graph, target: Target, usual: dict[str, Scheme], wish: SchemeWish) -> dict[str, Scheme]:
    """Return node -> scheme of all layers with weights."""
    layers = [layer for layer in weighted_layers(graph, target) if not usual.keys().isdisjoint(layer.nodes)]
    now = {layer.name: next(usual[n] for n in layer.nodes if n in usual) for layer in layers}
    schemes = wish.schemes(layers, now, target)
    return {node: schemes[layer.name] for layer in layers for node in layer.nodes}


def _chosen_alone(
    graph: gs.Graph, item: Exit, target: Target, objective: Objective, allow_refused: bool
) -> dict[str, Scheme]:
    """Return the schemes of a network with one early exit and what that reads, by the names of ``graph``."""
    by_name = {e.name: e for e in state_of(graph).exits}
    names = [item.name]
    while by_name[names[0]].reads:
        names.insert(0, by_name[names[0]].reads)
    found = _chosen(keep_exits(graph, names), target, objective, allow_refused)
    back = {f"exit_{number}": name for number, name in enumerate(names)}
    parts = ((name.partition("/"), scheme) for name, scheme in found.items())
    return {back.get(first, first) + slash + rest: scheme for (first, slash, rest), scheme in parts}


def _chosen(graph: gs.Graph, target: Target, objective: Objective, allow_refused: bool) -> dict[str, Scheme]:
    """Return the scheme of each node that takes a core."""
    schemes = {core.name: target.schemes_of(core.name)[0] for core in target.arch.cores}
    named = copy_graph(graph)
    parse_pipeline(target.pipeline(quantized=False))(named)
    costs = evaluate(named, target, objective, allow_refused=allow_refused)
    of_layer = {layer.name: schemes[layer.core] for layer in costs.layers}
    of_layer |= {refusal.layer: next(iter(schemes.values())) for refusal in costs.refusals}
    layers = state_of(named).layers
    return {node.name: of_layer[layer] for node in graph.nodes if (layer := layers[node.name]) in of_layer}
