"""A worker: claims candidates of a study and finds out what they are worth, until the search is over."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from eecompile.search.study.proposals import Params
from eecompile.search.study.record import BEAT_SECONDS, Record, SearchTask
from passes.errors import EecompileError

_POLL_SECONDS = 0.2


class Evaluate(Protocol):
    """Finds out what a candidate is worth; the same is found wherever and whenever it is asked."""

    def __call__(self, candidate: int, params: Params, rung: int, start: str) -> dict[str, Any]:
        """Return what is written into the record, as JSON has it.

        Args:
            candidate: Its index.
            params: Its genes.
            rung: How far it is trained.
            start: What it starts from, as the search told it; empty: from nothing.

        Raises:
            EecompileError: There is nothing to be found out of this candidate; it is told why.
        """


def work_on(record: Record, task: SearchTask, evaluate: Evaluate) -> None:
    """Evaluate a claimed candidate and report it; a candidate that fails is reported with its reason."""
    with beating(record, task.trial_id):
        began = time.perf_counter()
        try:
            result = evaluate(task.candidate, task.params, task.rung, task.start)
        except EecompileError as error:
            result = {"error": str(error), "hint": error.hint}
    record.report(task, {**result, "seconds": round(time.perf_counter() - began, 2)})


def work(url: str, name: str, evaluate: Evaluate, *, local: bool = False) -> None:
    """Work for a study until it is over.

    Args:
        url: Its storage.
        name: What it is called there.
        evaluate: Finds out what a candidate is worth.
        local: It ends with the process that started it.
    """
    if local:
        threading.Thread(target=_end_without, args=(os.getppid(),), daemon=True).start()
    record = Record(url, name)
    while True:
        task = record.claim()
        if task is not None:
            work_on(record, task, evaluate)
        elif record.over:
            return
        else:
            time.sleep(_POLL_SECONDS)


@contextmanager
def beating(record: Record, trial_id: int) -> Iterator[None]:
    """Let the record know that the worker of a candidate lives, while it works."""
    done = threading.Event()

    def beat() -> None:
        own = None
        while not done.wait(BEAT_SECONDS):
            own = own or Record(record.url, record.name)  # of this thread
            own.beat(trial_id)
        if own is not None:
            own.close()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)
