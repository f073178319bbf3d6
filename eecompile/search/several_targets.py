"""One search for each of several targets: each a folder of its own, what was trained in the cache of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from eecompile.run.accelerator import short_name
from eecompile.run_files.directory import write_json
from eecompile.search.dry_run import DryRun, tell_space
from eecompile.search.point_rows import point_axes, point_rows
from eecompile.search.searching import (
    SCHEMA_VERSION,
    SPACE,
    TARGETS,
    SearchOptions,
    SearchResult,
    check_folder,
    check_question,
    search,
)
from eecompile.search.worth.evaluation import Question
from passes.errors import InputError
from passes.progress import DetailLine, StageLine
from passes.shown_result import Row, ShownResult


@dataclass(frozen=True, repr=False)
class TargetsResult(ShownResult):
    """What searches for several targets give back.

    Attributes:
        out: The folder that holds their folders.
        results: By target, in the order in which they were asked for.
        common: Networks that are on several fronts, as in ``targets.json``.
        seconds: Wall time.
    """

    out: Path
    results: Mapping[str, SearchResult]
    common: Sequence[Mapping[str, Any]]
    seconds: float

    @property
    def found(self) -> bool:
        """Whether each target has a network that keeps all constraints."""
        return all(result.found for result in self.results.values())

    def _words(self) -> str:
        found = ", ".join(
            f"{len(one.front['points'])} points on {name}" for name, one in self.results.items()
        )
        return f"{found}; {len(self.common)} networks on several; in {self.out}"

    def _rows(self) -> list[Row]:
        return [
            {"target": name, **row} for name, one in self.results.items() for row in point_rows(one.front)
        ]

    def _axes(self) -> tuple[str, str]:
        return point_axes(next(iter(self.results.values())).front)

    def to_json(self) -> dict[str, Any]:
        """Return all fronts as one JSON document."""
        fronts = {target: result.to_json() for target, result in self.results.items()}
        return {"schema_version": SCHEMA_VERSION, "targets": fronts, "common": list(self.common)}


@dataclass(frozen=True, repr=False)
class TargetsDryRun(ShownResult):
    """What searches for several targets would do.

    Attributes:
        runs: By target.
    """

    runs: Mapping[str, DryRun]

    @property
    def found(self) -> bool:
        """Whether each target can run a corner of the space."""
        return all(run.found for run in self.runs.values())

    def _words(self) -> str:
        return f"{len(self.runs)} targets: {', '.join(self.runs)}"

    def _rows(self) -> list[Row]:
        return [{"target": name, **row} for name, run in self.runs.items() for row in run._rows()]

    def _axes(self) -> tuple[str, str]:
        return "target", "epoch_s"

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return {"schema_version": 1, "targets": {name: run.to_json() for name, run in self.runs.items()}}


def check_targets(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of targets; raises InputError for none, an empty one, or one that is there twice."""
    if not names or not all(names):
        raise InputError(f"`target` {list(names)} leaves out a name", "example: `target` diana")
    short = [short_name(name) for name in names]
    for number, name in enumerate(short):
        if name in short[:number]:
            raise InputError(f"target '{name}' is there twice", "name each target once, files by other names")
    return tuple(names)


def search_targets(
    options: SearchOptions, targets: Sequence[str], progress: Callable[[str], None]
) -> TargetsResult:
    """Run one search after the other, in folders of ``options.out`` that are called as the targets are.

    A design that two of them propose is trained once: its supernet is in the cache.

    Args:
        options: Of each search, but for target and folder.
        targets: Two or more.
        progress: Told a line now and then.

    Raises:
        InputError: As :func:`search`; of all that can be known before, before anything is trained.
    """
    each = {
        name: replace(options, question=replace(options.question, target=target), out=options.out / name)
        for target, name in zip(targets, map(short_name, targets), strict=True)
    }
    if (options.out / SPACE).exists():
        raise InputError(f"{options.out} holds a search for one target", "name another folder with `out`")
    for one in each.values():
        check_folder(one)
        check_question(one.question)
    results = {}
    for target, one in each.items():
        results[target] = search(one, partial(_tell, progress, target))
    common = common_networks({target: result.front for target, result in results.items()})
    told = [_summary(target, result) for target, result in results.items()]
    write_json(options.out / TARGETS, {"schema_version": SCHEMA_VERSION, "targets": told, "common": common})
    seconds = sum(result.seconds for result in results.values())
    return TargetsResult(options.out, results, common, seconds)


def tell_targets(
    question: Question, targets: Sequence[str], trials: int, progress: Callable[[str], None]
) -> TargetsDryRun:
    """Return what searches for several targets would do."""
    runs = {target: tell_space(replace(question, target=target), trials, progress) for target in targets}
    return TargetsDryRun(runs)


def common_networks(fronts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the networks on the fronts of two targets or more.

    The same network is the same design with the same heads on the same mounts and the same final head;
    thresholds, integers and operating points are those of each target.

    Args:
        fronts: By target, as in ``front.json``.
    """
    found: dict[tuple[Any, ...], dict[str, list[dict[str, Any]]]] = {}
    for target, front in fronts.items():
        for point in front["points"]:
            exits = tuple((item["mount"], item["head"]) for item in point["exits"])
            network = (point["design"], exits, point["final_head"])
            here = {"trial": point["trial"], "point": point["point"]}
            found.setdefault(network, {}).setdefault(target, []).append(here)
    return [
        {
            "design": design,
            "exits": [{"mount": mount, "head": head} for mount, head in exits],
            "final_head": final,
            "points": points,
        }
        for (design, exits, final), points in found.items()
        if len(points) > 1
    ]


def _tell(progress: Callable[[str], None], target: str, line: str) -> None:
    told = f"{target}: {line}"
    progress(type(line)(told) if isinstance(line, StageLine | DetailLine) else told)


def _summary(target: str, result: SearchResult) -> dict[str, Any]:
    front = result.front
    return {
        "target": target,
        "folder": target,
        "trials_done": front["trials_done"],
        "hypervolume": front["hypervolume"],
        "points": [
            {key: point[key] for key in ("trial", "point", "design", "final_head", *front["compared_by"])}
            for point in front["points"]
        ],
    }
