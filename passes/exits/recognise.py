"""What is a classifier, and which of its outputs are exits: from metadata, or recognised in the network."""

from __future__ import annotations

import math
from itertools import pairwise

import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.exits.chain import FINAL, ancestors, final_exit, order_outputs
from passes.exits.logits import use_logits
from passes.model.constants import is_known
from passes.operator_sets import QUANTIZATION, RESHAPES
from passes.rewrite.rewriter import dims, producer_of
from passes.state import Exit, Leaving, state_of

_SAME_LABELS = {*QUANTIZATION, *RESHAPES, "Identity", "Cast"}
_ANY_NETWORK = "`cost` and `inspect` take any network; exits, thresholds and `run` need a classifier: "


def recognise_exits(graph: gs.Graph) -> list[Exit]:
    """Return the exits of ``graph``, shallow to deep; those of a classifier are recorded in its state.

    What is no classifier has one exit, ``final``, without a mount: all that any output needs. Nothing of it
    is recorded, and its outputs stay as they are.

    Raises:
        InputError: Metadata that speaks of other outputs than the file has.
    """
    check_recorded(graph)
    try:
        return classifier_exits(graph)
    except InputError as error:
        if state_of(graph).leavings:
            raise InputError(
                f"the ways of its Ifs are exits, and exits are those of a classifier: {error.message}",
                "give the network without them",
            ) from None
        return [Exit(FINAL, "", graph.outputs[0].name)]


def classifier_exits(graph: gs.Graph) -> list[Exit]:
    """Return the exits of a classifier, shallow to deep, and record them in the state of ``graph``.

    They come from the graph's metadata where it has any; else a network with one output has one
    exit, ``final``, and one with several outputs of the same class count has one exit per output,
    ordered by how many nodes it needs, or as the ``If`` of others had them, with the rules and thresholds
    of those; the mount of such an exit is the last tensor its path shares with the deeper exits, the
    deepest if there are several. Logits of other forms, and outputs beside them that say nothing else, are
    brought into the usual form (:func:`passes.exits.logits.use_logits`).

    Raises:
        InputError: No classifier, with the reason and what would make it one; metadata that speaks of
            other outputs than the file has.
    """
    state = state_of(graph)
    if state.exits:
        check_recorded(graph)
        return state.exits
    use_logits(graph)
    if state.leavings:
        _set_softmax_apart(graph)
    check_classifier(graph)
    paths = _by_depth(graph)
    leavings = state.leavings or [Leaving() for _ in paths[:-1]]
    early = [
        Exit(
            f"exit_{number}",
            mount,
            paths[number][1].name,
            None if leaving.threshold is None else leaving.confidence.bounded(leaving.threshold),
            leaving.confidence,
            apart=leaving.apart,
        )
        for number, (mount, leaving) in enumerate(zip(_mounts(graph), leavings, strict=True))
    ]
    state.exits = [*early, final_exit(paths[-1][1])]
    order_outputs(graph)
    return state.exits


def check_classifier(graph: gs.Graph) -> None:
    """Check that the outputs of ``graph``, as they are, are the exits of a classifier.

    Raises:
        InputError: They are not, with the reason and what would make it a classifier.
    """
    if len(graph.inputs) != 1:
        names = ", ".join(t.name for t in graph.inputs)
        raise _no_classifier(
            f"it has {len(graph.inputs)} inputs ({names})", "make all but the image constants"
        )
    entry = graph.inputs[0]
    if not entry.shape or entry.shape[0] != 1:
        raise _no_classifier(
            f"its input {entry.name} {list(entry.shape)} has no batch in front", "export it with batch 1"
        )
    shapes = [dims(t) for t in graph.outputs]
    listed = ", ".join(f"{t.name} {list(shape)}" for t, shape in zip(graph.outputs, shapes, strict=True))
    if len(shapes) == 1 and set(shapes[0]) <= {1}:
        raise _no_classifier(
            f"its output {listed} is one number, and a class is chosen among at least 2",
            "export two logits for a yes or no (Softmax of 0 and z is Sigmoid of z)",
        )
    if not all(len(s) == 2 and s[0] == 1 and s[1] >= 2 for s in shapes) or len(set(shapes)) != 1:
        raise _no_classifier(
            f"every output must be [1, classes] with one class count of at least 2, found {listed}",
            "export it up to these logits" if len(shapes) == 1 else "cut off the outputs that are no logits",
        )
    labels = [t for t in graph.outputs if _is_sigmoid(t)]
    if labels:
        raise _no_classifier(
            f"'{labels[0].name}' is a Sigmoid: each of its {shapes[0][1]} labels holds or not for itself",
            "where one class holds, export the logits without the Sigmoid",
        )
    _mounts(graph)


def _no_classifier(reason: str, way_out: str) -> InputError:
    return InputError(f"not a classifier: {reason}", _ANY_NETWORK + way_out)


def _is_sigmoid(tensor: gs.Tensor) -> bool:
    node = producer_of(tensor)
    while node is not None and node.op in _SAME_LABELS:
        node = producer_of(node.inputs[0])
    return node is not None and node.op == "Sigmoid"


def _set_softmax_apart(graph: gs.Graph) -> None:
    """Let the outputs be the logits that rules of confidence read, before thresholds of them are recorded."""
    logits = []
    for tensor in graph.outputs:
        node = producer_of(tensor)
        if (
            node is None
            or node.op not in ("Softmax", "LogSoftmax")
            or tensor.outputs
            or len(dims(tensor)) != 2
            or node.attrs.get("axis", -1) % 2 != 1
        ):
            logits.append(tensor)
            continue
        state_of(graph).softmax = True
        logits.append(node.inputs[0])
    graph.outputs = logits
    graph.cleanup(remove_unused_graph_inputs=False)


def _by_depth(graph: gs.Graph) -> list[tuple[set[str], gs.Tensor]]:
    """Return the outputs with the names of the nodes they need, fewest first; those of Ifs as they are."""
    if state_of(graph).leavings:
        return [(ancestors([tensor]), tensor) for tensor in graph.outputs]
    return sorted(((ancestors([t]), t) for t in graph.outputs), key=lambda p: (len(p[0]), p[1].name))


def _mounts(graph: gs.Graph) -> list[str]:
    """Return the tensors at which the outputs but the deepest leave the way to the deeper ones.

    Of an output that leaves at several it is the deepest. One that deeper outputs are computed from leaves
    where its classifier begins. An exit whose answer is computed apart may leave at none.

    Raises:
        InputError: An output shares nothing with the next, or the next leaves where it does.
    """
    paths = _by_depth(graph)
    tensors = graph.tensors()
    leavings = state_of(graph).leavings
    apart = [leaving.apart for leaving in leavings] or [False] * len(paths)
    found: list[str] = []
    behind: list[set[str]] = []  # what has run where each leaves
    for number, ((path, tensor), (deeper, _)) in enumerate(pairwise(paths)):
        leaves = _left_at(graph, path, path & deeper)
        if path <= deeper:
            mount = final_exit(tensor).mount
            leaves = [mount] if tensors[mount].inputs else []
        if not leaves and apart[number]:
            found.append("")
            behind.append(set())
            continue
        if not leaves:
            raise _no_classifier(
                f"output '{tensor.name}' shares no layer with the deeper ones; an exit leaves their way",
                "of several outputs each must be an exit of one backbone",
            )
        found.append(max(leaves, key=lambda name: len(ancestors([tensors[name]]))))
        behind.append(ancestors([tensors[name] for name in leaves]))
    if leavings:  # an If says that one goes on where the other leaves
        return found
    deeper_mounts = [*found, final_exit(paths[-1][1]).mount][1:]
    for mount, ran, deeper_mount in zip(found, behind, deeper_mounts, strict=True):
        last = producer_of(tensors[deeper_mount])
        if last is None or last.name in ran:
            raise _no_classifier(
                f"outputs {', '.join(t.name for t in graph.outputs)} are computed from '{mount}' "
                "side by side: they answer several questions, and no exit has layers behind it",
                "cut off all outputs but one",
            )
    return found


def _left_at(graph: gs.Graph, path: set[str], shared: set[str]) -> list[str]:
    """Return what ``shared`` nodes write and other nodes of ``path`` read, in the order of the graph."""
    own = [node for node in graph.nodes if node.name in path - shared]
    read = {source.name for node in own for source in node.inputs}
    computed = [node for node in graph.nodes if node.name in shared and not is_known(node)]
    return [t.name for node in computed for t in node.outputs if t.name in read]


def doubt(graph: gs.Graph) -> str:
    """Return why what looks like a classifier may be none, as a sentence; empty if nothing speaks against it.

    Logits and the results of a regression have the same shape. A Softmax at the end says that they are
    logits; as many of them as the input has elements say that they are the input again.
    """
    output, given = graph.outputs[-1], graph.inputs[0]
    if state_of(graph).softmax or math.prod(dims(output)) != math.prod(dims(given)):
        return ""
    return (
        f"'{output.name}' {list(dims(output))} has no Softmax and is as large as the input: a network that "
        "reconstructs its input (an autoencoder) chooses no class, and exits, thresholds and accuracies say "
        "nothing of it; if these are logits, all is well"
    )


def check_recorded(graph: gs.Graph) -> None:
    """Refuse a file whose outputs are not the exits that its metadata speaks of, or differ in classes."""
    outputs, exits = [t.name for t in graph.outputs], state_of(graph).exits
    if exits and sorted(e.output for e in exits) != sorted(outputs):
        recorded = ", ".join(f"'{e.name}' at output '{e.output}'" for e in exits)
        raise InputError(
            f"the file records the exits {recorded}, but its outputs are {', '.join(outputs)}",
            "give the flat network (model.exits.onnx), not one that was nested or split already",
        )
    shapes = {e.name: dims(t) for e in exits for t in graph.outputs if t.name == e.output}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{list(shape)} at '{name}'" for name, shape in shapes.items())
        raise InputError(
            f"the file records exits whose logits differ in classes: {told}",
            "all exits answer the same question: train them on the same classes",
        )
