"""What mappings of layers to schemes cost by the schedule, and how accurate they are: the front of both.

Costs and losses of single changes are measured and added up; the mappings that are best by these sums are
then costed, quantized and run for themselves, and so is what differs from them in one layer, where they lose
more than the sums foretell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import IMAGES, calibrate
from eecompile.quantization.calibration_names import LEAST_SQUARES
from eecompile.quantization.layer_schemes import WeightedLayer, weighted_layers
from eecompile.quantization.mapping.channel_splits import divide, divisions
from eecompile.quantization.mapping.scheme_search import SchemeChoice, SchemeMapping, cheapest, spread
from eecompile.quantization.wishes import SchemeWish, check_mixed
from eecompile.runtime.sessions import Evaluator
from passes.errors import InputError
from passes.model.writing import to_model
from passes.progress import DetailLine, counting, each
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.target import Target
from targets.evaluation.paths import Cost
from targets.evaluation.report import evaluate
from targets.evaluation.scheduling import Wishes
from targets.objective import ENERGY, LATENCY, Objective

Float32 = NDArray[np.float32]
Integers = NDArray[np.int64]
Schemes = Mapping[str, str]

# Images that single changes are measured on: one network is calibrated for each.
FEW_IMAGES = 128
POINTS = 9
# Bits of weights that are tried for one layer where a core has many.
LADDER = (8, 4, 2)


@dataclass(frozen=True)
class LabelledImages:
    """Preprocessed images, [N, …], and their labels, [N]."""

    x: Float32
    y: Integers


@dataclass(frozen=True)
class SchemePoint:
    """One mapping as it was measured.

    Attributes:
        name: What it is, if it is one by hand; else empty.
        schemes: Layer -> scheme, or how its channels are divided among several.
        cost: Of the whole network by the schedule.
        loss: Divergence of its answers on val from those in float, in nats: mean over images and exits.
        accuracy: Of each exit on val, shares.
        predicted_cost: By the sums; ``None`` for a mapping by hand that is not of the choices.
        predicted_loss: Likewise.
    """

    name: str
    schemes: Schemes
    cost: Cost
    loss: float
    accuracy: tuple[float, ...]
    predicted_cost: float | None = None
    predicted_loss: float | None = None

    def named(self, name: str) -> SchemePoint:
        """Return the point with another name to the one it has."""
        return replace(self, name=f"{self.name}, {name}" if self.name else name)


@dataclass(frozen=True)
class SchemeFront:
    """What a search found.

    Attributes:
        usual: The network as the schedule at the usual numbers has it.
        points: All mappings that were measured, cheap to dear; those by hand have names.
        front: Those of them that no other beats in both cost and loss.
        choices: Layer -> what single changes cost and lose.
        float_accuracy: Of each exit on val in float.
        images: How many val images were seen.
    """

    usual: SchemePoint
    points: tuple[SchemePoint, ...]
    front: tuple[SchemePoint, ...]
    choices: Mapping[str, tuple[SchemeChoice, ...]]
    float_accuracy: tuple[float, ...]
    images: int

    def within(self, max_drop: float, objective: Objective) -> SchemePoint:
        """Return the cheapest mapping of which no exit loses more than ``max_drop`` points against the usual.

        Accuracies are those on val; the usual mapping itself is one of them.
        """
        kept = [
            point
            for point in self.points
            if all(
                100 * (before - now) <= max_drop
                for before, now in zip(self.usual.accuracy, point.accuracy, strict=True)
            )
        ]
        return min(kept, key=lambda point: (worth(point.cost, objective), point.loss))


@dataclass
class SchemeSearch:
    """Searches the mappings of one network on one target.

    Attributes:
        graph: A float network in canonical form; it is not changed.
        target: The accelerator.
        objective: What mappings are to save.
        train: What is calibrated on, and what single changes are measured on.
        val: What whole mappings are measured on.
        fixed: Wishes that hold for all mappings; their layers are not searched.
        progress: Called with one line per step.
        calibration: One of ``CALIBRATIONS``.
        schedule: A mode of the target in which mappings are costed; its default one if empty.
        divides: Channels of a layer may be divided among schemes, where the target can do that.
        trainer: Trains a calibrated network for its integers, in place, by what another answers in float:
            whole mappings are measured behind that. ``None``: they are measured as calibrated.
    """

    graph: gs.Graph
    target: Target
    objective: Objective
    train: Float32
    val: LabelledImages
    fixed: SchemeWish = field(default_factory=SchemeWish)
    progress: Callable[[str], None] = lambda _: None
    calibration: str = LEAST_SQUARES
    schedule: str = ""
    trainer: Callable[[gs.Graph, gs.Graph], object] | None = None
    divides: bool = True

    def __post_init__(self) -> None:
        """Look at the network as it usually is.

        Raises:
            InputError: There is nothing to choose.
        """
        self._layers = weighted_layers(self.graph, self.target)
        check_mixed(self._layers, self.target)
        usual = copy_graph(self.graph)
        assign_precisions(usual, self.target, self.objective.for_schedules, wish=self.fixed)
        state, bound = state_of(usual), {*self.fixed.bits}
        by_levels = {layer.name: _scheme_of(layer, state.precisions) for layer in self._layers}
        self._usual: dict[str, str] = {name: found for name, found in by_levels.items() if found}
        self._ladders = {
            layer.name: self._ladder(layer)
            for layer in self._layers
            if layer.name in self._usual and bound.isdisjoint({*layer.names, layer.part})
        }
        if all(len(ladder) < 2 for ladder in self._ladders.values()):
            raise InputError(
                "there is nothing to mix: `bits` name all layers that have several schemes",
                "leave `bits` of some away",
            )
        self._float = self._answers(self.graph, self.val.x)
        self._made: dict[tuple[tuple[str, str], ...], gs.Graph] = {}

    def run(self, points: int | None = None) -> SchemeFront:
        """Search.

        Args:
            points: How many mappings of the front by sums are measured, 2 or more; ``POINTS`` if absent.
        """
        choices = self._choices()
        names = list(self._ladders)
        best = cheapest([choices[name] for name in names])
        usual = self._measured(self._usual, "usual", 0.0, 0.0)
        found = [usual]
        for one in each(spread(best, points or POINTS), "mappings"):
            self._add(found, self._of(one, names), one)
        for name, schemes in self._by_hand(choices).items():
            self._add(found, schemes, None, name)
        for repaired in _repairs(found, choices, self._usual):
            self._add(found, repaired, None)
        found.sort(key=lambda point: (worth(point.cost, self.objective), point.loss))
        accuracy = tuple(_accuracies(self._float, self.val.y))
        front = tuple(_unbeaten(found, self.objective))
        return SchemeFront(usual, tuple(found), front, choices, accuracy, len(self.val.y))

    def _ladder(self, layer: WeightedLayer) -> tuple[str, ...]:
        """Return the schemes that are tried for a layer: its usual one, divisions, then ever fewer bits."""
        usual = self._usual[layer.name]
        rest = [s for s in layer.schemes() if s.name != usual and (s.array or s.weights.bits in LADDER)]
        rest.sort(key=lambda s: -s.weights.bits)
        shared = divisions(self.graph, layer, usual, self.target) if self.divides else ()
        return (usual, *shared, *(s.name for s in rest))

    def _of(self, mapping: SchemeMapping, names: Sequence[str]) -> dict[str, str]:
        return self._usual | dict(zip(names, mapping.schemes, strict=True))

    def _add(
        self, found: list[SchemePoint], schemes: Schemes, mapping: SchemeMapping | None, name: str = ""
    ) -> None:
        """Measure a mapping, unless it was; then it only gets its name."""
        known = next((i for i, point in enumerate(found) if point.schemes == schemes), None)
        if known is not None:
            found[known] = found[known].named(name) if name else found[known]
            return
        sums = (None, None) if mapping is None else (mapping.cost, mapping.loss)
        found.append(self._measured(schemes, name, *sums))

    def _measured(
        self, schemes: Schemes, name: str, cost: float | None = None, loss: float | None = None
    ) -> SchemePoint:
        done, made = self._quantized(schemes, evenly(self.train, IMAGES), self.trainer)
        self._made[tuple(schemes.items())] = made
        answers = self._answers(made, self.val.x)
        point = SchemePoint(
            name, dict(schemes), done, divergence(self._float, answers),
            tuple(_accuracies(answers, self.val.y)), cost, loss,
        )  # fmt: skip
        self.progress(
            DetailLine(
                f"{name or 'a mapping'}: {point.cost.latency_cycles:,} cycles, "
                f"{100 * point.accuracy[-1]:.1f} % of {len(self.val.y)} val images"
            )
        )
        return point

    def quantized(self, schemes: Schemes) -> gs.Graph:
        """Return the network in Q/DQ form, by a mapping: as it was measured, if it was."""
        made = self._made.get(tuple(schemes.items()))
        if made is None:
            _, made = self._quantized(schemes, evenly(self.train, IMAGES), self.trainer)
        return made

    def _quantized(
        self,
        schemes: Schemes,
        images: Float32,
        trainer: Callable[[gs.Graph, gs.Graph], object] | None = None,
    ) -> tuple[Cost, gs.Graph]:
        divided, chosen = divide(self.graph, self._layers, schemes)
        made, wish = copy_graph(divided), replace(self.fixed, chosen=chosen)
        assign_precisions(made, self.target, self.objective.for_schedules, wish=wish)
        calibrate(made, images, self.calibration)
        cost = self._cost(made)  # of all that runs: rounding gives layers biases
        if trainer is not None:
            trainer(made, divided)
        parse_pipeline("quantize")(made)
        return cost, made

    def _cost(self, assigned: gs.Graph) -> Cost:
        fused = copy_graph(assigned)
        parse_pipeline(self.target.pipeline(quantized=False))(fused)
        return evaluate(fused, self.target, self.objective, wishes=Wishes(self.schedule)).total

    def _answers(self, graph: gs.Graph, images: Float32) -> list[Float32]:
        names = [item.output for item in state_of(graph).exits] or [graph.outputs[-1].name]
        return Evaluator.of(lambda batch: to_model(graph, batch)).run(images.__getitem__, len(images), names)

    def _choices(self) -> dict[str, tuple[SchemeChoice, ...]]:
        """Measure what each change of one layer costs and loses, against the network as it usually is."""
        few = evenly(self.train, FEW_IMAGES)
        real = self._answers(self.graph, few)
        cost, made = self._quantized(self._usual, few)
        loss = divergence(real, self._answers(made, few))
        found = {}
        total = sum(len(ladder) - 1 for ladder in self._ladders.values())
        with counting("changes of one layer", total) as count:
            for name, ladder in self._ladders.items():
                entries = [SchemeChoice(self._usual[name], 0.0, 0.0)]
                for scheme in ladder[1:]:
                    other, made = self._quantized({**self._usual, name: scheme}, few)
                    more = divergence(real, self._answers(made, few)) - loss
                    entries.append(SchemeChoice(scheme, self._more(cost, other), max(0.0, more)))
                    said = f"{name} in {scheme}: {entries[-1].cost:+.3f} of the cost, {more:+.4f} nats"
                    self.progress(DetailLine(said))
                    count.add()
                found[name] = tuple(entries)
        return found

    def _more(self, usual: Cost, other: Cost) -> float:
        """Return the change of what is minimised, as a share, to first order: only that adds up."""
        latency = other.latency_cycles / usual.latency_cycles - 1
        energy = other.energy_pj / usual.energy_pj - 1
        if self.objective.for_schedules == LATENCY:
            return latency
        return energy if self.objective.for_schedules == ENERGY else latency + energy

    def _by_hand(self, choices: Mapping[str, tuple[SchemeChoice, ...]]) -> dict[str, dict[str, str]]:
        """Return what ODiMO compares with: the end of the ladder, and what people do by hand."""
        names = list(choices)
        last = {name: entries[-1].scheme for name, entries in choices.items()}
        inner = {name: last[name] for name in names[1:-1]}
        fastest = {
            name: min(entries, key=lambda c: (c.cost, c.loss)).scheme for name, entries in choices.items()
        }
        return {
            "all layers changed": self._usual | last,
            "first and last layer usual": self._usual | inner,
            "least cost": self._usual | fastest,
        }


def worth(cost: Cost, objective: Objective) -> float:
    """Return what is minimised, in pJ, cycles or their product."""
    return float(objective.for_schedules.value(cost.energy_pj, cost.latency_cycles))


def divergence(real: Sequence[Float32], found: Sequence[Float32]) -> float:
    """Return the Kullback-Leibler divergence from answers in float, in nats; logits [N, classes] per exit."""
    means = []
    for one, other in zip(real, found, strict=True):
        p, q = _log_probabilities(one), _log_probabilities(other)
        means.append(float((np.exp(p) * (p - q)).sum(axis=1).mean()))
    return max(0.0, float(np.mean(means)))


def _log_probabilities(logits: Float32) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _accuracies(answers: Sequence[Float32], labels: Integers) -> list[float]:
    return [float((one.argmax(axis=1) == labels).mean()) for one in answers]


def _scheme_of(layer: WeightedLayer, precisions: Mapping[str, object]) -> str:
    """Return the name of the scheme that the nodes of a layer were given; empty if none was."""
    given = [precisions[node] for node in layer.nodes if node in precisions]
    for scheme in layer.schemes():
        if scheme.precision(True) in given:
            return scheme.name
    return ""


def _unbeaten(points: Sequence[SchemePoint], objective: Objective) -> list[SchemePoint]:
    found: list[SchemePoint] = []
    for point in sorted(points, key=lambda p: (worth(p.cost, objective), p.loss)):
        if not found or point.loss < found[-1].loss:
            found.append(point)
    return found


def _repairs(
    points: Sequence[SchemePoint], choices: Mapping[str, tuple[SchemeChoice, ...]], usual: Schemes
) -> list[dict[str, str]]:
    """Return, for each mapping by sums, that with the layer put back which loses most for what it saves.

    Only where its loss is more than the sums foretell: there losses add up to more than their sum.
    """
    found = []
    for point in points:
        if point.predicted_loss is None or point.loss <= points[0].loss + point.predicted_loss:
            continue
        changed = {
            name: next(c for c in entries if c.scheme == point.schemes[name])
            for name, entries in choices.items()
            if point.schemes[name] != usual[name]
        }
        if changed:
            worst = max(changed, key=lambda name: changed[name].loss / max(1e-9, -changed[name].cost))
            found.append({**point.schemes, worst: usual[worst]})
    return found
