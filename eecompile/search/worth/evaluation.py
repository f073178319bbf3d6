"""What a design is worth on a target: what each worker of a search finds out of its candidates."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.cache.key import Key
from eecompile.cache.store import CacheStore
from eecompile.run.prepare import cost_of
from eecompile.search.space.design import Design
from eecompile.search.space.reading import read_space
from eecompile.search.space.searched_backbones import OwnBackbone
from eecompile.search.space.space import Space
from eecompile.search.study.proposals import Params
from eecompile.search.worth.images import SearchImages, for_families, for_network
from eecompile.search.worth.inner_front import InnerFront, inner_front
from eecompile.search.worth.integers import Float32, Numbers, logits_of, packed, unpacked
from eecompile.search.worth.part_costs import PartCosts, part_costs
from eecompile.search.worth.supernet import Supernets
from passes.state import copy_graph, state_of
from targets.contract.registry import load_target
from targets.contract.target import Target
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.objective import Objective

FORM = 1
"""Of how answers and costs are found out: another one finds others."""
LAYERS = "layers"
"""The schedule whose costs are sums, where a target has it."""


@dataclass(frozen=True)
class Question:
    """What a search asks of its designs; the same for all workers, wherever they are.

    Attributes:
        space: File of the space.
        target: Name of the accelerator.
        objective: What schedules minimise.
        data: Images.
        preprocess: Rule, or ``auto``.
        seed: Of all that is random.
        cache: Folder of the cache.
        cache_bytes: How large it may be.
        quantized: Networks are quantized; else they answer in float.
    """

    space: Path
    target: str
    objective: Objective
    data: str
    preprocess: str
    seed: int
    cache: Path
    cache_bytes: int
    quantized: bool = True


@dataclass
class DesignEvaluation:
    """Answers the question of a search for one candidate after the other; goes to other processes as it is.

    Attributes:
        question: What is asked.
        progress: Told a line now and then, in this process.
    """

    question: Question
    progress: Callable[[str], None] = field(default=lambda _: None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: the question."""
        return {"question": self.question}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.question, self.progress = state["question"], _silent

    @cached_property
    def space(self) -> Space:
        """What is searched."""
        return read_space(self.question.space)

    @cached_property
    def target(self) -> Target:
        """Where networks run."""
        return load_target(self.question.target)

    @cached_property
    def cache(self) -> CacheStore:
        """What was found out before."""
        return CacheStore(self.question.cache, self.question.cache_bytes)

    @cached_property
    def images(self) -> SearchImages:
        """What networks are trained and judged on."""
        asked, own = self.question, self.space.backbones
        if isinstance(own, OwnBackbone):
            return for_network(own.graph(), asked.data, asked.preprocess, asked.seed, str(own.path))
        return for_families(asked.data, asked.preprocess, asked.seed)

    @cached_property
    def numbers(self) -> Numbers:
        """With which numbers networks compute."""
        return Numbers(self.target, self.question.objective.for_schedules, self.question.quantized)

    @cached_property
    def supernets(self) -> Supernets:
        """Trains supernets."""
        return Supernets(self.space, self.images, self.cache, self.question.seed, self.progress)

    def __call__(self, candidate: int, params: Params, rung: int) -> dict[str, Any]:
        """Return what a candidate is worth, trained up to a rung.

        Raises:
            EecompileError: It cannot be built, placed or trained.
        """
        design = self.space.design(params)
        costs = self.costs(design)
        graph, logits = self.answers(design, rung)
        found = self._front(graph, logits, costs)
        return {
            "design": design.text,
            "points": found.points,
            "why": found.why,
            "violation": found.violation,
            "networks": found.networks,
            "static": {
                "accuracy_val": float((logits[-1].argmax(axis=1) == self.images.dataset.val.y).mean()),
                "macs": costs.static.macs,
                "latency_cycles": costs.static.latency_cycles,
                "energy_pj": costs.static.energy_pj,
                "edp_j_cycles": costs.static.edp_j_cycles,
            },
        }

    def _front(self, graph: gs.Graph, logits: tuple[Float32, ...], costs: PartCosts) -> InnerFront:
        space = self.space
        return inner_front(
            graph,
            logits,
            self.images.dataset.val.y,
            costs,
            space.exits.confidence,
            space.objectives.front,
            space.constraints,
            space.exits.at_most,
        )

    def costs(self, design: Design) -> PartCosts:
        """Return what the parts of a design's supernet cost, before it is trained.

        Raises:
            NoSolutionError: The target cannot run it.
        """
        graph = self.numbers.assigned(self.supernets.untrained(design), design.wish)
        parts = {
            "form": FORM,
            "target": self.question.target,
            "at": "" if self.target.operating_point is None else self.target.operating_point.name,
            "objective": self.question.objective.name,
            "design": design.text,
            "exits": [f"{item.name} {item.mount} {item.head}" for item in state_of(graph).exits[:-1]],
            "shape": list(self.images.shape),
            "classes": self.images.classes,
        }
        key = Key.of("costs", parts, f"{design.backbone} on {self.question.target}")
        data = self.cache.get(key, lambda: json.dumps(part_costs(graph, self.quick).to_json()).encode())
        return PartCosts.from_json(json.loads(data))

    def quick(self, graph: gs.Graph) -> CostReport:
        """Return the costs of a network by the schedule whose costs are sums."""
        mode = LAYERS if LAYERS in self.target.schedules else ""
        return cost_of(graph, self.target, self.question.objective, wishes=Wishes(mode))

    def answers(self, design: Design, rung: int) -> tuple[gs.Graph, tuple[Float32, ...]]:
        """Return the supernet of a design, trained up to a rung, and what it answers on val."""
        graph = self.supernets.trained(design, rung)
        parts = {
            "form": FORM,
            "supernet": self.supernets.key(design, rung).digest,
            "numbers": self._numbers_text(design),
        }
        key = Key.of("answers", parts, f"{design.text}, rung {rung}")
        return graph, unpacked(self.cache.get(key, lambda: packed(self._answered(graph, design))))

    def _answered(self, graph: gs.Graph, design: Design) -> tuple[Float32, ...]:
        numbers, val = self.numbers, self.images.dataset.val
        if not numbers.quantized:
            return logits_of(graph, val, self.images)
        calibrated = numbers.calibrated(copy_graph(graph), design.wish, self.images)
        return logits_of(numbers.lowered(calibrated), val, self.images)

    def _numbers_text(self, design: Design) -> str:
        if not self.numbers.quantized:
            return "float"
        return f"{self.question.target} {self.question.objective.name} {design.wish}"


def _silent(text: str) -> None:
    """Drop a line of progress."""


