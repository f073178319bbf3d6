"""One search from its space to its front."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eecompile.exits.fronts.front_problem import ACCURACY, MEMORY
from eecompile.run.accelerator import TARGET_FILE, is_file, keep_description, short_name
from eecompile.run_files.directory import folders, write_json
from eecompile.run_files.versions import check_version
from eecompile.search.backbones.inherit import nearest
from eecompile.search.finalists import Finalist, finish, write_networks
from eecompile.search.point_detail import write_detail
from eecompile.search.point_rows import point_axes, point_rows
from eecompile.search.reference import worst_figures
from eecompile.search.shown.files import write_front
from eecompile.search.space.space import Space
from eecompile.search.study.coordinator import Coordinator, Outcome, SearchCourse
from eecompile.search.study.front import GrowingFront
from eecompile.search.study.predictor import WORTH, WorthPredictor
from eecompile.search.study.proposals import Params, Proposals
from eecompile.search.study.record import Record
from eecompile.search.times import SearchTimes
from eecompile.search.worth.design_facts import design_facts
from eecompile.search.worth.evaluation import DesignEvaluation, Question
from eecompile.search.worth.inner_front import KEYS
from eecompile.search.worth.sibling import Sibling
from eecompile.search.worth.stopwatch import FINALISTS, START
from eecompile.search.worth.supernet import Reach
from eecompile.version import version
from passes.errors import InputError
from passes.files import write_atomic
from passes.progress import StageLine, each
from passes.shown_result import Row, ShownResult

SCHEMA_VERSION = 1
STUDY = "study.db"
SPACE = "space.toml"
NETWORKS = "networks"
TARGETS = "targets.json"
"""What searches for several targets found, beside their folders."""


@dataclass(frozen=True)
class SearchOptions:
    """What is asked of a search.

    Attributes:
        question: What is asked of each design.
        trials: Designs in all.
        out: Its folder.
        workers: Processes of this machine.
        storage: URL of the study; empty: a file in ``out``.
        resume: It goes on with the study that is there.
        batch: Designs that are asked for at once, of a new study; 0: one for each of ``workers``, four where
            designs are halved.
    """

    question: Question
    trials: int
    out: Path
    workers: int = 1
    storage: str = ""
    resume: bool = False
    batch: int = 0


@dataclass(frozen=True, repr=False)
class SearchResult(ShownResult):
    """What a search gives back.

    Attributes:
        out: Its folder.
        front: As in ``front.json``.
        outcomes: What became of each design.
        seconds: Wall time.
        times: What it was spent on.
    """

    out: Path
    front: dict[str, Any]
    outcomes: Sequence[Outcome]
    seconds: float
    times: SearchTimes

    @property
    def found(self) -> bool:
        """Whether there is any network that keeps all constraints."""
        return bool(self.front["points"])

    @property
    def nearest(self) -> int | None:
        """The design that breaks constraints least, where none keeps them all."""
        told = self.front["nearest"]
        return None if told is None else int(told["trial"])

    def _words(self) -> str:
        points = self.front["points"]
        return (
            f"{len(points)} points of {len(self.outcomes)} designs on {self.front['target']}; in {self.out}"
        )

    def _rows(self) -> list[Row]:
        return point_rows(self.front)

    def _axes(self) -> tuple[str, str]:
        return point_axes(self.front)

    def to_json(self) -> dict[str, Any]:
        """Return the front as one JSON document."""
        told = {"out": str(self.out), "seconds": round(self.seconds, 1), "times": self.times.to_json()}
        return {**self.front, **told}


def search(options: SearchOptions, progress: Callable[[str], None]) -> SearchResult:
    """Run a search, or go on with it, and write its folder.

    Raises:
        InputError: A space, data or storage that is wrong; a study that is there and not asked for.
    """
    began = time.perf_counter()
    check_folder(options)
    evaluation = DesignEvaluation(options.question, progress)
    progress(StageLine("get ready"))
    with evaluation.watch.on(START):
        coordinator, front, worst = _coordinator(options, evaluation, progress)
    start = evaluation.watch.take()
    searching = time.perf_counter()
    progress(StageLine("search"))
    outcomes = coordinator.run()
    coordinator.record.close()
    searched = time.perf_counter() - searching
    evaluation.watch.take()  # of the designs that were worked on in this process, which told it
    with evaluation.watch.on(FINALISTS):
        progress(StageLine("finalists"))
        finalists = _finalists(evaluation, outcomes, front, progress)
        found = _written(options, evaluation, outcomes, finalists, front, coordinator.predictor, worst)
    worked, designs = coordinator.worked, coordinator.designs
    times = SearchTimes.of(start, worked, evaluation.watch.take(), searched, options.workers, designs)
    write_json(options.out / "times.json", times.to_json())
    return SearchResult(options.out, found, outcomes, time.perf_counter() - began, times)


def _coordinator(
    options: SearchOptions, evaluation: DesignEvaluation, progress: Callable[[str], None]
) -> tuple[Coordinator, GrowingFront, dict[str, float]]:
    """Return what runs the study of a search, the front that grows in it, and what figures are worst at."""
    space = evaluation.space
    _check_supported(evaluation)
    objectives = evaluation.objectives
    directions = ["maximize" if name == ACCURACY else "minimize" for name in objectives]
    url = options.storage or f"sqlite:///{(options.out / STUDY).absolute()}"
    worst = worst_figures(evaluation)
    record = _record(options, evaluation, url, directions)
    front = GrowingFront(
        tuple(evaluation.keys[name] for name in objectives),
        frozenset({KEYS[ACCURACY]}),
        np.array([worst[evaluation.keys[name]] for name in objectives]),
    )
    predictor = None
    genes = {gene.name: gene.choices for gene in space.genes}
    if space.sampler.predictor:
        facts = design_facts(space, evaluation.images)
        predictor = WorthPredictor(genes, facts, options.question.seed)
    proposals = Proposals(
        genes,
        directions,
        space.sampler.name,
        options.question.seed,
        space.sampler.population if space.sampler.name == "nsga2" else space.sampler.startup,
        active=lambda params: active_genes(space, params),
        size=space.designs,
        choose=None if predictor is None else predictor.choose,
    )
    rungs = len(evaluation.supernets.epochs)
    course = SearchCourse(
        min(options.trials, space.designs),
        int(record.identity["batch"]),
        options.workers,
        rungs,
        space.training.keep,
    )
    if space.training.share:
        for item in space.families:
            evaluation.supernets.shared(item.name)  # before workers, who would wait for it
    watch = _Watch(options.trials, space, progress, predictor)
    start = _nearest_of(space) if space.training.inherit else None
    coordinator = Coordinator(record, proposals, front, evaluation, course, watch, progress, start, predictor)
    return coordinator, front, worst


def active_genes(space: Space, params: Params) -> Params:
    """Return the genes that count: those of families that were not chosen do not."""
    chosen = params.get("backbone.family")
    return {gene.name: params[gene.name] for gene in space.genes if gene.of in ("", chosen)}


def _nearest_of(space: Space) -> Callable[[Params, Sequence[Outcome]], str]:
    """Return what says from which supernet a candidate starts: that of the nearest sibling told before."""

    def start(params: Params, outcomes: Sequence[Outcome]) -> str:
        design = space.design(params)
        known = [(o, space.design(o.params)) for o in outcomes if "supernet" in o.result]
        siblings = [(o, d) for o, d in known if d.family == design.family and d.goal is None and d.genes]
        if not siblings or not design.genes or design.goal is not None:
            return ""
        chosen = nearest(design.genes, [d.genes for _, d in siblings])
        outcome = siblings[chosen][0]
        return Sibling.of_result(outcome.params, outcome.result).text

    return start


def check_question(question: Question) -> None:
    """Raise InputError for what a search would refuse before anything is trained."""
    _check_supported(DesignEvaluation(question))


def check_folder(options: SearchOptions) -> None:
    """Raise InputError where a search is that this one shall not go on with."""
    if (options.out / TARGETS).exists():
        raise InputError(
            f"{options.out} holds searches for several targets: {_listed_targets(options.out)}",
            "name the same targets, or another folder with `out`",
        )
    if (options.out / SPACE).exists() and not options.resume:
        raise InputError(
            f"{options.out} holds a search already",
            "go on with it with `resume`, or name another folder with `out`",
        )


def _check_supported(evaluation: DesignEvaluation) -> None:
    """Refuse what the cached answers of a supernet cannot say, or what the target does not know."""
    space = evaluation.space
    space.check_on(evaluation.target)
    if space.exits.reads_before:
        for design in space.corners().values():
            space.check_chains(space.graph(design, evaluation.images.shape, evaluation.images.classes))
    asked = MEMORY in space.objectives.front or space.constraints.max_memory_bytes is not None
    if asked and not evaluation.target.freedom("").hold:
        raise InputError(
            f"{evaluation.target.title} does not say what lies in its memories: nothing is known of `memory`",
            "leave it out of the front and of the constraints, or take a target whose mappings are searched",
        )


def _record(
    options: SearchOptions, evaluation: DesignEvaluation, url: str, directions: Sequence[str]
) -> Record:
    """Return the record of the search: a new one, or that which it goes on with."""
    question, out = options.question, options.out
    batch = options.batch or options.workers * (4 if len(evaluation.supernets.epochs) > 1 else 1)
    settled = {"batch": batch, "data": question.data, "preprocess": question.preprocess}
    name = study_name(question.space, question.target)
    with folders(out):
        record = Record.start(url, name, directions, identity_of(evaluation), settled)
        write_atomic(out / SPACE, question.space.read_bytes())
    return record


def study_name(space: Path, target: str) -> str:
    """Return what the study of a search is called in its storage."""
    return f"{space.stem}-{short_name(target)}"


def identity_of(evaluation: DesignEvaluation) -> dict[str, object]:
    """Return what a study is of: with anything else it would find something else."""
    question = evaluation.question
    return {
        "space": hashlib.sha256(question.space.read_bytes()).hexdigest(),
        "target": evaluation.target_text,
        "objective": evaluation.objective.name,
        "images": evaluation.images.hash,
        "seed": question.seed,
        **question.ablations,
    }


class _Watch:
    """Tells how far a search is."""

    def __init__(
        self,
        trials: int,
        space: Space,
        progress: Callable[[str], None],
        predictor: WorthPredictor | None = None,
    ) -> None:
        self._trials, self._space, self._progress = trials, space, progress
        self._predictor = predictor
        self._began, self._first = time.perf_counter(), -1

    def __call__(self, outcomes: Sequence[Outcome], front: GrowingFront) -> None:
        done = len(outcomes)
        if self._first < 0:
            self._first = done - 1
        spent = time.perf_counter() - self._began
        left = spent / (done - self._first) * (min(self._trials, self._space.designs) - done)
        last = outcomes[-1]
        if last.points:
            best = max(point[KEYS[ACCURACY]] for point in last.points)
            what = f"up to {100 * best:.1f} % on val, {len(last.points)} points"
        elif "error" in last.result:
            what = str(last.result["error"]).partition("\n")[0]
        else:
            what = "keeps not all constraints"
        self._progress(
            f"trial {last.candidate} ({done} of {self._trials}): {what}; front of {len(front.points)}, "
            f"hypervolume {front.share:.4f}, {_minutes(left)} left{self._ranked()}"
        )

    def _ranked(self) -> str:
        told = {} if self._predictor is None else self._predictor.report
        if not told.get("rank_correlation"):
            return ""
        return f"; {predictions(told)}"


def predictions(report: Mapping[str, Any]) -> str:
    """Return in words how well predictions ranked designs, as ``front.json`` has it."""
    if not report["rank_correlation"]:
        return "too few designs to say how predictions rank them"
    names = {WORTH: "hypervolume", KEYS[ACCURACY]: "accuracy"}
    parts = [f"{names[name]} {value:.2f}" for name, value in report["rank_correlation"].items()]
    return f"predictions rank {report['designs']} designs: {', '.join(parts)} (Spearman)"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _finalists(
    evaluation: DesignEvaluation,
    outcomes: Sequence[Outcome],
    front: GrowingFront,
    progress: Callable[[str], None],
) -> list[Finalist]:
    """Return the finalists: points evenly along the front, each trained on and measured on test."""
    most = evaluation.space.training.finalists
    rows = front.vectors([point for _, point in front.points])
    order = np.argsort(rows[:, 0], kind="stable") if len(rows) else np.zeros(0, np.int64)
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int))]
    found = []
    for place, number in enumerate(each(chosen.tolist(), "finalists")):
        trial, point = front.points[number]
        progress(f"finalist {place + 1} of {len(chosen)}: trial {trial}")
        outcome = outcomes[trial]
        reach = Reach(int(outcome.result["rung"]), str(outcome.result["start"]))
        finalist = finish(evaluation, trial, outcome.params, reach, point, progress)
        finalist.point["point"] = place
        found.append(finalist)
    return found


def _written(
    options: SearchOptions,
    evaluation: DesignEvaluation,
    outcomes: Sequence[Outcome],
    finalists: Sequence[Finalist],
    front: GrowingFront,
    predictor: WorthPredictor | None,
    worst: Mapping[str, float],
) -> dict[str, Any]:
    """Write all files of a search, with what it is looked at by; return ``front.json``."""
    space, points = evaluation.space, evaluation.points
    names = tuple(evaluation.keys[name] for name in space.objectives.front)
    last = GrowingFront(names, front.maximised)
    for finalist in (one for one in finalists if one.point["feasible"]):
        last.take(finalist.point["trial"], [finalist.point])
    kept = [point for _, point in last.points]
    document = {
        "schema_version": SCHEMA_VERSION,
        "objectives": list(space.objectives.front),
        "target": evaluation.target.title,
        **_described(options, evaluation),
        "data": options.question.data,
        "seed": options.question.seed,
        "preprocess": evaluation.images.preprocess.to_json(),
        "preprocess_asked": options.question.preprocess,
        "images_hash": evaluation.images.hash,
        "objective": evaluation.objective.name,
        "compared_by": list(names),
        "operating_points": [point.name for point in points if point is not None],
        "asked": options.question.ablations,
        "trials_done": len(outcomes),
        "hypervolume": front.share,
        "nearest": None if kept else _least_broken(outcomes),
        "points": sorted(kept, key=lambda point: (-point["accuracy_val"], point["trial"])),
    }
    if predictor is not None:
        document["predictor"] = predictor.report
    for finalist in finalists:
        if finalist.point in kept:
            finalist.point["networks"] = write_networks(finalist, options.out / NETWORKS)
            write_detail(options.out, finalist.point, finalist.detail)
    trials = [
        {"trial": o.candidate, "params": dict(o.params), "predicted": dict(o.predicted), **o.result}
        for o in outcomes
    ]
    searched = {
        "question": _asked(options.question),
        "objectives": list(front.objectives),
        "reference": dict(worst),
        "version": version(),
    }
    told = {"schema_version": SCHEMA_VERSION, "searched": searched, "trials": trials}
    write_json(options.out / "trials.json", told)
    write_json(options.out / "front.json", document)
    write_front(options.out)
    return document


def _described(options: SearchOptions, evaluation: DesignEvaluation) -> dict[str, str]:
    """Write the accelerator of a search that a file describes, as it was read; return where it is."""
    if not is_file(options.question.target):
        return {}
    keep_description(options.out, options.question.target, evaluation.target)
    return {"target_file": TARGET_FILE}


def target_of(folder: Path, front: Mapping[str, Any]) -> str:
    """Return the target of a search as ``target`` takes it: its name, or the file that the search keeps."""
    return str(folder / front["target_file"]) if "target_file" in front else str(front["target"])


def _least_broken(outcomes: Sequence[Outcome]) -> dict[str, Any] | None:
    """Return the design that breaks constraints least, which, and what its networks reach."""
    broken = [o for o in outcomes if not o.points and "error" not in o.result]
    if not broken:
        return None
    nearest = min(broken, key=lambda o: float(o.result["violation"]))
    return {"trial": nearest.candidate, "why": nearest.result["why"]}


def _asked(question: Question) -> dict[str, Any]:
    """Return what was asked, but for where files lie."""
    places = ("space", "cache", "cache_bytes")
    kept = {name: value for name, value in vars(question).items() if name not in places}
    return {"space": question.space.name, **kept}


def read_front(folder: Path) -> dict[str, Any]:
    """Return the front of a search.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    path = folder / "front.json"
    if (folder / TARGETS).exists():
        raise InputError(
            f"{folder} holds searches for several targets: {_listed_targets(folder)}",
            "give the folder of one",
        )
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{folder} holds no finished search", "run `search` to its end first") from None
    except ValueError:
        raise InputError(f"{path} is no JSON", "run `search` with `resume` again") from None
    check_version(found, path)
    return found


def _listed_targets(folder: Path) -> str:
    return ", ".join(sorted(path.parent.name for path in folder.glob(f"*/{SPACE}")))
