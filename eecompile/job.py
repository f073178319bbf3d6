"""One run, step by step: heads, quantization, thresholds, lowering, proof, files."""

from __future__ import annotations

import itertools
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile import artifacts, outcome
from eecompile.calibration import IMAGES, calibrate
from eecompile.data import load_data
from eecompile.data_fit import fit_to_model
from eecompile.dataset import Dataset
from eecompile.features import extract
from eecompile.preparation import Prepared, cost_of
from eecompile.preprocess import Preprocess
from eecompile.preprocess_choice import choose_preprocess
from eecompile.results import Summary
from eecompile.run_options import RunOptions
from eecompile.runtime import DynamicModel, Evaluator, Float32, StagedModel
from eecompile.statistics import DropBound
from eecompile.thresholds import NEVER, Choice, Limit, choose
from eecompile.training import Recipe, train_head
from eecompile.validation import Agreement, Answers, answers, check_agreement, measure
from passes.exits import keep_exits, set_thresholds
from passes.graph import save, to_model, write_atomic
from passes.heads import head_layers
from passes.insert_exits import set_head_parameters
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.base import Target
from targets.registry import load_target
from targets.report import CostReport


@dataclass
class Clock:
    """Wall time per step, and progress lines."""

    progress: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    _step: str = ""
    _start: float = 0.0

    def step(self, name: str) -> None:
        """Begin a step; ends the one before."""
        now = time.perf_counter()
        if self._step:
            self.seconds[self._step] = round(self.seconds.get(self._step, 0.0) + now - self._start, 3)
        self._step, self._start = name, now
        if name:
            self.progress(name)


class Job:
    """One run in its work directory."""

    def __init__(self, options: RunOptions, prepared: Prepared, clock: Clock, work: Path) -> None:
        self.options = options
        self.prepared = prepared
        self.clock = clock
        self.work = work
        self.warnings: list[str] = []

    def costs_only(self) -> tuple[Summary, CostReport, dict[str, Any]]:
        """Report costs; nothing is trained, no accuracy claimed, no runnable early-exit file written."""
        static = self._cost(self.prepared.plain)
        summary = outcome.costs_only(self.options, self.prepared.graph, self.prepared.costs, static)
        info = self._info(None, {})
        self._write(summary, self.prepared.costs, info)
        return summary, self.prepared.costs, info

    def full(self, data: str) -> tuple[Summary, CostReport, dict[str, Any]]:
        """Train, quantize, choose thresholds, lower, prove, write."""
        options, clock = self.options, self.clock
        clock.step("data")
        dataset, preprocess, choice = self._data(data)
        exited = self.prepared.graph
        clock.step("train heads")
        training = self._train(exited, dataset, preprocess)
        clock.step("quantize")
        quantized, lowered, rounding = self._quantize(exited, dataset, preprocess)
        clock.step("evaluate")
        val = answers(lowered, dataset.val, preprocess)
        test_float, test_quant, test = (
            answers(g, dataset.test, preprocess) for g in (exited, quantized, lowered)
        )
        clock.step("thresholds")
        static = self._cost(keep_exits(lowered, []))
        kept, thresholds, costs, removed = self._choose(lowered, val)
        limit = Limit(options.max_drop, options.optimistic)
        curve = outcome.curve(val.select(kept), test.select(kept), costs, static, options)
        names = [e.name for e in state_of(exited).exits]
        final = {k: keep_exits(g, [names[i] for i in kept]) for k, g in
                 (("exits", exited), ("quant", quantized), ("lowered", lowered))}  # fmt: skip
        for graph in final.values():
            set_thresholds(graph, [float(t) for t in thresholds])
        parse_pipeline(self._fusion())(final["lowered"])
        clock.step("write and prove")
        agreement, measured = self._lower(final, keep_exits(lowered, []), dataset, preprocess,
                                          test_quant.select(kept), thresholds)  # fmt: skip
        if not agreement.complete:
            self.warnings.append(f"early-exit files and flat model disagree: {agreement}")
        evidence = outcome.Evidence(
            dataset, test_float.select(kept), test_quant.select(kept), test.select(kept), thresholds, limit,
            removed, curve, self._sensitivity(final["lowered"], lowered),
        )  # fmt: skip
        self.warnings.extend(dataset.notes)
        if choice.warning:
            self.warnings.append(choice.warning)
        summary = outcome.summarize(
            options, final["exits"], self.prepared.plain, costs, static, evidence, self.warnings
        )
        info = self._info(dataset, {
            "preprocess": preprocess.to_json(), "preprocess_tried": [list(t) for t in choice.tried],
            "training": training, "calibration": rounding, "agreement": asdict(agreement), "measured": measured,
        })  # fmt: skip
        self._write(summary, costs, info)
        return summary, costs, info

    def _data(self, spec: str) -> tuple[Dataset, Preprocess, Any]:
        graph = self.prepared.graph
        classes = int(graph.outputs[-1].shape[-1])
        shape = tuple(int(d) for d in graph.inputs[0].shape)
        dataset = fit_to_model(load_data(spec, self.options.seed), shape, classes)
        plain = self.prepared.plain
        evaluator = Evaluator.of(lambda batch: to_model(plain, batch))
        output = plain.outputs[0].name

        def predict(images: Float32) -> Any:
            return evaluator.run(lambda s: images[s], len(images), [output])[0]

        choice = choose_preprocess(self.options.preprocess, predict, dataset.val.x, dataset.val.y, shape)
        self.clock.progress(
            f"preprocessing: {choice.preprocess.name} ({100 * choice.accuracy:.1f} % on {choice.images})"
        )
        return dataset, choice.preprocess, choice

    def _train(self, graph: gs.Graph, dataset: Dataset, preprocess: Preprocess) -> dict[str, Any]:
        """Train the heads that ``insert-exits`` made; a network that brought exits keeps its own."""
        tensors = graph.tensors()
        ours = [
            e for e in state_of(graph).exits[:-1] if e.output == e.name and e.name not in _user_names(graph)
        ]
        if not ours:
            return {"trained": []}
        macs = int(self.prepared.costs.total.macs)
        seed = self.options.seed
        data = extract(graph, dataset.train, preprocess, macs, seed, self.clock.progress)
        classes = int(graph.outputs[-1].shape[-1])
        for item in ours:
            mount = tuple(int(d) for d in tensors[item.mount].shape[1:])
            stored = data.features[item.name]
            shape = tuple(stored.copies[0].shape[1:])

            def report(line: str, name: str = item.name) -> None:
                self.clock.progress(f"head {name}: {line}")

            layers = head_layers(self.options.head, mount, classes)
            set_head_parameters(
                graph, item.name, train_head(layers, shape, stored, data, seed, Recipe(), report)
            )
        return {"trained": [e.name for e in ours], "copies": len(data.logits), "mirrored": data.flips,
                "recipe": asdict(Recipe()), "seed": seed}  # fmt: skip

    def _quantize(
        self, graph: gs.Graph, dataset: Dataset, preprocess: Preprocess
    ) -> tuple[gs.Graph, gs.Graph, dict[str, Any]]:
        images = dataset.train.x[np.unique(np.linspace(0, len(dataset.train) - 1, IMAGES).astype(int))]
        quantized = copy_graph(graph)
        done = calibrate(quantized, preprocess.apply(images), schemes=self._schemes(graph))
        parse_pipeline("quantize")(quantized)
        lowered = copy_graph(quantized)
        parse_pipeline("fold-qdq")(lowered)
        parse_pipeline(self._fusion())(lowered)
        return quantized, lowered, {"images": done.images, "rounding": done.rounding}

    def _schemes(self, graph: gs.Graph) -> dict[str, str]:
        """Return node name -> quantization scheme of the core its layer runs on."""
        named = copy_graph(graph)
        parse_pipeline(self._fusion())(named)
        target, cores = self.prepared.target, {c.name: c.core for c in self.prepared.costs.layers}
        found = {n: target.schemes.get(cores.get(layer, "")) for n, layer in state_of(named).layers.items()}
        return {node: name for node, name in found.items() if name is not None}

    def _fusion(self) -> str:
        return self.prepared.target.pipeline(quantized=False)

    def _cost(self, graph: gs.Graph, target: Target | None = None) -> CostReport:
        return cost_of(graph, target or self.prepared.target, self.options.objective)

    def _choose(
        self, lowered: gs.Graph, val: Answers
    ) -> tuple[list[int], tuple[np.float32, ...], CostReport, list[tuple[str, str]]]:
        """Try every subset of the candidate exits; the cheapest on val within the limit is kept."""
        names = [e.name for e in state_of(lowered).exits[:-1]]
        limit = Limit(self.options.max_drop, self.options.optimistic)
        bound = DropBound(len(val.labels))
        best: tuple[float, list[int], Choice, CostReport] | None = None
        for size in range(len(names) + 1):
            for subset in itertools.combinations(range(len(names)), size):
                graph = keep_exits(lowered, [names[i] for i in subset])
                costs = self._cost(graph)
                values = [outcome.objective_value(e, self.options.objective) for e in costs.exits]
                choice = choose(val.observed().select(subset), values, limit, bound)
                if any(t == NEVER for t in choice.thresholds):
                    continue  # the subset without that exit is cheaper still
                if best is None or choice.cost < best[0]:
                    best = (choice.cost, list(subset), choice, costs)
        assert best is not None  # the empty subset is always allowed
        removed = [(n, _why_removed(limit)) for i, n in enumerate(names) if i not in best[1]]
        return best[1], best[2].thresholds, best[3], removed

    def _sensitivity(self, final: gs.Graph, lowered: gs.Graph) -> list[tuple[float, CostReport, CostReport]]:
        """Costs of the chosen network and of static at host cost x0, x1, x4."""
        result = []
        for factor in (0.0, 1.0, 4.0):
            target = load_target(self.options.target, self.options.cost_model or "", factor)
            static = self._cost(keep_exits(lowered, []), target)
            result.append((factor, self._cost(final, target), static))
        return result

    def _lower(
        self, final: dict[str, gs.Graph], static: gs.Graph, dataset: Dataset, preprocess: Preprocess,
        flat: Answers, thresholds: Sequence[np.float32],
    ) -> tuple[Agreement, dict[str, Any]]:  # fmt: skip
        """Write all model files and check them against the flat quantized model on every test image."""
        batch = "N" if _batched(final["lowered"]) else None
        for kind, graph in final.items():
            save(graph, self.work / f"model.{kind}.onnx", batch)
        (self.work / "stages").mkdir()
        count = len(thresholds) + 1
        paths = []
        for number in range(count):
            stage = copy_graph(final["lowered"])
            parse_pipeline(f"split-stages{{stage={number}}}")(stage)
            paths.append(save(stage, self.work / "stages" / f"stage_{number}.onnx"))
        nested = copy_graph(final["lowered"])
        parse_pipeline("nest-exits")(nested)
        dynamic = DynamicModel(save(nested, self.work / "model.dynamic.onnx"))
        limits: list[float | None] = [*(float(t) for t in thresholds), None]
        staged = StagedModel(paths, limits)

        def image(index: int) -> Float32:
            return preprocess.apply(dataset.test.x[index : index + 1])

        agreement = check_agreement(flat, thresholds, dynamic, staged, image)
        timing = measure(static, dynamic, count, image, len(dataset.test))
        return agreement, asdict(timing)

    def _info(self, dataset: Dataset | None, more: dict[str, Any]) -> dict[str, Any]:
        self.clock.step("")
        options = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self.options).items()}
        return {
            "options": options,
            "versions": outcome.versions(),
            "machine": {"python": platform.python_version(), "system": platform.system()},
            "model_sha256": artifacts.sha256(self.options.model),
            "data_sha256": dict(dataset.hashes) if dataset else {},
            "seconds": self.clock.seconds,
            **more,
        }

    def _write(self, summary: Summary, costs: CostReport, info: dict[str, Any]) -> None:
        from eecompile.report import render

        write_atomic(self.work / "summary.json", summary.to_text().encode())
        artifacts.write_json(self.work / "run.json", info)
        artifacts.write_csv(self.work / "exits.csv", outcome.exit_rows(summary))
        artifacts.write_csv(self.work / "layers.csv", outcome.layer_rows(costs))
        artifacts.write_json(self.work / "schedule.trace.json", outcome.trace(costs))
        write_atomic(self.work / "report.html", render(self.work).encode())


def _user_names(graph: gs.Graph) -> set[str]:
    """Outputs that nodes of the user's own model write."""
    origins = state_of(graph).origins
    return {t.name for n in graph.nodes if origins.get(n.name) for t in n.outputs}


def _batched(graph: gs.Graph) -> bool:
    return Evaluator.of(lambda batch: to_model(graph, batch)).batch > 1


def _why_removed(limit: Limit) -> str:
    kind = "estimated drop" if limit.optimistic else "upper 90 % bound of the drop"
    return (
        f"no threshold at this exit makes the network cheaper while the {kind} on val stays within "
        f"{limit.max_drop:g} points"
    )
