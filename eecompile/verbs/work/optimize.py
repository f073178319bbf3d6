"""``opt``: passes on a network, with what each of them did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.data.for_network import open_data
from eecompile.data.in_memory import ImageSource
from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import IMAGES, calibrate
from eecompile.quantization.calibration_names import LEAST_SQUARES
from eecompile.quantization.equalization import equalize
from eecompile.run.accelerator import open_target
from eecompile.run_files.directory import folders
from eecompile.verbs.work.same_answers import FAULTS, Check, Verifier
from passes.base import Observer, Pass, to_text
from passes.errors import InputError
from passes.exits.recognise import recognise_exits
from passes.model.graph import load
from passes.model.in_memory import Network, recorded
from passes.model.writing import save
from passes.registry import parse_pipeline
from passes.shown_result import Row, ShownResult
from passes.state import Decline, state_of
from targets.contract.target import Target

Float32 = NDArray[np.float32]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class StepResult:
    """What one pass did; ``check`` is None without verification."""

    text: str
    changed: bool
    nodes_before: int
    nodes_after: int
    seconds: float
    check: Check | None


@dataclass(frozen=True, repr=False)
class OptResult(ShownResult):
    """What a pipeline did.

    Attributes:
        model: File it started from.
        steps: One entry per pass, in order.
        declined: What passes left alone, and why.
        out: File written, None if none was asked for.
        stages: Files of the network after each pass.
        notes: What was decided on the way: preprocessing, calibration.
    """

    model: str
    steps: tuple[StepResult, ...]
    declined: tuple[Decline, ...]
    out: Path | None
    stages: tuple[Path, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no verified pass changed what the network computes, or made it one that does not run."""
        return not any(step.check is not None and step.check.verdict in FAULTS for step in self.steps)

    @property
    def failure(self) -> str:
        """The passes that changed what the network computes, one per line."""
        return "\n".join(
            f"{step.text}: largest difference {step.check.max_difference}; {step.check.detail}"
            for step in self.steps
            if step.check is not None and step.check.verdict in FAULTS
        )

    def _words(self) -> str:
        nodes = f"{self.steps[0].nodes_before} to {self.steps[-1].nodes_after} nodes" if self.steps else ""
        verdict = "" if self.passed else "; a pass changed what the network computes"
        return f"{self.model} after {len(self.steps)} passes: {nodes}{verdict}"

    def _rows(self) -> list[Row]:
        return [
            {
                "pass": step.text,
                "changed": step.changed,
                "nodes_before": step.nodes_before,
                "nodes_after": step.nodes_after,
                "seconds": step.seconds,
                "verdict": None if step.check is None else step.check.verdict,
            }
            for step in self.steps
        ]

    def _axes(self) -> tuple[str, str]:
        return "pass", "nodes_after"

    def to_json(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema_version": 1,
            "model": self.model,
            "passed": self.passed,
            "passes": [asdict(step) for step in self.steps],
            "declined": [asdict(entry) for entry in self.declined],
            "out": None if self.out is None else str(self.out),
            "stages": [str(path) for path in self.stages],
            "notes": list(self.notes),
        }


@dataclass
class _Recorder:
    """Observer that counts nodes and takes times."""

    progress: Progress
    rows: list[tuple[str, bool, int, int, float]]
    _before: int = 0

    def before(self, step: Pass, graph: gs.Graph) -> None:
        self._before = len(graph.nodes)
        self.progress(to_text(step))

    def after(self, step: Pass, graph: gs.Graph, changed: bool, seconds: float) -> None:
        self.rows.append((to_text(step), changed, self._before, len(graph.nodes), seconds))


@dataclass
class _Saver:
    """Observer that writes the network after each pass."""

    folder: Path
    written: list[Path]

    def before(self, step: Pass, graph: gs.Graph) -> None:
        pass

    def after(self, step: Pass, graph: gs.Graph, changed: bool, seconds: float) -> None:  # noqa: ARG002
        self.written.append(save(graph, self.folder / f"{len(self.written):02d}-{step.name}.onnx"))


@dataclass
class _Calibrator:
    """Observer that chooses the integer grids just before the first ``quantize``."""

    images: Float32
    target: Target
    notes: list[str]

    def before(self, step: Pass, graph: gs.Graph) -> None:
        if step.name == "quantize" and not state_of(graph).grids:
            schemes = ", ".join(assign_precisions(graph, self.target, allow_refused=True))
            equalization = equalize(graph, self.images, LEAST_SQUARES)
            if equalization is not None:
                self.notes.append(equalization.note)
            done = calibrate(graph, self.images)
            self.notes.append(
                f"calibrated on {done.images} training images, schemes of {self.target.name}: {schemes}"
            )

    def after(self, step: Pass, graph: gs.Graph, changed: bool, seconds: float) -> None:
        pass


def optimize(
    model: Network,
    pipeline: str,
    *,
    out: Path | None,
    data: ImageSource | None,
    preprocess: str,
    target: str | None,
    verify_each: bool,
    save_stages: Path | None,
    seed: int,
    progress: Progress,
) -> OptResult:
    """Run a pipeline; arguments as in `eecompile.api.opt`."""
    steps = parse_pipeline(pipeline)
    accelerator = open_target(target or "diana", "", None)[0]
    if not any(step.name == "quantize" for step in steps.steps):
        if target is not None:
            raise InputError(
                "`target` says by which schemes `quantize` is calibrated, and the pipeline has no such pass",
                "add quantize to the pipeline, or leave `target` away",
            )
        if data is not None and not verify_each:
            raise InputError(
                "`data` calibrates `quantize` and is what `verify_each` runs on: this pipeline has neither",
                "add quantize to the pipeline, or leave `data` away",
            )
    graph = load(model)
    recognise_exits(graph)
    notes: list[str] = []
    images = None if data is None else _images(graph, data, preprocess, seed, notes, progress)
    recorder = _Recorder(progress, [])
    verifier = Verifier(images, seed)
    saver = _Saver(save_stages or Path(), [])
    observers: list[Observer] = [recorder]
    observers += [verifier] if verify_each else []  # before calibration, which rounds weights
    observers += [_Calibrator(images, accelerator, notes)] if images is not None else []
    observers += [saver] if save_stages is not None else []
    wanted = [path for path in (out.parent if out is not None else None, save_stages) if path is not None]
    with folders(*wanted):
        steps(graph, observers)
        written = None if out is None else save(graph, out)
    checks: Sequence[Check | None] = verifier.checks or [None] * len(recorder.rows)
    return OptResult(
        recorded(model),
        tuple(StepResult(*row, check) for row, check in zip(recorder.rows, checks, strict=True)),
        tuple(state_of(graph).declined),
        written,
        tuple(saver.written),
        tuple(notes),
    )


def _images(
    graph: gs.Graph, data: ImageSource, preprocess: str, seed: int, notes: list[str], progress: Progress
) -> Float32:
    """Return training images as the model takes them; says which preprocessing was taken."""
    if state_of(graph).symbolic:
        raise InputError("`data` needs a network with weights, and this one has none", "leave `data` away")
    progress(f"reading {data}")
    dataset, choice = open_data(graph, data, preprocess, seed, "the network")
    notes.append(f"preprocessing {choice.preprocess.name}")
    notes.extend([choice.warning] if choice.warning else [])
    notes.extend(dataset.notes)
    return choice.preprocess.apply(evenly(dataset.train.x, IMAGES))
