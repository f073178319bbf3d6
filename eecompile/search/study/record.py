"""The record of a search in its storage: one Optuna trial per candidate, with the number of the candidate.

A candidate waits, is claimed by one worker, and carries what the worker found out. The coordinator puts it
back if the worker died, sends it on to more training, or completes it with the values its sampler is told.
Claims are the compare-and-set of the storage, so that no two workers have the same candidate, wherever they
run.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eecompile.search.study.optuna_needed import import_optuna
from eecompile.search.study.proposals import Params, Value
from eecompile.search.study.storage import open_storage, told_if_silent
from eecompile.version import version
from passes.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

FORM = 1
"""Of what is written into a study; another one is refused."""
# What is written beside parameters and values of a trial.
RUNG, WORKER, BEAT, ATTEMPT, START = "rung", "worker", "beat", "attempt", "start"
_IDENTITY, _OVER, _FORM_OF, _VERSION = "identity", "over", "form", "version"
# A worker says that it lives every so many seconds; one that was silent for so long is dead.
BEAT_SECONDS, GRACE_SECONDS = 4.0, 60.0


def worker_name() -> str:
    """Return what this process is called among all workers."""
    return name_of_worker(os.getpid())


def name_of_worker(number: int) -> str:
    """Return what a process of this machine is called among all workers."""
    return f"{socket.gethostname()}:{number}"


@dataclass(frozen=True)
class SearchTask:
    """A candidate that a worker works on.

    Attributes:
        candidate: Its index.
        params: Its genes.
        rung: How far it is to be trained: 0 first.
        start: What it starts from; empty: from nothing.
        trial_id: What the storage calls it.
    """

    candidate: int
    params: Params
    rung: int
    start: str
    trial_id: int


class Record:
    """A study in its storage.

    Args:
        url: Where; see :func:`open_storage`.
        name: Of the study there.
        storage: The same storage, where it is open already.

    Raises:
        InputError: There is no such study, or it is of another version.
    """

    def __init__(self, url: str, name: str, storage: BaseStorage | None = None) -> None:
        self._optuna = import_optuna()
        self.url, self.name = url, name
        self._storage: BaseStorage = storage or open_storage(url)
        self._maker = "an unknown one"
        self._nameless: dict[int, float] = {}  # trials that were claimed by nobody yet, and since when
        self._state = self._optuna.trial.TrialState
        with told_if_silent(url):
            try:
                self._id = self._storage.get_study_id_from_name(name)
            except KeyError:
                raise InputError(f"there is no study '{name}' in {url}", "start it first") from None
            attributes = self._storage.get_study_user_attrs(self._id)
        self._maker = str(attributes.get(_VERSION, self._maker))
        if attributes.get(_FORM_OF) != FORM:
            raise self._other_version()
        self.identity: dict[str, Any] = attributes[_IDENTITY]

    @staticmethod
    def start(
        url: str,
        name: str,
        directions: Sequence[str],
        identity: Mapping[str, object],
        settled: Mapping[str, object] | None = None,
    ) -> Record:
        """Start a study, or open the one that is there.

        Args:
            url: Where.
            name: Of the study.
            directions: ``minimize`` or ``maximize``, of each objective.
            identity: What the study is of; one that is of something else is refused, and said of what.
            settled: What a new one is started with; one that is there goes on with its own.
        """
        optuna = import_optuna()
        storage = open_storage(url)
        with told_if_silent(url):
            sides = [optuna.study.StudyDirection[side.upper()] for side in directions]
            try:
                made = storage.create_new_study(sides, name)
            except optuna.exceptions.DuplicatedStudyError:
                made = storage.get_study_id_from_name(name)
            attributes = storage.get_study_user_attrs(made)
            if _FORM_OF not in attributes and not storage.get_all_trials(made, deepcopy=False):
                # New, or of a process that was killed before it had written this.
                storage.set_study_user_attr(made, _IDENTITY, {**(settled or {}), **identity})
                storage.set_study_user_attr(made, _VERSION, version())
                storage.set_study_user_attr(made, _FORM_OF, FORM)
        record = Record(url, name, storage)
        record.check_same(identity)
        return record

    def check_same(self, identity: Mapping[str, object]) -> None:
        """Refuse to go on with something else than the study is of.

        Raises:
            InputError: It says what is different.
        """
        for key, value in identity.items():
            if key not in self.identity:
                raise InputError(
                    f"the study '{self.name}' was made by another version of eecompile, "
                    f"which knew of no '{key}'",
                    "go on with that one, or start another in another folder",
                )
            if self.identity[key] != value:
                raise InputError(
                    f"the study '{self.name}' is of another {key}: {self.identity[key]}, not {value}",
                    "go on with what it was started with, or start another in another folder",
                )

    def check_version(self) -> None:
        """Refuse to work for a study of another version, whose designs might come out otherwise.

        Raises:
            InputError: It is of another one.
        """
        if self._maker != version():
            raise self._other_version()

    def _other_version(self) -> InputError:
        return InputError(
            f"the study '{self.name}' was made by another version of eecompile: by {self._maker}, "
            f"this is {version()}",
            "go on with that one, or start a new study",
        )

    def add(
        self, candidate: int, params: Params, genes: Mapping[str, Sequence[Value]], start: str = ""
    ) -> None:
        """Let a candidate wait for a worker.

        Args:
            candidate: Its index.
            params: Its genes.
            genes: All choices there are.
            start: What it starts from; empty: from nothing.
        """
        categorical = self._optuna.distributions.CategoricalDistribution
        template = self._optuna.trial.create_trial(
            state=self._state.WAITING,
            params=dict(params),
            distributions={name: categorical(tuple(genes[name])) for name in params},
            user_attrs={RUNG: 0, ATTEMPT: 1, WORKER: "", START: start},
        )
        with told_if_silent(self.url):
            made = self._storage.create_new_trial(self._id, template)
            number = self._storage.get_trial(made).number
        if number != candidate:
            raise InputError(
                f"another search writes into the study '{self.name}'",
                "let one search run at a time; others join it as workers",
            )

    def claim(self) -> SearchTask | None:
        """Return the first candidate that waits, which is this process's then; ``None`` if none does."""
        with told_if_silent(self.url):
            waiting = self._storage.get_all_trials(self._id, deepcopy=False, states=(self._state.WAITING,))
            for trial in sorted(waiting, key=lambda trial: trial.number):
                try:
                    mine = self._storage.set_trial_state_values(trial._trial_id, self._state.RUNNING)
                except self._optuna.exceptions.UpdateFinishedTrialError:
                    continue
                if mine:
                    self.beat(trial._trial_id)
                    self._storage.set_trial_user_attr(trial._trial_id, WORKER, worker_name())
                    rung = int(trial.user_attrs[RUNG])
                    start = str(trial.user_attrs[START])
                    return SearchTask(trial.number, dict(trial.params), rung, start, trial._trial_id)
        return None

    def beat(self, trial_id: int) -> None:
        """Say that the worker of a candidate lives."""
        self._storage.set_trial_user_attr(trial_id, BEAT, time.time())

    def report(self, task: SearchTask, result: Mapping[str, Any]) -> None:
        """Write what a worker found out of its candidate."""
        with told_if_silent(self.url):
            self._storage.set_trial_user_attr(task.trial_id, _result_on(task.rung), dict(result))

    def trials(self) -> list[FrozenTrial]:
        """Return all candidates, by index."""
        with told_if_silent(self.url):
            return sorted(self._storage.get_all_trials(self._id, deepcopy=False), key=lambda t: t.number)

    def result(self, trial: FrozenTrial, rung: int | None = None) -> dict[str, Any] | None:
        """Return what was found out of a candidate on a rung, its present one if absent, if that is over."""
        found: dict[str, Any] | None = trial.user_attrs.get(
            _result_on(trial.user_attrs[RUNG] if rung is None else rung)
        )
        return found

    def give_up(self, trial: FrozenTrial, why: str) -> None:
        """Let a candidate have no result, and say why."""
        with told_if_silent(self.url):
            name = _result_on(trial.user_attrs[RUNG])
            self._storage.set_trial_user_attr(trial._trial_id, name, {"error": why, "hint": ""})

    def put_back(self, trial: FrozenTrial, rung: int | None = None, *, counted: bool = True) -> None:
        """Let a candidate wait again: its worker died, or it goes on to a higher rung.

        Args:
            trial: The candidate.
            rung: Up to which it is trained now; ``None``: the one it was on.
            counted: It may be to blame for that its worker died.
        """
        with told_if_silent(self.url):
            if rung is None:
                attempt = int(trial.user_attrs[ATTEMPT]) + counted
                self._storage.set_trial_user_attr(trial._trial_id, ATTEMPT, attempt)
            else:
                self._storage.set_trial_user_attr(trial._trial_id, RUNG, rung)
                self._storage.set_trial_user_attr(trial._trial_id, ATTEMPT, 1)
            self._storage.set_trial_user_attr(trial._trial_id, WORKER, "")
            self._storage.set_trial_state_values(trial._trial_id, self._state.WAITING)

    def complete(self, trial: FrozenTrial, values: Sequence[float] | None) -> None:
        """End a candidate with the values its sampler is told; ``None``: it has none."""
        if trial.state.is_finished():
            return  # by the search that this one goes on with
        with told_if_silent(self.url):
            state = self._state.PRUNED if values is None else self._state.COMPLETE
            self._storage.set_trial_state_values(trial._trial_id, state, values)

    def is_lost(self, trial: FrozenTrial) -> bool:
        """Return whether the worker of a candidate is gone: its process, or its voice."""
        if trial.state != self._state.RUNNING or self.result(trial) is not None:
            return False
        name = str(trial.user_attrs[WORKER])
        if not name:  # claimed a moment ago, or by a process that was killed in that moment
            return time.time() - self._nameless.setdefault(trial.number, time.time()) > BEAT_SECONDS
        self._nameless.pop(trial.number, None)
        host, _, number = name.rpartition(":")
        if host == socket.gethostname() and not _lives(int(number)):
            return True
        return time.time() - float(trial.user_attrs.get(BEAT, 0.0)) > GRACE_SECONDS

    def is_of_this_machine(self, trial: FrozenTrial) -> bool:
        """Return whether a candidate was worked on here."""
        return str(trial.user_attrs[WORKER]).rpartition(":")[0] == socket.gethostname()

    @property
    def over(self) -> bool:
        """Whether the search has ended, so that workers may go."""
        with told_if_silent(self.url):
            return bool(self._storage.get_study_user_attrs(self._id).get(_OVER))

    def end(self, over: bool = True) -> None:
        """Tell workers that the search has ended, or goes on."""
        with told_if_silent(self.url):
            self._storage.set_study_user_attr(self._id, _OVER, over)

    def close(self) -> None:
        """Let go of the storage."""
        self._storage.remove_session()


def _result_on(rung: int) -> str:
    return f"result.{rung}"


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
