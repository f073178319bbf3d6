"""``quantize``: a network in integers, what they cost in accuracy, and which layers are why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import Dataset, Split, evenly
from eecompile.data.for_network import open_data
from eecompile.exits.answers import Answers, answers
from eecompile.exits.statistics import accuracy_interval, paired_drop
from eecompile.quantization.calibration import IMAGES
from eecompile.quantization.calibration_names import LEAST_SQUARES
from eecompile.quantization.equalization import Equalization
from eecompile.quantization.kept_float import layers_of, nodes_of
from eecompile.quantization.kept_grids import NOTE as KEPT_NOTE
from eecompile.quantization.mapping.scheme_front import LabelledImages, SchemeSearch
from eecompile.quantization.mapping.scheme_picture import front_picture
from eecompile.quantization.mapping.scheme_tables import front_json, front_rows
from eecompile.quantization.post_training import PostTrained, integer_forms, post_train
from eecompile.quantization.sensitivity import LayerSensitivity, ranked, sensitivities, worst
from eecompile.run.accelerator import open_target
from eecompile.run.options import MAX_DROP
from eecompile.run.prepare import Prepared, prepare
from eecompile.run_files import directory
from eecompile.run_files.log import RunLog
from eecompile.runtime.preprocess import Preprocess
from eecompile.training.recipe import PTQ, QAT, QUANTIZED
from eecompile.training.torch_needed import import_torch
from eecompile.verbs.work.quantize_options import AUTO, QuantizeOptions
from passes.errors import InputError, NoSolutionError
from passes.files import write_atomic
from passes.model.in_memory import recorded
from passes.model.writing import save
from passes.progress import StageLine
from passes.shown_result import Row, ShownResult
from passes.state import copy_graph, state_of
from targets.contract.target import Target

Progress = Callable[[str], None]


@dataclass(frozen=True)
class SplitAccuracy:
    """Accuracies of one exit on one split, as shares with their 95 % intervals.

    Attributes:
        images: How many there are.
        accuracy_float: Of the network as it was given.
        float_ci95: Its interval.
        accuracy_quant: Of the quantized one.
        quant_ci95: Its interval.
        drop: Float minus quantized, paired, in points.
        drop_ci95: Its interval.
    """

    images: int
    accuracy_float: float
    float_ci95: tuple[float, float]
    accuracy_quant: float
    quant_ci95: tuple[float, float]
    drop: float
    drop_ci95: tuple[float, float]


@dataclass(frozen=True)
class ExitAccuracy:
    """What quantization does to one exit."""

    name: str
    val: SplitAccuracy
    test: SplitAccuracy


@dataclass(frozen=True, repr=False)
class QuantizeResult(ShownResult):
    """What was quantized, and what that does.

    Attributes:
        options: What was asked for.
        preprocess: Name of the rule by which images became the input.
        schemes: Names of the schemes in use.
        images: How many training images it was calibrated on.
        rounding: Node name -> how its weights were rounded.
        equalization: What became of channels around depthwise layers; ``None``: there are none.
        kept_float: Layers in float.
        exits: Accuracies of what is written, the final exit last.
        calibrated: With ``quantize`` qat, those before it was trained; else empty.
        training: With ``quantize`` qat, what is told of the training; else empty.
        sensitivity: One entry per layer that is quantized; all of them before ``keep_float`` auto took some.
        sensitivity_images: How many training images that is from.
        suggested: The layers to keep in float first.
        share: Their share of the noise of all layers.
        tried: Layers in float -> largest drop of an exit on val, in points, in the order of trying.
        notes: What the user is told first.
        front: The mappings that were measured, a row each, where they were asked for.
        out: Where the files are.
    """

    options: QuantizeOptions
    preprocess: str
    schemes: tuple[str, ...]
    images: int
    rounding: dict[str, str]
    equalization: Equalization | None
    kept_float: tuple[str, ...]
    exits: tuple[ExitAccuracy, ...]
    calibrated: tuple[ExitAccuracy, ...]
    training: Mapping[str, Any]
    sensitivity: tuple[LayerSensitivity, ...]
    sensitivity_images: int
    suggested: tuple[str, ...]
    share: float
    tried: tuple[tuple[tuple[str, ...], float], ...]
    notes: tuple[str, ...]
    front: tuple[Mapping[str, Any], ...]
    out: Path

    def _words(self) -> str:
        last = self.exits[-1].test
        return (
            f"{recorded(self.options.model)} for {self.options.target}: {100 * last.accuracy_quant:.2f} % on "
            f"{last.images} test images, {last.drop:.2f} points below float; in {self.out}"
        )

    def _rows(self) -> list[Row]:
        return [
            {"exit": item.name, "split": split, **_without_bounds(getattr(item, split))}
            for item in self.exits
            for split in ("val", "test")
        ]

    def _axes(self) -> tuple[str, str]:
        return "exit", "accuracy_quant"

    def to_json(self) -> dict[str, Any]:
        """Return the result as it stands in ``quantize.json``."""
        options = self.options
        return {
            "schema_version": 1,
            "model": recorded(options.model),
            "target": options.target,
            "objective": options.objective.name,
            "data": str(options.data),
            "seed": options.seed,
            "preprocess": self.preprocess,
            "schemes": list(self.schemes),
            "calibration": {
                "calibration": options.calibration,
                "images": self.images,
                "rounding": self.rounding,
                "equalization": None if self.equalization is None else self.equalization.to_json(),
            },
            "keep_float": list(self.kept_float),
            "max_drop": options.max_drop,
            "quantize": options.quantize,
            "requantize": options.requantize,
            "qat_epochs": options.qat_epochs,
            "exits": [asdict(item) for item in self.exits],
            "exits_calibrated": [asdict(item) for item in self.calibrated],
            "training": dict(self.training),
            "sensitivity": [asdict(entry) for entry in self.sensitivity],
            "sensitivity_images": self.sensitivity_images,
            "suggested": {"keep_float": list(self.suggested), "share_of_noise": self.share},
            "tried": [{"keep_float": list(kept), "drop_on_val": drop} for kept, drop in self.tried],
            "notes": list(self.notes),
            "placement": options.placement,
            "bits": dict(options.bits),
            "front": [dict(row) for row in self.front],
            "out": str(self.out),
        }


def _without_bounds(split: SplitAccuracy) -> dict[str, float]:
    return {name: value for name, value in asdict(split).items() if not name.endswith("ci95")}


def quantize_network(options: QuantizeOptions, progress: Progress) -> QuantizeResult:
    """Quantize a network and write ``model.quant.onnx``, ``model.lowered.onnx`` and ``quantize.json``.

    Raises:
        InputError: Wrong input; nothing is written.
        NoSolutionError: A layer no core takes, or no layers in float keep the drop within ``max_drop``.
    """
    log = RunLog(progress)
    log(StageLine("load and cost"))
    target, _ = open_target(options.target, "", None)
    if options.quantize == QAT:
        import_torch()
    out = options.out or Path("runs") / f"{options.model.stem}-{target.title}-quantized"
    prepared = prepare(
        options.model, target, options.objective, None, AUTO, requantize=options.requantize, keep=True
    )
    graph = prepared.graph
    _check(options, prepared)
    log(StageLine(f"read {options.data}"))
    dataset, choice = open_data(graph, options.data, options.preprocess, options.seed, str(options.model))
    notes = [*([choice.warning] if choice.warning else []), *dataset.notes]
    job = _Job(graph, target, options, dataset, choice.preprocess, layers_of(graph, target), log)
    named = () if options.keep_float == AUTO else tuple(options.keep_float)
    with directory.run_directory(out) as work:
        log(StageLine("calibrate"))
        done = job.quantized(named)
        log(StageLine("sensitivity of each layer"))
        shifts = done.calibration.shifts
        count, table = sensitivities(done.given, done.calibrated, job.layers, shifts, job.images)
        kept = named
        tried: list[tuple[tuple[str, ...], float]] = []
        if options.keep_float == AUTO:
            log(StageLine("fewest layers in float"))
            kept, done, tried = job.fewest([entry.layer for entry in ranked(table)], done)
        calibrated: tuple[ExitAccuracy, ...] = ()
        training: Mapping[str, Any] = {}
        if options.quantize == QAT:
            calibrated, _, _ = job.accuracies(done)
            log(StageLine("train for integers"))
            done, training = job.trained(done)
        log(StageLine("accuracy on val and test"))
        exits, together, told = job.accuracies(done)
        notes += told
        if prepared.kept:
            notes.append(KEPT_NOTE)
        if done.equalization is not None:
            notes.append(done.equalization.note)
        if kept:
            notes.append(_no_float_cores(kept, target))
        suggested, share = worst(table) if table else ((), 0.0)
        batch = "N" if together else None
        save(done.quantized, work / "model.quant.onnx", batch)
        save(done.lowered, work / "model.lowered.onnx", batch)
        if options.frontier:
            log(StageLine("scheme of each layer"))
        result = QuantizeResult(
            options, choice.preprocess.name, done.schemes, done.calibration.images, done.calibration.rounding,
            done.equalization, kept, exits, calibrated, training, tuple(table), count, suggested, share,
            tuple(tried), tuple(notes), job.front(work) if options.frontier else (), out,
        )  # fmt: skip
        directory.write_json(work / "quantize.json", result.to_json())
        log.write(work, options.command)
    return result


def _check(options: QuantizeOptions, prepared: Prepared) -> None:
    """Refuse what cannot be quantized, and what would change integers that are kept."""
    if state_of(prepared.graph).symbolic:
        raise InputError(f"{options.model} has no weights", "`eecompile cost` needs none")
    changes = {
        "keep_float": bool(options.keep_float),
        "placement": options.placement is not None,
        "bits": bool(options.bits),
        "frontier": options.frontier,
        "quantize": options.quantize != PTQ,
        "calibration": options.calibration != LEAST_SQUARES,
    }
    for name in changes if prepared.kept else ():
        if changes[name]:
            raise InputError(
                f"{options.model} came quantized, and its integers are kept: with `{name}` they would not be",
                f"leave `{name}` away, or say `requantize`",
            )


def _no_float_cores(kept: Sequence[str], target: Target) -> str:
    return (
        f"{', '.join(kept)} stay in float, and no core of {target.title} computes in float: the files show "
        f"what that would be worth and run in onnxruntime, not on {target.title}"
    )


@dataclass
class _Job:
    """One network on one target, with images."""

    graph: gs.Graph
    target: Target
    options: QuantizeOptions
    dataset: Dataset
    preprocess: Preprocess
    layers: dict[str, str]
    progress: Progress

    def __post_init__(self) -> None:
        self.images = self.preprocess.apply(evenly(self.dataset.train.x, IMAGES))
        self.val = answers(self.graph, self.dataset.val, self.preprocess)

    def quantized(self, kept: Sequence[str]) -> PostTrained:
        """Return the network quantized, but for the layers in ``kept``."""
        nodes = nodes_of(self.graph, self.layers, kept)
        if kept:
            self.progress(f"calibrating, in float: {', '.join(kept)}")
        options = self.options
        return post_train(
            self.graph, self.target, options.objective, self.images, options.calibration, nodes,
            options.wish,
        )  # fmt: skip

    def trained(self, done: PostTrained) -> tuple[PostTrained, Mapping[str, Any]]:
        """Return the network trained for its integers, and what is told of that."""
        calibrated = copy_graph(done.calibrated)
        told = self._train(calibrated, done.given)
        return replace(done, calibrated=calibrated, **integer_forms(calibrated)._asdict()), told

    def _train(self, calibrated: gs.Graph, graph: gs.Graph) -> Mapping[str, Any]:
        """Train a calibrated network in place, by what ``graph`` answers; return the log."""
        from eecompile.training.checkpoint import Checkpoints
        from eecompile.training.contract import Course, TrainingImages
        from eecompile.training.integers.quantized import train_quantized

        options = self.options
        epochs = options.qat_epochs
        recipe = QUANTIZED if epochs is None else replace(QUANTIZED, epochs=epochs)
        course = Course(options.seed, self.progress, Checkpoints(None, {}))
        images = TrainingImages(self.dataset.train, self.dataset.val, self.preprocess)
        return train_quantized(calibrated, graph, images, recipe, course).to_json()

    def fewest(
        self, order: Sequence[str], whole: PostTrained
    ) -> tuple[tuple[str, ...], PostTrained, list[tuple[tuple[str, ...], float]]]:
        """Return the fewest of the first layers of ``order`` that keep the drop on val within its limit.

        Twice as many are tried until they do, and then as few as do. That more layers in float lose less is
        taken for granted on the way; what is returned was tried.

        Raises:
            NoSolutionError: All but one layer in float lose more than that.
        """
        limit = MAX_DROP if self.options.max_drop is None else self.options.max_drop
        tried: list[tuple[tuple[str, ...], float]] = []

        def keeps(count: int) -> PostTrained | None:
            done = self.quantized(order[:count]) if count else whole
            tried.append((tuple(order[:count]), self._drop(done)))
            return done if tried[-1][1] <= limit else None

        good = keeps(0)
        too_few, enough = -1, 0
        while good is None:
            too_few, enough = enough, min(max(1, 2 * enough), len(order) - 1)
            if enough <= too_few:
                raise NoSolutionError(
                    f"with all but one layer in float, {tried[-1][1]:.2f} points are lost on val",
                    f"allow a larger `max_drop` than {limit:g}, or calibrate otherwise with `calibration`",
                )
            good = keeps(enough)
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            found = keeps(middle)
            if found is None:
                too_few = middle
            else:
                enough, good = middle, found
        return tuple(order[:enough]), good, tried

    def front(self, work: Path) -> tuple[Mapping[str, Any], ...]:
        """Search the scheme of each layer; write what was measured into ``work`` and return its rows."""
        options = self.options
        val = LabelledImages(self.preprocess.apply(self.dataset.val.x), self.dataset.val.y)
        search = SchemeSearch(
            self.graph, self.target, options.objective, self.images, val, options.wish, self.progress,
            options.calibration, trainer=self._train if options.quantize == QAT else None,
        )  # fmt: skip
        found = search.run()
        shown = [n for n, point in enumerate(found.points) if point.name or point in found.front]
        test = {
            number: float(
                answers(search.quantized(found.points[number].schemes), self.dataset.test, self.preprocess)
                .correct[-1]
                .mean()
            )
            for number in shown
        }
        rows = tuple(front_rows(found, found.usual.schemes, test))
        directory.write_csv(work / "front.csv", rows)
        measured = {"schema_version": 1, **front_json(found, options.objective)}
        directory.write_json(work / "front.json", measured)
        title = f"{options.model.stem} on {self.target.title}"
        write_atomic(work / "front.svg", front_picture(found, options.objective, title).encode())
        return rows

    def _drop(self, done: PostTrained) -> float:
        """Return the largest drop of an exit on val, in points."""
        found = answers(done.lowered, self.dataset.val, self.preprocess)
        lost = self.val.correct.mean(axis=1) - found.correct.mean(axis=1)
        return float(100 * lost.max())

    def accuracies(self, done: PostTrained) -> tuple[tuple[ExitAccuracy, ...], bool, list[str]]:
        """Return the accuracies of each exit, whether the file takes batches, and what is told of them."""

        def seen(graph: gs.Graph, split: Split) -> Answers:
            return answers(graph, split, self.preprocess)

        real, test = (self.val, seen(self.graph, self.dataset.test)), self.dataset.test
        found = (seen(done.lowered, self.dataset.val), seen(done.lowered, test))
        written = seen(done.quantized, test)
        differ = [
            f"{item.name}: {count} of {len(test)}"
            for item, one, other in zip(
                state_of(self.graph).exits, written.logits, found[1].logits, strict=True
            )
            if (count := int((one.argmax(axis=1) != other.argmax(axis=1)).sum()))
        ]
        told = [
            f"model.quant.onnx and model.lowered.onnx answer test images differently: {', '.join(differ)}"
        ]
        exits = tuple(
            ExitAccuracy(
                item.name, *(_accuracy(a.correct[k], b.correct[k]) for a, b in zip(real, found, strict=True))
            )
            for k, item in enumerate(state_of(self.graph).exits)
        )
        return exits, not (written.note or found[1].note), told if differ else []


def _accuracy(real: NDArray[np.bool_], found: NDArray[np.bool_]) -> SplitAccuracy:
    before, *around = accuracy_interval(real)
    after, *about = accuracy_interval(found)
    drop = paired_drop(real, found)
    low, high = around
    least, most = about
    return SplitAccuracy(
        len(real), before, (low, high), after, (least, most), drop.points, (drop.lo95, drop.hi95)
    )
