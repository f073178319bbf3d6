"""A search on other hardware: what its front costs there, and which exits move. Nothing is trained."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eecompile.cache.bundle import graph_of_bytes
from eecompile.cache.key import Key
from eecompile.run.accelerator import open_target, short_name
from eecompile.run.prepare import cost_of
from eecompile.run_files.directory import write_json
from eecompile.search.backbones.final_head import OWN
from eecompile.search.point_rows import point_axes, point_rows
from eecompile.search.searching import NETWORKS, SPACE, read_front, target_of
from eecompile.search.study.front import GrowingFront
from eecompile.search.worth.evaluation import ASKED, DesignEvaluation, Question
from eecompile.search.worth.inner_front import KEYS, ratio_figure
from eecompile.search.worth.integers import unpacked
from eecompile.search.worth.part_costs import cost_figures, expected_figures, part_costs, peak_bytes
from passes.errors import EecompileError, InputError
from passes.exits.chain import keep_exits
from passes.model.graph import load
from passes.progress import each
from passes.shown_result import Row, ShownResult
from targets.contract.target import Target
from targets.description.changes import Change, changed

_AGAIN = "run `search` with `resume` and this version once more: what was trained is kept in its cache"
_FIGURES = (
    "edp_j_cycles", "edp_js", "energy_pj", "latency_cycles", "latency_s", "macs",
    "worst_latency_cycles", "worst_latency_s", "memory_bytes",
)  # fmt: skip
# Constraints on figures that other hardware changes, by the figure.
_BOUNDS = {
    "max_edp_j_cycles": "edp_j_cycles", "max_energy_pj": "energy_pj", "max_latency_cycles": "latency_cycles",
    "max_worst_latency_cycles": "worst_latency_cycles", "max_memory_bytes": "memory_bytes",
    "max_edp_js": "edp_js", "max_latency_s": "latency_s", "max_worst_latency_s": "worst_latency_s",
}  # fmt: skip
_NEEDED = {"asked", "compared_by"}
# What is said of a point that holds on the hardware it was found for alone.
_OF_BEFORE = ("on_test", "summed")


@dataclass(frozen=True)
class WhatIfAsked:
    """What is asked.

    Attributes:
        study: Folder of a search.
        settings: Numbers of the hardware by their path, see :func:`changed`.
        target: Another accelerator, or its file; empty: that of the search.
        cache: Folder of the cache of the search.
        cache_bytes: How large it may be.
        name: Of what is written; empty: by what is changed.
    """

    study: Path
    settings: Mapping[str, float]
    target: str
    cache: Path
    cache_bytes: int
    name: str = ""


@dataclass(frozen=True, repr=False)
class WhatIf(ShownResult):
    """What a search would be on other hardware.

    Attributes:
        path: Where it was written.
        document: As it stands there: in the form of ``front.json``, with ``hardware``; each point says what
            it ``was``, whether it is ``on_front`` still, and the exits that its design has by costs there:
            ``planned``, ``from`` and ``to``.
    """

    path: Path
    document: dict[str, Any]

    def _words(self) -> str:
        kept = sum(bool(point.get("on_front")) for point in self.document["points"])
        return f"{kept} of {len(self.document['points'])} points stay on the front; in {self.path}"

    def _rows(self) -> list[Row]:
        return point_rows(self.document)

    def _axes(self) -> tuple[str, str]:
        return point_axes(self.document)

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return {**self.document, "file": str(self.path)}


def what_if(asked: WhatIfAsked, progress: Callable[[str], None]) -> WhatIf:
    """Cost the points of a front on other hardware, solve its designs anew, and write what comes out.

    Points are scheduled in full. Designs whose answers are in the cache are solved from these, with new costs
    of their parts; what they answer is what it was, whatever computes it.

    Raises:
        InputError: No finished search, a number that the hardware does not have, or one that it cannot have.
    """
    front = read_front(asked.study)
    if not front.keys() >= _NEEDED or any("networks" not in point for point in front["points"]):
        raise InputError(f"the search in {asked.study} is of another version", _AGAIN)
    target, changes, moved = _hardware(asked, front)
    question = _question(asked, front)
    there = DesignEvaluation(question, hardware=target, moved=moved)
    there.space.check_clocks(target)
    other = _OnOther(there, DesignEvaluation(question), asked.study)
    points = []
    for point in each(front["points"], "points"):
        progress(f"trial {point['trial']}, point {point['point']}: scheduled anew")
        kept = {key: value for key, value in point.items() if key not in (*_OF_BEFORE, *_FIGURES)}
        points.append({**kept, **other.costed(point)})
    keys = [there.keys[name] for name in front["objectives"]] if moved else front["compared_by"]
    _mark_front(points, keys)
    planned, missing = _planned(other, asked.study, points, keys, progress)
    document = {
        **{key: value for key, value in front.items() if key != "hypervolume"},
        "target": target.title,
        "compared_by": list(keys),
        "operating_points": [point.name for point in there.points if point is not None],
        "hardware": {
            "of": front["target"],
            "target": target.title,
            "changes": [vars(change) for change in changes],
        },
        "points": points,
        "planned": planned,
        "not_in_cache": missing,
    }
    path = asked.study / f"whatif-{asked.name or _named(asked)}.json"
    write_json(path, document)
    return WhatIf(path, document)


def _hardware(asked: WhatIfAsked, front: Mapping[str, Any]) -> tuple[Target, tuple[Change, ...], bool]:
    """Return the target with its other numbers, what these are, and whether it is another accelerator."""
    own = open_target(target_of(asked.study, front), "", None)[0]
    target = open_target(asked.target, "", None)[0] if asked.target else own
    moved = target != own
    if not asked.settings and not moved:
        raise InputError(
            "nothing is another: the front would be what it is",
            "change a number (`set` memories.l1.size_bytes=65536), or take another `target`",
        )
    if not asked.settings:
        return target, (), moved
    arch, changes = changed(target.arch, asked.settings)
    return target.with_architecture(arch), changes, moved


def _question(asked: WhatIfAsked, front: Mapping[str, Any]) -> Question:
    return Question(
        space=asked.study / SPACE,
        target=target_of(asked.study, front),
        data=front["data"],
        preprocess=front["preprocess_asked"],
        seed=front["seed"],
        cache=asked.cache,
        cache_bytes=asked.cache_bytes,
        **{name: front["asked"][name] for name in ASKED},
    )


def _named(asked: WhatIfAsked) -> str:
    told = [short_name(asked.target), *(f"{path}-{value:g}" for path, value in asked.settings.items())]
    text = "-".join(part for part in told if part).replace("*", "all")
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text)


@dataclass(frozen=True)
class _OnOther:
    """A search on other hardware.

    Attributes:
        there: Its question, asked on the other hardware.
        here: The same on its own.
        study: Its folder.
    """

    there: DesignEvaluation
    here: DesignEvaluation
    study: Path

    def costed(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return the new figures of a point beside those it had; of one that cannot run, why."""
        was = {key: point[key] for key in _FIGURES if key in point}
        at = None if self.there.moved else point["operating_point"]
        target = self.there.target if at is None else self.there.target.at_point(at)
        design = self.there.space.design(point["params"])
        network = load(self.study / NETWORKS / next(iter(point["networks"])))
        ratios = [*(item["ratio"] for item in point["exits"]), point["final_ratio"]]
        try:
            graph = self.there.assigned(network, design)
            report = cost_of(graph, target, self.there.objective, ratios=ratios)
            figures = expected_figures(report, ratios)
            closed = cost_of(keep_exits(graph, []), target, self.there.objective).total
        except EecompileError as error:
            return {"was": was, "feasible": False, "runs": False, "why": str(error)}
        figures["memory_bytes"] = peak_bytes(report)
        bounds = self.there.space.constraints
        limits = [(key, getattr(bounds, name)) for name, key in _BOUNDS.items()]
        if bounds.max_cost_ratio is not None:
            key = KEYS[ratio_figure(self.there.space.objectives.front)]
            limits.append((key, bounds.max_cost_ratio * cost_figures(closed)[key]))
        kept = all(limit is None or figures.get(key, math.inf) <= limit for key, limit in limits)
        name = None if target.operating_point is None else target.operating_point.name
        return {**figures, "was": was, "operating_point": name, "feasible": kept, "runs": True}

    def planned(self, trial: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """Return the inner front of a design there, from what is in the cache; ``None``: it is not."""
        cache, design = self.here.cache, self.here.space.design(trial["params"])
        supernet = cache.read(Key("supernet", trial["supernet"], ""))
        logits = cache.read(self.here.answers_key(design, trial["supernet"], int(trial["rung"])))
        rules = self.here.known_rules(design, trial["supernet"], int(trial["rung"]))
        if supernet is None or logits is None or rules is None:
            return None
        graph = graph_of_bytes(supernet)
        assigned = self.there.assigned(graph, design, self.there.finals)
        costs = part_costs(assigned, self.there.quick, self.there.finals)
        return self.there.front(graph, unpacked(logits), costs, rules).points


def _mark_front(points: list[dict[str, Any]], keys: Sequence[str]) -> None:
    """Say of each point whether it is on the front still."""
    front = _front_by(keys)
    for k, point in enumerate(points):
        if point["feasible"] and all(key in point for key in keys):
            front.take(k, [point])
    on_front = {k for k, _ in front.points}
    for k, point in enumerate(points):
        point["on_front"] = k in on_front


def _front_by(keys: Sequence[str]) -> GrowingFront:
    return GrowingFront(tuple(keys), frozenset({KEYS["accuracy"]}))


def _planned(
    other: _OnOther,
    folder: Path,
    points: list[dict[str, Any]],
    keys: Sequence[str],
    progress: Callable[[str], None],
) -> tuple[list[dict[str, Any]], list[int]]:
    """Solve all designs anew, say of each point where its exits would go; return the front, what lacked."""
    trials = [t for t in json.loads((folder / "trials.json").read_text())["trials"] if "supernet" in t]
    front = _front_by(keys)
    missing = []
    cost = next(key for key in keys if key != KEYS["accuracy"])
    for trial in each(trials, "designs"):
        progress(f"trial {trial['trial']}: its front is solved anew")
        try:
            found = other.planned(trial)
        except EecompileError as error:
            progress(f"trial {trial['trial']} cannot run there: {error}")
            continue
        if found is None:
            missing.append(trial["trial"])
            continue
        front.take(trial["trial"], found)
        for point in points:
            if point["trial"] == trial["trial"]:
                point["planned"] = {
                    "from": _exits(trial["points"], point, cost),
                    "to": _exits(found, point, cost),
                }
    return [{"trial": trial, **point} for trial, point in front.points], missing


def _exits(planned: Sequence[Mapping[str, Any]], point: Mapping[str, Any], cost: str) -> list[str] | None:
    """Return the exits of the cheapest plan that is as accurate as a point was planned to be."""
    enough = [item for item in planned if item["accuracy_val"] >= point["before"]["accuracy_val"] - 1e-12]
    if not enough:
        return None
    best = min(enough, key=lambda item: (item[cost], -item["accuracy_val"]))
    closing = best.get("final_head", OWN)
    exits = [f"{item['mount']} {item['head']}" for item in best["exits"]]
    return exits if closing == OWN else [*exits, f"closed by {closing}"]
