"""``search``, ``why`` and ``cache``: networks designed for an accelerator, and what is kept of that.

What they work with is loaded when they are called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eecompile.verbs.given.images import images_given
from eecompile.verbs.given.lists import texts
from eecompile.verbs.given.option_rules import check_given
from eecompile.verbs.progress import Progress, silent
from passes.errors import InputError
from passes.shown_result import Row, ShownResult

if TYPE_CHECKING:
    from eecompile.cache.store import CacheEntry
    from eecompile.search.dry_run import DryRun
    from eecompile.search.joining import Joined
    from eecompile.search.searching import SearchResult
    from eecompile.search.several_targets import TargetsDryRun, TargetsResult
    from eecompile.verbs.given.images import Data

TRIALS, GA_EVALUATIONS = 20, 1000
IMAGES = "images.npz"
"""Of a search whose images were given in memory: in its folder."""


def search(
    space: Path | str,
    data: Data | None = None,
    target: str | Sequence[str] = "diana",
    out: Path | str | None = None,
    trials: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    storage: str | None = None,
    resume: bool = False,
    preprocess: str | None = None,
    cache: Path | str | None = None,
    dry_run: bool = False,
    no_hardware: bool = False,
    no_quantization: bool = False,
    fixed_heads: bool = False,
    one_threshold: bool = False,
    ga_only: bool = False,
    ga_evaluations: int | None = None,
    batch: int | None = None,
    join: bool = False,
    progress: Progress = silent,
) -> SearchResult | DryRun | Joined | TargetsResult | TargetsDryRun:
    """Design early-exit networks for a target: backbone, precision, exits, heads and thresholds together.

    Args:
        space: File of the space that is searched, see docs/search.md.
        data: Images, as `run` takes them; what is in memory is written into ``out``, as ``images.npz``.
        target: Name of the accelerator, or the file of one; of several, in a list, each is searched for by
            itself, in a folder of ``out`` called as it is, and what was trained is used for all.
        out: Folder of the search; ``searches/<space>-<target>`` if absent.
        trials: Designs in all, with those of earlier runs; 20 if absent.
        seed: Seed of everything drawn at random; 0 if absent.
        workers: Processes of this machine; 1 if absent. What is found depends on how many designs are asked
            for at once, which is settled when a study is started, not on who works on them.
        storage: Where the study is kept: ``sqlite:///FILE`` (in ``out`` if absent), ``journal:FILE``,
            ``grpc://HOST:PORT`` or the URL of a database.
        resume: Go on with the search that is in ``out``; the result is that of one that was not interrupted.
        preprocess: ``auto`` (if absent) or a rule, as `run` has it.
        cache: Folder of what runs and searches keep for each other; that of the user if absent.
        dry_run: Nothing is trained: tell the space, what its corners cost, and how long it may take.
        no_hardware: Search by MACs alone; what is found is then costed on the target.
        no_quantization: Designs are judged by what they answer in float.
        fixed_heads: Only the first head of the space is used.
        one_threshold: All exits of a network have one threshold.
        ga_only: Networks inside a design are searched by a genetic algorithm, not solved.
        ga_evaluations: Networks at thresholds that it looks at in each design; 1,000 if absent.
        batch: Designs that are asked for at once, when a study is started: as many as there are workers on
            all machines, of which others `join`; by ``workers`` if absent.
        join: Work for the search whose study is in ``storage``, with ``workers`` processes, until it is over.
            It asks what that search asks; beside are told only ``data`` and ``cache``, if they lie elsewhere.
        progress: Called with one line of text per step.

    Raises:
        InputError: A space, data, storage or option that is wrong, or a search that is there already.

    Examples:
        >>> from eecompile import api
        >>> api.search("space.toml", "images.npz", dry_run=True, trials=4, cache="kept")
        <DryRun: ... designs, 4 of them tried; front of accuracy, edp>
    """
    from eecompile.cache.store import MOST_BYTES, usual_folder
    from eecompile.data.in_memory import ImagesInMemory
    from eecompile.run.accelerator import short_name
    from eecompile.run.options import check_seed
    from eecompile.run_files.directory import folders
    from eecompile.search.dry_run import tell_space
    from eecompile.search.searching import SearchOptions, check_folder
    from eecompile.search.searching import search as run_search
    from eecompile.search.several_targets import check_targets, search_targets, tell_targets
    from eecompile.search.worth.evaluation import Question

    counts = {"trials": trials, "workers": workers, "ga_evaluations": ga_evaluations, "batch": batch}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise InputError(
                f"`{name}` must be at least 1, not {value}", f"leave `{name}` away, or give more"
            )
    given = {
        **counts, "seed": seed, "out": out, "resume": resume, "preprocess": preprocess, "dry_run": dry_run,
        "no_hardware": no_hardware, "no_quantization": no_quantization, "fixed_heads": fixed_heads,
        "one_threshold": one_threshold, "ga_only": ga_only,
    }  # fmt: skip
    check_given("search", given | {"storage": storage, "join": join})
    path, folder = Path(space), usual_folder() if cache is None else Path(cache)
    if join:
        return _joined(path, target, data, storage or "", folder, given, progress)
    if data is None:
        raise InputError("`data` is missing: designs are trained on images", "example: `data` digits")
    targets = check_targets(texts("target", target))
    images = images_given(data)
    question = Question(
        space=path,
        target=targets[0] if len(targets) == 1 else "",
        data=images,
        preprocess="auto" if preprocess is None else preprocess,
        seed=check_seed(0 if seed is None else seed),
        cache=folder,
        cache_bytes=MOST_BYTES,
        quantized=not no_quantization,
        hardware=not no_hardware,
        fixed_heads=fixed_heads,
        one_threshold=one_threshold,
        genetic=(GA_EVALUATIONS if ga_evaluations is None else ga_evaluations) if ga_only else 0,
    )
    count = TRIALS if trials is None else trials
    if dry_run and len(targets) > 1:
        return tell_targets(question, targets, count, progress)
    if dry_run:
        return tell_space(question, count, progress)
    options = SearchOptions(
        question,
        count,
        Path("searches") / "-".join((path.stem, *map(short_name, targets))) if out is None else Path(out),
        1 if workers is None else workers,
        storage or "",
        resume,
        batch or 0,
    )
    if isinstance(images, ImagesInMemory):
        check_folder(options)
        with folders(options.out):
            lying = options.out / IMAGES
            images.write(lying)
            options = replace(options, question=replace(question, data=str(lying)))
    if len(targets) > 1:
        return search_targets(options, targets, progress)
    return run_search(options, progress)


def _joined(
    space: Path,
    target: str | Sequence[str],
    data: Data | None,
    storage: str,
    cache: Path,
    given: Mapping[str, Any],
    progress: Progress,
) -> Joined:
    """Work for a search that is run elsewhere."""
    from eecompile.cache.store import MOST_BYTES
    from eecompile.search.joining import JoinOptions
    from eecompile.search.joining import join as join_search

    images = "" if data is None else images_given(data)
    told = {name: value for name, value in given.items() if value is not None and value is not False}
    count = int(told.pop("workers", 1))
    for name in told:  # the first is refused
        raise InputError(
            f"`{name}` is for the search to say that is joined", f"leave `{name}` away, or `join`"
        )
    options = JoinOptions(space, _one_target(target), storage, images, cache, MOST_BYTES, count)
    return join_search(options, progress)


def _one_target(target: str | Sequence[str]) -> str:
    names = texts("target", target)
    if len(names) != 1:
        raise InputError(f"`target` names {len(names)} targets, and one search is joined", "name its target")
    return names[0]


@dataclass(frozen=True, repr=False)
class TrialReason(ShownResult):
    """What became of a design, and what would have helped.

    Attributes:
        trial: Its index.
        design: What it is.
        state: ``feasible``, ``infeasible`` or ``failed``.
        reasons: Constraints it breaks: name, what it reaches, what is asked; or what went wrong.
        levers: What to change.
    """

    trial: int
    design: str
    state: str
    reasons: list[dict[str, Any]]
    levers: list[str]

    def _words(self) -> str:
        return f"trial {self.trial} is {self.state}: {self.design}"

    def _rows(self) -> Sequence[Row]:
        return self.reasons

    def _axes(self) -> tuple[str, str]:
        return "constraint", "reached"

    def to_json(self) -> dict[str, Any]:
        """Return the answer as one JSON document."""
        return {"schema_version": 1, **vars(self)}


def why(study: Path | str, trial: int) -> TrialReason:
    """Return what became of a design of a search: why no network of it keeps the constraints.

    Args:
        study: Folder of the search.
        trial: Index of the design.

    Raises:
        InputError: No such search, or no such trial.

    Examples:
        >>> from eecompile import api
        >>> api.why("searched", 0).state
        'feasible'
    """
    from eecompile.search.reasons import reason_of

    return TrialReason(**reason_of(Path(study), trial))


@dataclass(frozen=True, repr=False)
class CacheList(ShownResult):
    """What is kept.

    Attributes:
        folder: Where.
        entries: The most recently used first.
        removed: How many entries went.
    """

    folder: Path
    entries: list[CacheEntry]
    removed: int

    @property
    def bytes(self) -> int:
        """Size of all."""
        return sum(entry.bytes for entry in self.entries)

    @property
    def kinds(self) -> dict[str, dict[str, int]]:
        """How many entries there are of each kind, and their bytes, the most bytes first."""
        found: dict[str, dict[str, int]] = {}
        for entry in self.entries:
            told = found.setdefault(entry.kind, {"entries": 0, "bytes": 0})
            told["entries"] += 1
            told["bytes"] += entry.bytes
        return dict(sorted(found.items(), key=lambda item: (-item[1]["bytes"], item[0])))

    def _words(self) -> str:
        return f"{len(self.entries)} entries, {self.bytes} bytes in {self.folder}; {self.removed} removed"

    def _rows(self) -> list[Row]:
        return [dict(vars(entry)) for entry in self.entries]

    def _axes(self) -> tuple[str, str]:
        return "title", "bytes"

    def to_json(self) -> dict[str, Any]:
        """Return the list as one JSON document."""
        return {
            "schema_version": 1,
            "folder": str(self.folder),
            "bytes": self.bytes,
            "removed": self.removed,
            "kinds": self.kinds,
            "entries": [vars(entry) for entry in self.entries],
        }


def cache(cache: Path | str | None = None, keep: int | None = None) -> CacheList:
    """List what runs and searches keep for each other, or let less of it be kept.

    Args:
        cache: Folder; that of the user if absent.
        keep: Remove the least recently used entries until there is at most so many bytes.

    Raises:
        InputError: Less than no bytes, or a folder that is a file.

    Examples:
        >>> from eecompile import api
        >>> api.cache("empty")
        <CacheList: 0 entries, 0 bytes in empty; 0 removed>
    """
    from eecompile.cache.store import CacheStore, usual_folder

    if keep is not None and keep < 0:
        raise InputError(f"`keep` is a number of bytes, not {keep}", "0 keeps nothing")
    store = CacheStore(usual_folder() if cache is None else Path(cache))
    removed = 0 if keep is None else store.shrink(keep)
    return CacheList(store.folder, store.entries(), removed)
