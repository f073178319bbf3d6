from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from eecompile.search.study import record as module
from eecompile.search.study.record import Record, worker_name
from eecompile.search.study.storage import open_storage
from passes.errors import InputError

GENES = {"x": (1, 2, 3), "kind": ("a", "b")}


def started(folder: Path, **identity: object) -> Record:
    url = f"sqlite:///{folder / 'study.db'}"
    return Record.start(url, "study", ("maximize", "minimize"), identity or {"seed": 0}, {"batch": 4})


def test_candidates_are_claimed_once_in_their_order(tmp_path: Path) -> None:
    record, other = started(tmp_path), started(tmp_path)
    for number in range(3):
        record.add(number, {"x": number + 1, "kind": "a"}, GENES)
    tasks = [record.claim(), other.claim(), record.claim()]
    assert [(t.candidate, t.params["x"], t.rung) for t in tasks if t] == [(0, 1, 0), (1, 2, 0), (2, 3, 0)]
    assert other.claim() is None
    assert tasks[1] is not None
    other.report(tasks[1], {"points": []})
    trials = record.trials()
    assert [record.result(trial) for trial in trials] == [None, {"points": []}, None]
    assert trials[0].user_attrs["worker"] == worker_name()


def _claim_all(url: str, start: Barrier, out: Path) -> None:
    record = Record(url, "study")
    start.wait()
    claimed = []
    while (task := record.claim()) is not None:
        claimed.append(task.candidate)
    out.write_text(" ".join(map(str, claimed)))


@pytest.mark.parametrize("storage", ["sqlite:///{}/study.db", "journal:{}/study.log"])
def test_of_processes_that_claim_at_once_each_candidate_goes_to_one(storage: str, tmp_path: Path) -> None:
    """Optuna's own storage of SQLite gives some of them to two."""
    url = storage.format(tmp_path)
    record = Record.start(url, "study", ("maximize", "minimize"), {"seed": 0})
    for number in range(40):
        record.add(number, {"x": 1, "kind": "a"}, GENES)
    spawn = multiprocessing.get_context("spawn")
    start, files = spawn.Barrier(3), [tmp_path / str(k) for k in range(3)]
    workers = [spawn.Process(target=_claim_all, args=(url, start, file)) for file in files]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    claimed = [int(number) for file in files for number in file.read_text().split()]
    assert sorted(claimed) == list(range(40))


def test_a_candidate_goes_on_to_a_higher_rung(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.add(0, {"x": 1, "kind": "a"}, GENES)
    task = record.claim()
    assert task is not None
    record.report(task, {"points": [1]})
    record.put_back(record.trials()[0], rung=1)
    (trial,) = record.trials()
    assert record.result(trial) is None and record.result(trial, 0) == {"points": [1]}
    again = record.claim()
    assert again is not None and (again.candidate, again.rung) == (0, 1)


def test_lost_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = started(tmp_path)
    record.add(0, {"x": 1, "kind": "a"}, GENES)
    assert not record.is_lost(record.trials()[0]), "it waits"
    task = record.claim()
    assert task is not None and not record.is_lost(record.trials()[0])
    monkeypatch.setattr(module, "GRACE_SECONDS", -1.0)
    assert record.is_lost(record.trials()[0]), "it was silent for too long"
    monkeypatch.undo()
    monkeypatch.setattr("os.kill", lambda *_: (_ for _ in ()).throw(ProcessLookupError))
    assert record.is_lost(record.trials()[0]), "its process is gone"
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert not record.is_lost(record.trials()[0]), "who knows of other machines"
    record.report(task, {"points": []})
    monkeypatch.setattr(module, "GRACE_SECONDS", -1.0)
    assert not record.is_lost(record.trials()[0]), "it is done"


def test_a_worker_without_a_name_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = started(tmp_path)
    record.add(0, {"x": 1, "kind": "a"}, GENES)
    task = record.claim()
    assert task is not None
    record._storage.set_trial_user_attr(task.trial_id, "worker", "")
    assert not record.is_lost(record.trials()[0])
    monkeypatch.setattr(module, "BEAT_SECONDS", -1.0)
    assert record.is_lost(record.trials()[0])


def test_a_study_of_something_else_is_refused_and_said_of_what(tmp_path: Path) -> None:
    started(tmp_path, seed=0, target="diana")
    with pytest.raises(InputError, match="is of another target: diana, not gap9"):
        started(tmp_path, seed=0, target="gap9")
    assert started(tmp_path, seed=0, target="diana").identity["batch"] == 4


def test_a_study_of_another_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    with pytest.raises(InputError, match="there is no study 'study'"):
        Record(url, "study")
    record = started(tmp_path)
    record._storage.set_study_user_attr(record._id, "form", 99)
    record._storage.set_study_user_attr(record._id, "version", "0.0.1")
    with pytest.raises(InputError, match=r"made by another version of eecompile: by 0\.0\.1, this is \d"):
        started(tmp_path)


def test_a_study_of_a_version_that_asked_less_is_refused(tmp_path: Path) -> None:
    started(tmp_path, seed=0)
    with pytest.raises(InputError, match="made by another version of eecompile, which knew of no 'genetic'"):
        started(tmp_path, seed=0, genetic=0)


def test_who_is_put_back_without_blame_keeps_its_attempts(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.add(0, {"x": 1, "kind": "a"}, GENES)
    for counted, attempts in ((False, 1), (True, 2)):
        assert record.claim() is not None
        record.put_back(record.trials()[0], counted=counted)
        assert record.trials()[0].user_attrs["attempt"] == attempts


def test_a_study_whose_maker_was_killed_at_once_is_started(tmp_path: Path) -> None:
    import optuna

    sides = [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]
    open_storage(f"sqlite:///{tmp_path / 'study.db'}").create_new_study(sides, "study")
    assert started(tmp_path).identity == {"batch": 4, "seed": 0}


def test_two_searches_on_one_study_are_refused(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.add(0, {"x": 1, "kind": "a"}, GENES)
    with pytest.raises(InputError, match="another search writes into the study"):
        record.add(0, {"x": 1, "kind": "a"}, GENES)
