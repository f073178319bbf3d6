"""From a user's file to a network with candidate exits, costed on a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_graphsurgeon as gs

from eecompile.quantization.kept_grids import check_kept, check_mounts, is_kept, made_for
from eecompile.run.exits_by_cost import choose_exits, with_exits
from passes.errors import EecompileError, InputError
from passes.exits.chain import keep_exits
from passes.exits.insert_exits import InsertExits
from passes.exits.mounts import find_mounts, given_names, is_number
from passes.exits.nest_exits import OUTPUTS
from passes.exits.recognise import check_recorded, classifier_exits, doubt, recognise_exits
from passes.fuse_layers import FuseLayers
from passes.heads.designs import heads_text, parse_heads
from passes.integers.file_grids import FileGrids, keep_grids
from passes.integers.to_float import describe, is_quantized, to_float
from passes.model.graph import load
from passes.model.in_memory import Network
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.target import Target
from targets.evaluation.report import CostReport, evaluate
from targets.evaluation.scheduling import Wishes
from targets.network.layer import Bits
from targets.network.workload import check_flat
from targets.objective import Objective

DEFAULT_EXITS = 2
JOINT_EXITS = 3
"""Where the network is trained with them, an exit more costs little time."""
MAX_EXITS = 6


@dataclass(frozen=True)
class Prepared:
    """A network with candidate exits on a target.

    Attributes:
        plain: The network without early exits.
        graph: The network with them.
        inserted: Whether the exits are ours, their heads not yet trained; else the network brought them.
        target: Where it shall run.
        costs: Costs of ``graph``.
        mount_names: Tensor -> what it is called, for the mounts of all exits: as the user did, else by its
            short name.
        asked: The early exits are those the user asked for by name, or brought along: all are kept.
        doubt: Why the network may be no classifier though its outputs look like one's; else empty.
    """

    plain: gs.Graph
    graph: gs.Graph
    inserted: bool
    target: Target
    costs: CostReport
    mount_names: Mapping[str, str]
    asked: bool
    doubt: str = ""

    @property
    def kept(self) -> bool:
        """Whether the network came quantized, and its integers are kept: its grids are in both graphs."""
        return is_kept(self.plain)


def prepare(
    model: Network,
    target: Target,
    objective: Objective,
    exits: int | Sequence[str] | None,
    head: str | Sequence[str],
    default_exits: int = 0,
    *,
    bits: Bits | None = None,
    fusion: bool = True,
    ratios: Sequence[float] | None = None,
    wishes: Wishes | None = None,
    choose_on: Target | None = None,
    requantize: bool = False,
    keep: bool = False,
) -> Prepared:
    """Load a network, bring it into canonical form, insert exits, and cost it.

    Args:
        model: The user's file.
        target: Where it shall run.
        objective: What layers are placed for.
        exits: ``None``, a number, or names of mounts. Without any the network need be no classifier.
        head: The head of inserted exits, or several: one for each, in the order of ``exits``; for a number,
            whose mounts are then those of the ranking, in that of the network.
        default_exits: How many exits ``None`` means for a network without, if it has as many mounts.
        bits: Precision of float tensors; that of the target if not given.
        fusion: Layers hold the activations that follow them; else every node is a layer.
        ratios: Share of inputs that leave at each exit; equal shares if not given.
        wishes: What is asked of the schedule.
        choose_on: A number of exits gets the mounts and heads whose paths save something here; those of the
            ranking of mounts alone if not given.
        requantize: The network is quantized, and is brought into float first.
        keep: A network that is quantized already gets its float form, with its grids in its state; else it
            stays as it is.

    Raises:
        InputError: A model or option that is wrong, or integers the target cannot compute with.
        NoSolutionError: A layer that no core takes.
    """
    graph = load(model)
    check_recorded(graph)
    check_flat(graph)
    if requantize:
        if not is_quantized(graph):
            raise InputError(
                f"{model} is not quantized: `requantize` would change nothing", "leave `requantize` away"
            )
        to_float(graph)
    written = None
    if is_quantized(graph):
        if keep:
            written = _read_integers(graph, model)
        else:
            _check_integers(graph, model, target, objective)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    if written is not None:
        misfits = keep_grids(graph, written)
        classifier_exits(graph)  # a network of another kind is refused for that
        check_kept(graph, str(model), target, objective, misfits)
    prepared = prepare_graph(
        graph, model, target, objective, exits, head, default_exits,
        bits=bits, fusion=fusion, ratios=ratios, wishes=wishes, choose_on=choose_on,
    )  # fmt: skip
    if written is not None and prepared.inserted:
        check_mounts(prepared.graph)
    return prepared


def _read_integers(graph: gs.Graph, model: Network) -> FileGrids:
    """Bring a quantized network into float, and return the grids that its integers had."""
    if state_of(graph).symbolic:
        raise InputError(f"{model} has no weights", "without `data` its costs can be reported")
    words = describe(graph)
    try:
        return to_float(graph)
    except InputError as error:
        raise InputError(f"{model} is quantized already, {words}: {error.message}", error.hint) from None


def _check_integers(graph: gs.Graph, model: Network, target: Target, objective: Objective) -> None:
    """Refuse a quantized network as it is refused where its integers are kept; ``graph`` is not changed.

    What is not known cannot be refused: integers of weights that are absent, and targets that do not say with
    which numbers they compute.
    """
    computes = all(target.scheme_names(core.name) for core in target.arch.cores)
    if state_of(graph).symbolic or not computes or made_for(graph, target):
        return
    tried = copy_graph(graph)
    written = _read_integers(tried, model)
    parse_pipeline("canonicalize,fold-batchnorm")(tried)
    check_kept(tried, str(model), target, objective, keep_grids(tried, written))


def prepare_graph(
    graph: gs.Graph,
    model: Network,
    target: Target,
    objective: Objective,
    exits: int | Sequence[str] | None,
    head: str | Sequence[str],
    default_exits: int = 0,
    *,
    bits: Bits | None = None,
    fusion: bool = True,
    ratios: Sequence[float] | None = None,
    wishes: Wishes | None = None,
    choose_on: Target | None = None,
) -> Prepared:
    """Insert exits into a network in canonical form, in place, and cost it; see :func:`prepare`.

    ``model`` is what messages call it.
    """
    if exits is None and not default_exits:
        found = recognise_exits(graph)
    else:
        found = classifier_exits(graph)
        _check_input_name(graph)
    doubtful = doubt(graph) if state_of(graph).exits else ""
    plain = keep_exits(graph, [])
    inserted = False
    given: dict[str, str] = {}
    if exits is None and default_exits and len(found) == 1:
        mounts = sum(mount.ok for mount in find_mounts(plain))
        exits = min(default_exits, max(1, mounts))
    if len(found) > 1:
        if exits is not None:
            raise InputError(
                f"{model} has {len(found)} exits already",
                "leave `exits` away, or give the network without exits",
            )
    elif exits is not None:
        given = {} if isinstance(exits, int) else given_names(plain, exits)
        heads = parse_heads(head)
        if choose_on is not None and isinstance(exits, int) and len(heads) == 1 and exits <= MAX_EXITS:
            quick = Wishes("layers")  # compared with each other, and soon found

            def value(tried: gs.Graph) -> float:
                report = cost_of(tried, choose_on, objective, bits, fusion, None, quick)
                return report.exits[0].cost.value(objective)

            chosen = choose_exits(plain, exits, heads[0], value)
            graph = with_exits(plain, [(item.mount, item.head) for item in chosen])
        else:
            state_of(graph).exits = []
            # To the pass a single number is a count: a mount that is called so goes by its short name.
            short = {mount.tensor: mount.name for mount in find_mounts(plain)}
            at = tuple(short[tensor] if is_number(name) else name for tensor, name in given.items())
            InsertExits(at or (str(exits),), heads_text(head))(graph)
        inserted = True
        if len(state_of(graph).exits) - 1 > MAX_EXITS:
            raise InputError(
                f"more than {MAX_EXITS} exits at once", "name fewer mounts, or give a smaller number"
            )
    if wishes is not None and wishes.speculate and len(state_of(graph).exits) < 2:
        raise InputError(
            f"{model} has no early exit: there is nothing to speculate on",
            "insert exits with `exits`, or leave `speculate` away",
        )
    if ratios is not None and len(state_of(graph).exits) < 2:
        raise InputError(
            f"{model} has no early exit: all inputs leave at the last, whatever `ratios` says",
            "insert exits with `exits`, or leave `ratios` away",
        )
    costs = cost_of(graph, target, objective, bits, fusion, ratios, wishes)
    shown = {mount.tensor: mount.name for mount in find_mounts(plain)} | given
    names = {e.mount: shown.get(e.mount, e.mount) for e in state_of(graph).exits}
    return Prepared(plain, graph, inserted, target, costs, names, not inserted or bool(given), doubtful)


def _check_input_name(graph: gs.Graph) -> None:
    name = graph.inputs[0].name
    if name in OUTPUTS:
        raise InputError(
            f"the model's input is called '{name}', which is the name of an output of the early-exit model",
            "rename the input, for instance to 'image'",
        )


def cost_of(
    graph: gs.Graph,
    target: Target,
    objective: Objective,
    bits: Bits | None = None,
    fusion: bool = True,
    ratios: Sequence[float] | None = None,
    wishes: Wishes | None = None,
    images: int = 1,
) -> CostReport:
    """Return the costs of ``graph`` as it is, its layers named anew; ``graph`` is not changed."""
    fused = copy_graph(graph)
    parse_pipeline(target.pipeline(quantized=False))(fused)
    if not fusion:
        FuseLayers(activation=False)(fused)
    report = evaluate(fused, target, objective, bits=bits, ratios=ratios, wishes=wishes, images=images)
    return replace(report, fusion=fusion)


def cycles_by_model(
    graph: gs.Graph,
    target: Target,
    known: CostReport,
    bits: Bits | None = None,
    fusion: bool = True,
    ratios: Sequence[float] | None = None,
    wishes: Wishes | None = None,
) -> dict[str, float | None]:
    """Return the cycles of the whole network by each cost model; ``None`` where one cannot cost it.

    ``known`` are the costs by the model of ``target``, the other arguments are those they were made with.
    """
    plain = None if wishes is None else replace(wishes, speculate=False, exact_seconds=None)
    found: dict[str, float | None] = {}
    for name in target.cost_models:
        if name == known.target.cost_model:
            found[name] = known.total.latency_cycles
            continue
        model = replace(target, cost_model=name)
        try:
            costs = cost_of(graph, model, known.objective, bits, fusion, ratios, plain)
            found[name] = costs.total.latency_cycles
        except EecompileError:
            found[name] = None
    return found
