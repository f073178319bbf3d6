from __future__ import annotations

import multiprocessing
import random
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from eecompile.search.study import coordinator as coordinator_module
from eecompile.search.study import record as record_module
from eecompile.search.study.coordinator import Outcome, SearchCourse
from eecompile.search.study.record import Record
from eecompile.search.study.worker import work
from passes.progress import Count, watching
from tests.eecompile.search.study.toy import Toy, coordinator, search, with_patience

ROOT = Path(__file__).parents[4]
# Forked off a process that has no threads: here others tests' may hold locks, which a fork would inherit.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.eecompile.search.study.toy"])


def facts(outcomes: list[Outcome]) -> list[Any]:
    return [(o.candidate, o.params, {k: v for k, v in o.result.items() if k != "seconds"}) for o in outcomes]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("whole")
    return facts(search(folder, Toy(folder / "log"), 12))


def test_candidates_that_fail_or_break_a_constraint_are_told(whole: list[Any]) -> None:
    results = [result for _, _, result in whole]
    assert [number for number, _, _ in whole] == list(range(12))
    assert all("points" in r or r["error"] == "x is y\ntake another" for r in results)
    assert any(r.get("points") for r in results)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_done_is_counted_up_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    counts: list[Count] = []
    tell = coordinator_module.Coordinator._tell

    def told(*given: Any) -> None:
        counts.append(opened[0])
        tell(*given)

    monkeypatch.setattr(coordinator_module.Coordinator, "_tell", told)
    with watching() as opened:
        search(tmp_path, Toy(tmp_path / "log"), 6, workers=workers)
        assert list(opened) == []
    (count,) = {id(item): item for item in counts}.values()
    assert (count.what, count.total, count.done) == ("designs", 6, 6)


@pytest.mark.parametrize(
    ("trials", "batch", "rungs", "evaluations"),
    [(6, 4, 1, 6), (8, 4, 2, 12), (8, 4, 3, 14), (5, 4, 2, 4 + 2 + 1 + 1)],
)
def test_each_rung_that_is_reached_is_an_evaluation(
    trials: int, batch: int, rungs: int, evaluations: int
) -> None:
    assert SearchCourse(trials, batch, rungs=rungs).evaluations == evaluations


def test_a_search_goes_on_where_it_was(tmp_path: Path, whole: list[Any]) -> None:
    toy = Toy(tmp_path / "log")
    assert facts(search(tmp_path, toy, 5)) == whole[:5]
    assert facts(search(tmp_path, toy, 12)) == whole
    assert facts(search(tmp_path, toy, 12)) == whole
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 12  # nothing was evaluated twice


def test_batches_decide_and_workers_do_not(tmp_path: Path, whole: list[Any]) -> None:
    found = facts(search(tmp_path, Toy(tmp_path / "log", 0.01), 12, workers=2))
    assert found == whole
    (tmp_path / "other").mkdir()
    other = facts(search(tmp_path / "other", Toy(tmp_path / "log"), 12, batch=1))
    assert [params for _, params, _ in other] != [params for _, params, _ in whole]


def test_a_worker_that_dies_is_replaced_and_its_candidate_tried_again(
    tmp_path: Path, whole: list[Any]
) -> None:
    assert facts(search(tmp_path, Toy(tmp_path / "log", deadly=4), 12, workers=2)) == whole
    record = Record(f"sqlite:///{tmp_path / 'study.db'}", "toy")
    assert [trial.user_attrs["attempt"] for trial in record.trials()] == [1] * 4 + [2] + [1] * 7


def test_a_search_that_is_killed_with_its_workers_ends_alike(tmp_path: Path, whole: list[Any]) -> None:
    command = [sys.executable, "-m", "tests.eecompile.search.study.toy", str(tmp_path), "12", "2"]
    process = subprocess.Popen(command, cwd=ROOT)
    log = tmp_path / "log"
    while not log.exists():  # until its workers have begun
        time.sleep(0.01)
    process.kill()
    process.wait()
    time.sleep(0.5)  # workers notice
    assert len(log.read_text().splitlines()) < 12
    assert facts(search(tmp_path, Toy(log), 12)) == whole


def test_killed_twenty_times_at_random_moments_it_ends_alike(
    tmp_path: Path, whole: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker or the search itself is killed outright, and started again, 20 times before it may end."""
    beat, attempts = 0.2, 99  # that one candidate is hit thrice is no harm here
    monkeypatch.setattr(coordinator_module, "MOST_ATTEMPTS", attempts)
    monkeypatch.setattr(record_module, "BEAT_SECONDS", beat)
    rng = random.Random(0)
    url, log = f"sqlite:///{tmp_path / 'study.db'}", tmp_path / "log"
    toy = Toy(log, 0.4)

    def started(role: str) -> BaseProcess:
        call = (search, tmp_path, toy, 12) if role == "search" else (work, url, "toy", toy)
        process = SERVER.Process(target=with_patience, args=(beat, attempts, *call), daemon=True)
        process.start()
        return process

    search(tmp_path, Toy(log), 1)  # there is a study to work for
    running = {role: started(role) for role in ("search", "worker")}
    killed = {"search": 0, "worker": 0}
    for _ in range(20):
        time.sleep(rng.uniform(0.0, 0.25))
        role = rng.choice(sorted(running))
        if not running[role].is_alive():  # on a busy machine the other one may have ended the search
            assert running[role].exitcode == 0
            break
        running[role].kill()
        running[role].join()
        killed[role] += 1
        running[role] = started(role)
    assert sum(killed.values()) >= 10 and min(killed.values()) >= 2
    for process in running.values():
        process.join(300)
        assert process.exitcode == 0
    assert facts(search(tmp_path, Toy(log), 12)) == whole
    assert "its worker died" not in str(Record(url, "toy").trials())


def test_a_candidate_is_not_to_blame_for_that_its_search_was_killed(tmp_path: Path, whole: list[Any]) -> None:
    toy = Toy(tmp_path / "log", 60.0)
    search(tmp_path, Toy(tmp_path / "log"), 1)
    record = Record(f"sqlite:///{tmp_path / 'study.db'}", "toy")
    for _ in range(coordinator_module.MOST_ATTEMPTS + 1):
        process = SERVER.Process(target=search, args=(tmp_path, toy, 12), daemon=True)
        process.start()
        while not any(t.user_attrs["worker"].endswith(f":{process.pid}") for t in record.trials()):
            assert process.is_alive()
            time.sleep(0.02)
        process.kill()
        process.join()
    assert facts(search(tmp_path, Toy(tmp_path / "log"), 12)) == whole


def test_rungs_train_on_what_adds_most(tmp_path: Path) -> None:
    found = search(tmp_path, Toy(tmp_path / "log"), 8, batch=8, rungs=3)
    lines = [tuple(map(int, line.split())) for line in (tmp_path / "log").read_text().splitlines()]
    per_rung = [sorted(number for number, rung in lines if rung == k) for k in range(3)]
    promising = [o.candidate for o in found if o.points]
    assert per_rung[0] == list(range(8))
    assert len(per_rung[1]) == min(4, len(promising)) and set(per_rung[1]) <= set(promising)
    assert len(per_rung[2]) == 2 and set(per_rung[2]) <= set(per_rung[1])
    for outcome in found:
        if outcome.candidate in per_rung[2]:
            assert 3 * outcome.points[0]["a"] == outcome.params["x"]
    again = search(tmp_path, Toy(tmp_path / "log"), 8, batch=8, rungs=3)
    assert facts(again) == facts(found)


def test_what_is_predicted_decides_and_a_search_that_goes_on_predicts_the_same(
    tmp_path: Path, whole: list[Any]
) -> None:
    def found(name: str, trials: int) -> tuple[list[Any], Any]:
        run = coordinator(tmp_path / name, Toy(tmp_path / "log"), trials, predict=True)
        outcomes = run.run()
        assert run.predictor is not None
        told = [(o.candidate, o.params, o.predicted, "error" in o.result) for o in outcomes]
        return told, run.predictor.report

    at_once = found("once", 18)
    found("later", 7)
    assert found("later", 18) == at_once
    predicted = [figures for _, _, figures, _ in at_once[0]]
    assert predicted[:3] == [{}] * 3 and all(figures["worth"] >= 0 for figures in predicted[-3:])
    chosen = [params for _, params, _, _ in at_once[0]]
    usual = [params for _, params, _ in whole]
    assert chosen[:3] == usual[:3] and chosen[:12] != usual
    judged = [figures for _, _, figures, failed in at_once[0] if figures and not failed]
    assert at_once[1]["designs"] == len(judged) > 3
    assert -1 <= at_once[1]["rank_correlation"]["worth"] <= 1


def test_the_time_of_workers_is_counted_in_the_run_that_they_worked_in(tmp_path: Path) -> None:
    toy = Toy(tmp_path / "log", 0.05)
    first = coordinator(tmp_path, toy, 4)
    first.run()
    assert first.designs == 4 and first.worked.keys() == {"other"} and first.worked["other"] >= 0.2
    more = coordinator(tmp_path, toy, 6)
    more.run()
    assert more.designs == 2 and 0.1 <= more.worked["other"] < first.worked["other"]


def test_the_end_of_a_space_is_the_end(tmp_path: Path) -> None:
    small = {"x": (0, 1, 2), "y": (1, 4)}
    found = search(tmp_path, Toy(tmp_path / "log"), 100, batch=4, genes=small)
    assert len(found) == 6
