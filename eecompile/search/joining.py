"""Working for a search that another process runs, wherever it is, until it is over."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eecompile.data.in_memory import ImageSource
from eecompile.search.searching import identity_of, study_name
from eecompile.search.study.record import WORKER, Record, name_of_worker
from eecompile.search.study.worker import work
from eecompile.search.worth.evaluation import ASKED, DesignEvaluation, Question
from passes.errors import InputError
from passes.shown_result import Row, ShownResult


@dataclass(frozen=True)
class JoinOptions:
    """Which search is worked for, and where.

    Attributes:
        space: File of its space.
        target: Name of its accelerator.
        storage: URL of its study.
        data: Its images; empty: where the study says that they are.
        cache: Folder of the cache.
        cache_bytes: How large it may be.
        workers: Processes of this machine.
    """

    space: Path
    target: str
    storage: str
    data: ImageSource
    cache: Path
    cache_bytes: int
    workers: int = 1


@dataclass(frozen=True, repr=False)
class Joined(ShownResult):
    """What was done for a search.

    Attributes:
        study: What it is called.
        designs: How many designs were worked on here, as far as the storage says.
    """

    study: str
    designs: int

    @property
    def found(self) -> bool:
        """The search that was worked for tells what it found; nothing is amiss here."""
        return True

    def _words(self) -> str:
        return f"{self.designs} designs worked on for the study {self.study}"

    def _rows(self) -> list[Row]:
        return [dict(vars(self))]

    def _axes(self) -> tuple[str, str]:
        return "study", "designs"

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return {"schema_version": 1, **vars(self)}


def join(options: JoinOptions, progress: Callable[[str], None]) -> Joined:
    """Work for a search until it is over: on the question that its study asks.

    Raises:
        InputError: No such study, one of another version, or a space or images that are not its own.
    """
    name = study_name(options.space, options.target)
    record = Record(options.storage, name)
    record.check_version()
    evaluation = DesignEvaluation(_question(record, options), progress)
    record.check_same(identity_of(evaluation))
    progress(f"works for the study '{name}'")
    if options.workers == 1:
        pids = [os.getpid()]
        work(options.storage, name, evaluation)
    else:
        pids = _employed(options, name, evaluation, progress)
    here = {name_of_worker(pid) for pid in pids}
    designs = sum(trial.user_attrs[WORKER] in here for trial in record.trials())
    record.close()
    return Joined(name, designs)


def _question(record: Record, options: JoinOptions) -> Question:
    """Return what a study asks of its designs."""
    told = record.identity
    return Question(
        space=options.space,
        target=options.target,
        data=options.data or str(told["data"]),
        preprocess=str(told["preprocess"]),
        seed=int(told["seed"]),
        cache=options.cache,
        cache_bytes=options.cache_bytes,
        **{name: told[name] for name in ASKED},
    )


def _employed(
    options: JoinOptions, name: str, evaluation: DesignEvaluation, progress: Callable[[str], None]
) -> list[int]:
    """Let several processes work, until the search is over; return their numbers."""
    spawn = multiprocessing.get_context("spawn")
    arguments = (options.storage, name, evaluation)
    workers = [
        spawn.Process(target=work, args=arguments, kwargs={"local": True}, daemon=True)
        for _ in range(options.workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            progress(f"a worker ended with code {worker.exitcode}: its design is tried again elsewhere")
    if all(worker.exitcode for worker in workers):
        raise InputError(
            f"all workers for the study '{name}' have ended", "what they said stands above; join again"
        )
    return [worker.pid or 0 for worker in workers]
