"""What a design is worth on a target: what each worker of a search finds out of its candidates."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.cache.key import Key
from eecompile.cache.store import CacheStore
from eecompile.data.dataset import Split
from eecompile.data.in_memory import ImageSource
from eecompile.exits.answers import right
from eecompile.exits.confidence_fits import gate_images
from eecompile.run.accelerator import description_hash, is_file, open_target
from eecompile.run.prepare import cost_of
from eecompile.search.backbones.final_head import FinalHead, final_name, split_finals
from eecompile.search.space.design import Design
from eecompile.search.space.reading import read_space
from eecompile.search.space.searched_backbones import OwnBackbone
from eecompile.search.space.space import Space
from eecompile.search.space.tables import INDIVIDUAL
from eecompile.search.study.proposals import Params
from eecompile.search.worth.at_points import figures_at
from eecompile.search.worth.fitted_rules import FittedRules, fit_rules, rules_of_bytes, rules_to_bytes
from eecompile.search.worth.genetic_front import GeneticSearch
from eecompile.search.worth.images import SearchImages, for_families, for_network
from eecompile.search.worth.inner_front import (
    AnsweredSupernet,
    FrontQuestion,
    InnerFront,
    inner_front,
    keys_of,
)
from eecompile.search.worth.integers import Float32, Numbers, logits_of, packed, unpacked
from eecompile.search.worth.part_costs import PartCosts, cost_figures, part_costs
from eecompile.search.worth.stopwatch import ANSWERS, COSTS, FRONTS, NETWORKS, Stopwatch
from eecompile.search.worth.supernet import Reach, Supernets
from passes.exits.chain import keep_exits
from passes.heads.families import NO_REUSE
from passes.state import state_of
from targets.contract.target import Target
from targets.description.architecture import OperatingPoint
from targets.evaluation.paths import Cost
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.objective import Objective, objective_named

FORM = 1
"""Of how answers and costs are found out: another one finds others."""
_OF_SCHEDULES = ("edp", "latency", "energy")
_MEANS = (*_OF_SCHEDULES, "macs")
_BY_SCHEDULE = (*_OF_SCHEDULES, "worst_latency", "memory")
LAYERS = "layers"
"""The schedule whose costs are sums, where a target has it."""


@dataclass(frozen=True)
class Question:
    """What a search asks of its designs; the same for all workers, wherever they are.

    Attributes:
        space: File of the space.
        target: Name of the accelerator, or its file.
        data: Images.
        preprocess: Rule, or ``auto``.
        seed: Of all that is random.
        cache: Folder of the cache.
        cache_bytes: How large it may be.
        quantized: Networks are quantized; else they answer in float.
        hardware: Costs are those of the target; else MACs stand for them while designs are compared.
        fixed_heads: Only the first head of the space that reads no other exit, and the first final head.
        one_threshold: All exits of a network have one threshold.
        genetic: Networks inside a design are searched by a genetic algorithm of so many evaluations; 0: the
            front is solved.
    """

    space: Path
    target: str
    data: ImageSource
    preprocess: str
    seed: int
    cache: Path
    cache_bytes: int
    quantized: bool = True
    hardware: bool = True
    fixed_heads: bool = False
    one_threshold: bool = False
    genetic: int = 0

    @property
    def ablations(self) -> dict[str, Any]:
        """What is asked beside space, target, data and seed, by name."""
        return {name: getattr(self, name) for name in ASKED}


ASKED = tuple(part.name for part in fields(Question) if part.default is not MISSING)
"""Names of what a question asks beside space, target, data and seed: all that has a usual answer."""


@dataclass
class DesignEvaluation:
    """Answers the question of a search for one candidate after the other; goes to other processes as it is.

    Attributes:
        question: What is asked.
        progress: Told a line now and then, in this process.
        hardware: Where networks run instead of the target of the question, in this process.
        moved: That is another accelerator, with other operating points than those of the space.
    """

    question: Question
    progress: Callable[[str], None] = field(default=lambda _: None, repr=False)
    hardware: Target | None = field(default=None, repr=False)
    moved: bool = field(default=False, repr=False)
    _last: tuple[str, gs.Graph] | None = field(default=None, init=False, repr=False)  # that answered

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: the question."""
        return {"question": self.question}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.question, self.progress, self.hardware = state["question"], _silent, None
        self.moved, self._last = False, None

    @cached_property
    def watch(self) -> Stopwatch:
        """Where the time of this process goes."""
        return Stopwatch()

    @cached_property
    def space(self) -> Space:
        """What is searched."""
        space = read_space(self.question.space)
        if self.question.fixed_heads:
            alone = tuple(head for head in space.exits.heads if head.reuse == NO_REUSE)
            first = {"heads": alone[:1], "final_heads": space.exits.final_heads[:1]}
            space = replace(space, exits=space.exits.model_copy(update=first))
        return space

    @property
    def finals(self) -> tuple[FinalHead, ...]:
        """What may close networks; the first one closes those that others are compared with."""
        return self.space.exits.final_heads

    @cached_property
    def objective(self) -> Objective:
        """What schedules minimise: what the space says, else the first cost of its front."""
        told = self.space.mapping.objective
        named = [told] if told else [name for name in self.space.objectives.front if name in _OF_SCHEDULES]
        return objective_named((*named, "edp")[0])

    @property
    def joint(self) -> bool:
        """Whether all exits of a network have one threshold: asked for, or where no mean cost is sought."""
        exits, means = self.space.exits, [name for name in self.objectives if name in _MEANS]
        own = exits.thresholds == INDIVIDUAL and not self.question.one_threshold
        return not own or (not means and "thresholds" not in exits.model_fields_set)

    @property
    def genetic(self) -> GeneticSearch | None:
        """How networks inside a design are searched, where their front is not solved."""
        budget = self.question.genetic
        return GeneticSearch(budget, seed=self.question.seed) if budget else None

    @cached_property
    def objectives(self) -> tuple[str, ...]:
        """What designs are compared by while they are searched."""
        front = self.space.objectives.front
        if self.question.hardware:
            return front
        return tuple(dict.fromkeys("macs" if name in _BY_SCHEDULE else name for name in front))

    @cached_property
    def target(self) -> Target:
        """Where networks run."""
        return self.hardware or open_target(self.question.target, "", None)[0]

    @cached_property
    def target_text(self) -> str:
        """What is found out depends on of the target: its name, or of a file all that it says."""
        name = self.question.target
        if not is_file(name):
            return name
        told = open_target(name, "", None)[0]
        return f"{told.title} {description_hash(name, told)}"

    @property
    def points(self) -> tuple[OperatingPoint | None, ...]:
        """Operating points that networks may run at; ``None``: no clock is known."""
        names = self.space.mapping.points
        if not names or self.moved:
            return (self.target.operating_point,)
        return tuple(self.target.arch.operating_point(name) for name in names)

    @property
    def keys(self) -> dict[str, str]:
        """What each objective is compared by, as it is called in files."""
        return keys_of(self.points)

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
        return Numbers(self.target, self.objective.for_schedules, self.question.quantized)

    @cached_property
    def supernets(self) -> Supernets:
        """Trains supernets."""
        return Supernets(
            self.space,
            self.images,
            self.cache,
            self.question.seed,
            self.whole,
            self.quick,
            f"{self.target_text} {self.objective.name}",
            self.progress,
            self.watch,
        )

    def __call__(self, candidate: int, params: Params, rung: int, start: str) -> dict[str, Any]:
        """Return what a candidate is worth, trained up to a rung, and what the time was spent on.

        Raises:
            EecompileError: It cannot be built, placed or trained.
        """
        self.watch.take()
        with self.watch.on(NETWORKS):
            found = self._worth(candidate, params, rung, start)
        return {**found, "times": {part: round(took, 3) for part, took in self.watch.take().items()}}

    def _worth(self, candidate: int, params: Params, rung: int, start: str) -> dict[str, Any]:
        design = self.space.design(params)
        self.progress(f"trial {candidate}: {design.text}")
        costs = self.costs(design)
        reach = Reach(rung, start)
        graph, logits = self.answers(design, reach)
        fitted = self.fitted(design, reach)
        with self.watch.on(FRONTS):
            found = self.front(graph, logits, costs, fitted)
        final = split_finals(logits, self.finals)[1][0]
        static = [figures_at(cost_figures(costs.static), point) for point in self.points]
        found_at = {}
        if len(static) > 1:
            names = [point.name for point in self.points if point is not None]
            found_at["static_at"] = dict(zip(names, static, strict=True))
        return {
            "design": design.text,
            "supernet": self.supernets.key(design, reach).digest,
            "start": start,
            "points": found.points,
            "why": found.why,
            "violation": found.violation,
            "networks": found.networks,
            "static": {
                "accuracy_val": float(right(final, self.images.dataset.val.y).mean()),
                **static[0],
            },
            **found_at,
        }

    def front(
        self, graph: gs.Graph, logits: tuple[Float32, ...], costs: PartCosts, fitted: FittedRules
    ) -> InnerFront:
        """Return the inner front of a supernet that answered so on val, by costs of its parts."""
        space = self.space
        question = FrontQuestion(
            space.exits.confidence,
            self.objectives,
            space.constraints,
            space.exits.at_most,
            self.joint,
            self.genetic,
        )
        supernet = AnsweredSupernet(graph, logits, self.images.dataset.val.y, costs, self.finals, fitted)
        return inner_front(supernet, question, self.points)

    def costs(self, design: Design) -> PartCosts:
        """Return what the parts of a design's supernet cost, before it is trained.

        Raises:
            NoSolutionError: The target cannot run it.
        """
        graph = self.assigned(self.supernets.untrained(design), design, self.finals)
        parts = {
            "form": FORM,
            "target": self.target_text,
            "at": "" if self.target.operating_point is None else self.target.operating_point.name,
            "objective": self.objective.name,
            "design": design.text,
            "exits": [f"{item.name} {item.mount} {item.head}" for item in state_of(graph).exits[:-1]],
            "finals": [final_name(head) for head in self.finals],
            "shape": list(self.images.shape),
            "classes": self.images.classes,
        }
        if self.hardware is not None:
            parts["hardware"] = self.hardware.arch.model_dump_json()
        key = Key.of("costs", parts, f"{design.backbone} on {self.target.title}")

        def found() -> bytes:
            return json.dumps(part_costs(graph, self.quick, self.finals).to_json()).encode()

        with self.watch.on(COSTS):
            data = self.cache.get(key, found)
        return PartCosts.from_json(json.loads(data))

    def reference(self, design: Design) -> Cost:
        """Return what the network of a design costs without early exits and with the first final head."""
        graph = self.supernets.untrained(design)
        first = split_finals(state_of(graph).exits, self.finals)[1][0]
        return self.whole(self.assigned(keep_exits(graph, [], first.name), design)).total

    def whole(self, graph: gs.Graph) -> CostReport:
        """Return the costs of a network by the usual schedule of the target."""
        with self.watch.on(COSTS):
            return cost_of(graph, self.target, self.objective)

    def quick(self, graph: gs.Graph) -> CostReport:
        """Return the costs of a network by the schedule whose costs are sums."""
        mode = LAYERS if LAYERS in self.target.schedules else ""
        with self.watch.on(COSTS):
            return cost_of(graph, self.target, self.objective, wishes=Wishes(mode))

    def answers(self, design: Design, reach: Reach) -> tuple[gs.Graph, tuple[Float32, ...]]:
        """Return the trained supernet of a design, and what it answers on val."""
        graph = self.supernets.trained(design, reach)
        key = self.answers_key(design, self.supernets.key(design, reach).digest, reach.rung)

        def found() -> bytes:
            return packed(self._answered(design, reach, self.images.dataset.val))

        with self.watch.on(ANSWERS):
            return graph, unpacked(self.cache.get(key, found))

    def answers_key(self, design: Design, supernet: str, rung: int) -> Key:
        """Return the key of what a design answers, whose trained supernet has a digest."""
        parts = {"form": FORM, "supernet": supernet, "numbers": self.numbers_text(design)}
        return Key.of("answers", parts, f"{design.text}, rung {rung}")

    def _answered(self, design: Design, reach: Reach, split: Split) -> tuple[Float32, ...]:
        return logits_of(self._answering(design, reach), split, self.images)

    def _answering(self, design: Design, reach: Reach) -> gs.Graph:
        """Return the trained supernet of a design with the numbers that it answers in."""
        key = self.answers_key(design, self.supernets.key(design, reach).digest, reach.rung)
        if self._last is None or self._last[0] != key.digest:
            graph = self.supernets.trained(design, reach)
            if self.numbers.quantized:
                graph = self.numbers.lowered(self.calibrated(graph, design, self.finals))
            self._last = key.digest, graph
        return self._last[1]

    def fitted(self, design: Design, reach: Reach) -> FittedRules:
        """Return the confidence rules that lack parameters, fitted to the early exits of a design.

        Temperatures are fitted on val, gates on training images.
        """
        rules = self.space.exits.confidence
        if not any(rule.unfitted for rule in rules):
            return {}
        key = self.fitted_key(design, self.supernets.key(design, reach).digest, reach.rung)
        dataset = self.images.dataset

        def early(split: Split) -> tuple[Float32, ...]:
            return split_finals(self._answered(design, reach, split), self.finals)[0]

        def found() -> bytes:
            some = gate_images(dataset.train)
            seen = split_finals(self.answers(design, reach)[1], self.finals)[0]
            return rules_to_bytes(fit_rules(rules, seen, dataset.val.y, lambda: (early(some), some.y)))

        with self.watch.on(ANSWERS):
            return rules_of_bytes(self.cache.get(key, found), rules)

    def known_rules(self, design: Design, supernet: str, rung: int) -> FittedRules | None:
        """Return what :meth:`fitted` found before; ``None``: it is not in the cache."""
        rules = self.space.exits.confidence
        if not any(rule.unfitted for rule in rules):
            return {}
        data = self.cache.read(self.fitted_key(design, supernet, rung))
        return None if data is None else rules_of_bytes(data, rules)

    def fitted_key(self, design: Design, supernet: str, rung: int) -> Key:
        """Return the key of the rules that are fitted to what a design answers; as :meth:`answers_key`."""
        answers = self.answers_key(design, supernet, rung)
        parts = {"answers": answers.digest, "rules": [str(rule) for rule in self.space.exits.confidence]}
        return Key.of("rules", parts, answers.title)

    def numbers_text(self, design: Design) -> str:
        """Return what its answers depend on beside the weights of its supernet."""
        if not self.numbers.quantized:
            return "float"
        return f"{self.target_text} {self.objective.name} {design.text}"

    def assigned(self, graph: gs.Graph, design: Design, finals: Sequence[FinalHead] = (None,)) -> gs.Graph:
        """Return a copy of a network of a design that knows its numbers; see :meth:`Numbers.assigned`.

        Args:
            graph: The network, or a supernet.
            design: What it is.
            finals: Final heads among its exits: of a supernet those of the space.
        """
        return self.numbers.assigned(graph, design.wish(graph, finals))

    def calibrated(self, graph: gs.Graph, design: Design, finals: Sequence[FinalHead] = (None,)) -> gs.Graph:
        """Return a copy with integer grids, and weights on them; as :meth:`assigned`."""
        return self.numbers.calibrated(graph, design.wish(graph, finals), self.images)


def _silent(text: str) -> None:
    """Drop a line of progress."""
