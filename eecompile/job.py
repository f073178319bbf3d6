"""One run, step by step: heads, quantization, thresholds, lowering, proof, files."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx_graphsurgeon as gs

from eecompile import artifacts, outcome
from eecompile.assignment import assign_precisions
from eecompile.calibration import IMAGES, calibrate
from eecompile.dataset import Dataset, evenly
from eecompile.delivery import Forms, prove, write_models
from eecompile.exit_choice import Candidate, ExitChoice, choose_exits, oversized, shares
from eecompile.features import extract
from eecompile.network_data import open_data
from eecompile.preparation import Prepared, cost_of, cycles_by_model
from eecompile.preprocess import Preprocess
from eecompile.preprocess_choice import Choice as PreprocessChoice
from eecompile.results import Summary
from eecompile.run_options import RunOptions
from eecompile.thresholds import Limit
from eecompile.training import Head, Recipe, train_heads
from eecompile.validation import Answers, answers
from passes.exits import keep_exits, set_thresholds
from passes.graph import write_atomic
from passes.heads import AUTO, CONV, LINEAR
from passes.insert_exits import add_rival_heads, set_head_parameters
from passes.mounts import find_mounts
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.base import Target
from targets.objective import Objective
from targets.registry import load_target
from targets.report import CostReport
from targets.schedule.trace import trace_text
from targets.scheduling import Wishes

DETAIL_SECONDS = 2.0
# Up to so many mounts, `auto` tries both kinds of head on each: every choice is costed and searched.
MAX_RIVALS = 4


@dataclass
class Clock:
    """Wall time per step, and progress lines."""

    progress: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    _step: str = ""
    _start: float = 0.0
    _told: float = 0.0

    def step(self, name: str) -> None:
        """Begin a step; ends the one before."""
        now = time.perf_counter()
        if self._step:
            self.seconds[self._step] = round(self.seconds.get(self._step, 0.0) + now - self._start, 3)
        self._step, self._start, self._told = name, now, now
        if name:
            self.progress(name)

    def detail(self, text: str) -> None:
        """Tell how far a step is, at most every ``DETAIL_SECONDS``."""
        now = time.perf_counter()
        if now - self._told >= DETAIL_SECONDS:
            self._told = now
            self.progress(text)


class Job:
    """One run in its work directory."""

    def __init__(self, options: RunOptions, prepared: Prepared, clock: Clock, work: Path) -> None:
        self.options = options
        self.prepared = prepared
        self.clock = clock
        self.work = work

    def costs_only(self) -> tuple[Summary, CostReport, dict[str, Any]]:
        """Report costs; nothing is trained, no accuracy claimed, no runnable early-exit file written."""
        static = self._cost(self.prepared.plain)
        summary = outcome.costs_only(self.options, self.prepared, static, self._mount_names())
        info = self._info(None, {}, static)
        self._write(summary, self.prepared.costs, info)
        return summary, self.prepared.costs, info

    def full(self, data: str) -> tuple[Summary, CostReport, dict[str, Any]]:
        """Train, quantize, choose exits and thresholds, lower, prove, write."""
        options, clock, exited = self.options, self.clock, self.prepared.graph
        clock.step("data")
        dataset, preprocess, tried = self._data(data)
        training = self._train(exited, dataset, preprocess)
        clock.step("quantize")
        quantized, lowered, calibration = self._quantize(exited, dataset, preprocess)
        clock.step("evaluate")
        val = answers(lowered, dataset.val, preprocess)
        float_test, quant_test, test = (
            answers(graph, dataset.test, preprocess) for graph in (exited, quantized, lowered)
        )
        clock.step("choose exits and thresholds")
        limit = Limit(options.max_drop, options.optimistic)
        names = self._mount_names()
        candidates = [
            Candidate(name, e.head_name)
            for name, e in zip(names[:-1], state_of(exited).exits[:-1], strict=True)
        ]
        chosen = choose_exits(lowered, candidates, val, limit, options.objective, self._cost)
        chosen = self._scheduled(lowered, chosen, val)
        kept, thresholds = chosen.kept, chosen.thresholds
        clock.step("write and prove")
        forms = self._forms(exited, quantized, lowered, chosen)
        delivery = write_models(self.work, forms, thresholds)
        flat = quant_test.select(kept)
        agreement, measured = prove(delivery, forms, flat, thresholds, dataset.test, preprocess)
        evidence = outcome.Evidence(
            dataset=dataset,
            val_answers=val.select(kept),
            float_answers=float_test.select(kept),
            quant_answers=flat,
            lowered_answers=test.select(kept),
            chosen=chosen,
            mount_names=(*(names[k] for k in kept), names[-1]),
            sensitivity=self._sensitivity(forms, chosen.costs.ratios),
        )
        warnings = [tried.warning] if tried.warning else []
        if different := outcome.disagreement(agreement):
            warnings.append(f"early-exit files and flat model disagree: {different}")
        warnings += outcome.few_images(len(dataset.val), options.max_drop)
        warnings += [*dataset.notes, *oversized(evidence.val_answers, thresholds)]
        summary = outcome.summarize(options, forms.exits, evidence, warnings, outcome.caution(tried))
        info = self._info(
            dataset,
            {
                "preprocess": preprocess.to_json(),
                "preprocess_tried": [list(attempt) for attempt in tried.tried],
                "training": training,
                "calibration": calibration,
                "agreement": asdict(agreement),
                "measured": measured,
            },
            chosen.static,
        )
        self._write(summary, chosen.costs, info)
        return summary, chosen.costs, info

    def _scheduled(self, lowered: gs.Graph, chosen: ExitChoice, val: Answers) -> ExitChoice:
        """Return the choice with the costs of a schedule made for the shares of inputs seen on val."""
        names = [state_of(lowered).exits[k].name for k in chosen.kept]
        ratios = shares(val.select(chosen.kept), chosen.thresholds)
        costs = self._cost(keep_exits(lowered, names), ratios, self.options.speculate)
        return replace(chosen, costs=costs)

    def _mount_names(self) -> list[str]:
        """Return the short name of the mount of every exit, the final one last."""
        shown = {m.tensor: m.name for m in find_mounts(self.prepared.plain)}
        return [shown.get(e.mount, e.mount) for e in state_of(self.prepared.graph).exits]

    def _forms(self, exited: gs.Graph, quantized: gs.Graph, lowered: gs.Graph, chosen: ExitChoice) -> Forms:
        names = [state_of(exited).exits[k].name for k in chosen.kept]
        graphs = [keep_exits(graph, names) for graph in (exited, quantized, lowered)]
        for graph in graphs:
            set_thresholds(graph, [float(t) for t in chosen.thresholds])
        parse_pipeline(self._fusion())(graphs[2])  # names the layers anew
        exits, quant, flat = graphs
        return Forms(exits, quant, flat, static=keep_exits(lowered, []))

    def _data(self, spec: str) -> tuple[Dataset, Preprocess, PreprocessChoice]:
        options = self.options
        dataset, choice = open_data(
            self.prepared.plain, spec, options.preprocess, options.seed, str(options.model)
        )
        self.clock.progress(
            f"preprocessing: {choice.preprocess.name} ({100 * choice.accuracy:.1f} % on {choice.images})"
        )
        return dataset, choice.preprocess, choice

    def _train(self, graph: gs.Graph, dataset: Dataset, preprocess: Preprocess) -> dict[str, Any]:
        """Train the heads that were inserted; a network that brought exits keeps its own."""
        if not self.prepared.inserted:
            return {"trained": []}
        self.clock.step("train heads")
        seed = self.options.seed
        if self.options.head == AUTO and len(state_of(graph).exits) <= MAX_RIVALS + 1:
            add_rival_heads(graph, (LINEAR, CONV), seed)
        tensors = graph.tensors()
        ours = state_of(graph).exits[:-1]
        macs = int(self.prepared.costs.total.macs)
        data = extract(graph, dataset.train, preprocess, macs, seed, self.clock.detail)
        classes = int(graph.outputs[-1].shape[-1])
        heads = []
        for item in ours:
            assert item.head is not None, "what was inserted has a head of a family"
            mount = tuple(int(d) for d in tensors[item.mount].shape[1:])
            layers = item.head.layers(mount, classes)
            heads.append(Head(item.name, layers, mount, data.features[item.name]))
        trained = train_heads(heads, data, seed, Recipe(), self.clock.detail)
        for item in ours:
            set_head_parameters(graph, item, trained[item.name])
        return {
            "trained": [e.name for e in ours],
            "copies": len(data.logits),
            "mirrored": data.flips,
            "recipe": asdict(Recipe()),
            "seed": seed,
        }

    def _quantize(
        self, graph: gs.Graph, dataset: Dataset, preprocess: Preprocess
    ) -> tuple[gs.Graph, gs.Graph, dict[str, Any]]:
        images = evenly(dataset.train.x, IMAGES)
        quantized = copy_graph(graph)
        schemes = assign_precisions(quantized, self.prepared.target, self.options.objective)
        done = calibrate(quantized, preprocess.apply(images))
        parse_pipeline("quantize")(quantized)
        lowered = copy_graph(quantized)
        parse_pipeline("fold-qdq")(lowered)
        return quantized, lowered, {"images": done.images, "schemes": schemes, "rounding": done.rounding}

    def _fusion(self) -> str:
        return self.prepared.target.pipeline(quantized=False)

    def _cost(
        self,
        graph: gs.Graph,
        ratios: Sequence[float] | None = None,
        speculate: bool = False,
        target: Target | None = None,
    ) -> CostReport:
        """Return the costs of a network, scheduled for ``ratios``; equal shares if not given."""
        target, wishes = target or self.prepared.target, Wishes(speculate=speculate)
        return cost_of(graph, target, self.options.objective, ratios=ratios, wishes=wishes)

    def _sensitivity(
        self, forms: Forms, ratios: Sequence[float]
    ) -> list[tuple[float, CostReport, CostReport]]:
        """Return host scale, costs of the network, costs of static at host cost x0, x1 and x4."""
        if self.prepared.target.arch.host is None:
            return []
        result = []
        for factor in (0.0, 1.0, 4.0):
            target = load_target(self.options.target, self.options.cost_model or "", factor)
            costs = self._cost(forms.lowered, ratios, self.options.speculate, target)
            result.append((factor, costs, self._cost(forms.static, target=target)))
        return result

    def _info(self, dataset: Dataset | None, more: dict[str, Any], static: CostReport) -> dict[str, Any]:
        self.clock.step("")
        options = {k: str(v) if isinstance(v, Path | Objective) else v for k, v in vars(self.options).items()}
        return {
            "command": outcome.command(self.options),
            "options": options,
            "seeds": {"seed": self.options.seed},
            "versions": outcome.versions(),
            "machine": {"python": platform.python_version(), "system": platform.system()},
            "model_sha256": artifacts.sha256(self.options.model),
            "data_sha256": dict(dataset.hashes) if dataset else {},
            "seconds": self.clock.seconds,
            **self._models(static),
            **more,
        }

    def _models(self, static: CostReport) -> dict[str, Any]:
        """Return what the network without exits takes by each cost model, where there are several."""
        target = self.prepared.target
        if len(target.cost_models) == 1:
            return {}
        cycles = cycles_by_model(self.prepared.plain, target, static)
        return {"static_cycles_by_cost_model": cycles}

    def _write(self, summary: Summary, costs: CostReport, info: dict[str, Any]) -> None:
        from eecompile.report import render

        write_atomic(self.work / "summary.json", summary.to_text().encode())
        artifacts.write_json(self.work / "run.json", info)
        artifacts.write_csv(self.work / "exits.csv", outcome.exit_rows(summary))
        artifacts.write_csv(self.work / "layers.csv", outcome.layer_rows(costs))
        write_atomic(self.work / "schedule.trace.json", trace_text(costs.to_trace()).encode())
        write_atomic(self.work / "report.html", render(self.work).encode())
