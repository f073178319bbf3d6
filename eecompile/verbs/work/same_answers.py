"""``verify_each``: the network in onnxruntime before and after each pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.data.for_network import users_network
from eecompile.runtime.sessions import NO_KERNEL, REFUSED, said, session
from passes.base import Pass
from passes.errors import InputError
from passes.exits.split_stages import CONFIDENCE, LOGITS
from passes.model.writing import to_model
from passes.operator_sets import FLOAT_NAMES
from passes.state import state_of

Array = NDArray[Any]
# Name, shape and type of each input.
Entry = tuple[tuple[str, tuple[int, ...], Any], ...]

IMAGES = 4
# Verdicts that are the fault of a pass.
FAULTS = frozenset({"differs", "not run"})
RELATIVE_TOLERANCE = 1e-4
"""Largest allowed difference of a float network, as a share of the largest output value (or of 1)."""
INTEGER_SQNR_DB = 30.0
"""A quantized network may flip last bits where operators round differently; worse than this is a fault."""


@dataclass(frozen=True)
class Check:
    """How the outputs compare before and after one pass.

    Attributes:
        verdict: ``equal``, ``close``, ``quantized``, ``differs``, ``not comparable``, or ``not run``.
        outputs: Outputs that were compared.
        max_difference: Largest absolute difference; None if nothing could be compared.
        sqnr_db: Signal over difference in decibel; None where equal or not comparable.
        detail: What the verdict rests on.
    """

    verdict: str
    outputs: tuple[str, ...]
    max_difference: float | None
    sqnr_db: float | None
    detail: str


class Verifier:
    """Observer that runs the graph between passes and keeps one :class:`Check` per pass.

    Floats are computed by onnxruntime as they are written, integers by the reference of onnx: on x86 without
    VNNI, kernels of onnxruntime add pairs of int8 products in 16 bits, which saturate.
    """

    def __init__(self, images: Array | None, seed: int) -> None:
        """Take some preprocessed images of the model's input shape, or draw seeded normal ones."""
        self._images = None if images is None else evenly(images, IMAGES)
        self._seed = seed
        self._outputs: dict[str, Array] | None = None
        self._softmax = False
        self._quantized = False
        self._input: Entry = ()
        self.checks: list[Check] = []

    def before(self, step: Pass, graph: gs.Graph) -> None:  # noqa: ARG002 - the observer's interface
        """Run the graph as it is before the first pass."""
        if self._outputs is None:
            if state_of(graph).symbolic:
                raise InputError(
                    "`verify_each` runs the network, and this one has no weights", "leave it away"
                )
            with users_network("the network"):
                session(to_model(graph))
                self._remember(graph)

    def after(self, step: Pass, graph: gs.Graph, changed: bool, seconds: float) -> None:  # noqa: ARG002
        """Run the graph again and compare with the run before the pass."""
        before, softmax, quantized, entry = self._outputs or {}, self._softmax, self._quantized, self._input
        if _entry(graph) != entry:
            self._outputs = None
            self.checks.append(
                Check("not comparable", (), None, None, "the pass changed what the network reads")
            )
            self._remember(graph)
            return
        self._remember(graph)
        refused = _why_not_run(graph)
        pairs = _pairs(before, self._outputs or {}, self._softmax and not softmax)
        check = _judge(pairs, by_design=self._quantized and not quantized, integer=quantized)
        if refused:
            detail = f"onnxruntime cannot run the network behind this pass: {refused}"
            check = replace(check, verdict="not run", detail=detail)
        self.checks.append(check)

    def _remember(self, graph: gs.Graph) -> None:
        self._input = _entry(graph)
        self._softmax = state_of(graph).softmax
        self._quantized = any(n.op in ("QuantizeLinear", "QLinearConv", "MatMulInteger") for n in graph.nodes)
        run = _runner(graph)
        names = [t.name for t in graph.outputs]
        rng = np.random.default_rng(self._seed)
        feeds: list[dict[str, Array]] = [{} for _ in range(IMAGES)]
        for name, shape, dtype in self._input:
            if self._images is not None and self._images.shape[1:] == shape[1:]:
                feeds = feeds[: len(self._images)]
                given = self._images.astype(dtype)[:, np.newaxis]
            else:
                given = rng.standard_normal((len(feeds), *shape)).astype(dtype)
            for feed, value in zip(feeds, given, strict=False):
                feed[name] = value
        runs = [run(names, feed) for feed in feeds]
        self._outputs = {key: np.stack([run[i] for run in runs]) for i, key in enumerate(names)}


def _runner(graph: gs.Graph) -> Callable[[list[str], dict[str, Array]], Any]:
    """Return what computes outputs by their names from inputs by theirs."""
    model = to_model(graph)
    bodies = [body for node in graph.nodes for body in node.subgraphs(recursive=True)]
    integers = any(node.op in FLOAT_NAMES for part in (graph, *bodies) for node in part.nodes)
    if integers or _why_not_run(graph):
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(model).run
    return session(model, optimize=False).run  # type: ignore[no-any-return]


def _why_not_run(graph: gs.Graph) -> str:
    """Return why onnxruntime runs ``graph`` not as it is by default; empty if it does.

    It has no kernel, or its own optimizer makes something of the network that it then refuses.
    """
    model = to_model(graph)
    try:
        session(model)
    except NO_KERNEL as error:
        return said(error)
    except REFUSED as error:
        session(model, optimize=False)  # what is wrong in itself is raised
        return said(error)
    return ""


def _entry(graph: gs.Graph) -> Entry:
    return tuple((t.name, tuple(t.shape), np.dtype(t.dtype)) for t in graph.inputs)


def _pairs(
    before: dict[str, Array], after: dict[str, Array], detached: bool
) -> dict[str, tuple[Array, Array]]:
    """Match outputs by name; by position where a Softmax was set apart."""
    if CONFIDENCE in after and CONFIDENCE not in before:
        # A network that decides by itself: whichever exit it took, the logits are that exit's.
        logits = after[LOGITS]
        known = [value for value in before.values() if value.shape == logits.shape]
        rows = [_nearest(row, [value[i] for value in known]) for i, row in enumerate(logits)] if known else []
        return {LOGITS: (np.stack(rows), logits)} if rows else {}
    pairs = {name: (before[name], after[name]) for name in after if name in before}
    if detached and len(before) == len(after):
        for (old, reference), (new, value) in zip(before.items(), after.items(), strict=True):
            if old != new and reference.shape == value.shape:
                pairs[new] = (reference, _nearest(reference, [_softmax(value), np.log(_softmax(value))]))
    return pairs


def _nearest(value: Array, candidates: list[Array]) -> Array:
    return min(candidates, key=lambda other: float(np.abs(value.astype(np.float64) - other).max()))


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Array = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def _judge(pairs: dict[str, tuple[Array, Array]], by_design: bool, integer: bool) -> Check:
    if not pairs:
        return Check(
            "not comparable", (), None, None, "no output of the network before is one of the network after"
        )
    names = tuple(pairs)
    wide = [(a.astype(np.float64), b.astype(np.float64)) for a, b in pairs.values()]
    if any(a.shape != b.shape for a, b in wide):
        return Check("differs", names, None, None, "an output changed its shape")
    difference = max(float(np.abs(a - b).max(initial=0.0)) for a, b in wide)
    if math.isnan(difference):
        return Check("differs", names, None, None, "an output is not a number")
    if difference == 0.0:
        return Check("equal", names, 0.0, None, "the outputs are the same numbers")
    noise = sum(float(((a - b) ** 2).sum()) for a, b in wide)
    signal = sum(float((a**2).sum()) for a, _ in wide)
    sqnr_db = 10 * math.log10(signal / noise) if signal > 0 else -math.inf
    if by_design:
        return Check(
            "quantized", names, difference, sqnr_db, "the pass rounds by design; judge it by accuracy"
        )
    if integer:
        detail = f"a quantized network may flip last bits: at least {INTEGER_SQNR_DB:g} dB is asked for"
        return Check("close" if sqnr_db >= INTEGER_SQNR_DB else "differs", names, difference, sqnr_db, detail)
    allowed = RELATIVE_TOLERANCE * max(1.0, *(float(np.abs(a).max(initial=0.0)) for a, _ in wide))
    detail = f"a difference of up to {allowed:.2g} is allowed"
    return Check("close" if difference <= allowed else "differs", names, difference, sqnr_db, detail)
