"""What batches cost: as scheduled, never more than one by one, and kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile import api
from eecompile.cache.store import VARIABLE
from eecompile.run.prepare import cost_of, prepare
from eecompile.run_files.summary import load_summary
from eecompile.serving.batches import costs
from eecompile.serving.batches.costs import ScheduledBatch, ScheduledBatches, run_batches, with_batches
from eecompile.serving.memory import Interrupted
from eecompile.serving.service import service_time, static_service_time
from passes.errors import InputError, NoSolutionError
from targets.evaluation.report import CostReport
from targets.stage_use import StageUse
from tests.eecompile.serving.crowds import service
from tests.eecompile.serving.loops.test_one_by_one import small_network
from tests.eecompile.small_models import write_skip_net


def batch(size: int, cycles: int, joules: float, stages: int = 1, bits: int = 0) -> ScheduledBatch:
    """Return a batch that has a core for all but its last cycle."""
    use = StageUse(cycles, {"npu": ((0, cycles - 1),)}, {"sram": bits})
    return ScheduledBatch(size, (joules,) * stages, {"sram": bits}, (use,) * stages)


def test_other_sizes_run_as_the_cheapest_of_what_there_is() -> None:
    """A stage of 10 s and 1 J; 2 images take 12 s, 4 take 16 s; 8 would take 90 s, so two of 4 run."""
    known = ScheduledBatches(8, (batch(2, 6, 3.0), batch(4, 8, 5.0), batch(8, 45, 9.0)))
    found = with_batches(service(10.0), known, 2.0)
    assert found.stage_s[0].tolist() == [10.0, 12.0, 16.0, 16.0, 26.0, 28.0, 32.0, 32.0]
    assert found.stage_j[0, [1, 2, 3, 7]].tolist() == [3.0, 5.0, 5.0, 10.0]
    assert found.uses == (), "one image was not scheduled"
    alone = with_batches(service(10.0, 1.0), ScheduledBatches(3, ()), 1.0)
    np.testing.assert_allclose(alone.stage_s, [[10, 20, 30], [1, 2, 3]])
    assert ScheduledBatches.of(known.to_bytes()) == known


def test_what_cores_do_is_told_of_each_size_as_it_runs() -> None:
    """As above: three images run as four, five as one and four behind it."""
    sizes = (batch(1, 5, 1.0), batch(2, 6, 3.0), batch(4, 8, 5.0), batch(8, 45, 9.0))
    found = with_batches(service(10.0), ScheduledBatches(8, sizes), 2.0)
    (uses,) = found.uses
    assert [use.seconds for use in uses] == found.stage_s[0].tolist()
    assert uses[0].busy == {"npu": ((0.0, 8.0),)} and uses[2] == uses[3]
    assert uses[4].busy == {"npu": ((0.0, 8.0), (10.0, 24.0))}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("run")
    api.run(write_skip_net(at / "net.onnx"), exits=1, target="edge_tpu_quad", out=at / "run")
    api.run(at / "net.onnx", exits=1, target="gap9", out=at / "gap9")
    return at


def the_network(folder: Path) -> gs.Graph:
    """Return the network of a run of the fixture."""
    summary = load_summary(folder)
    target = costs.RunHardware.of(folder, summary).target
    return prepare(folder.parent / "net.onnx", target, summary.objective, 1, "auto").graph


@pytest.fixture(autouse=True)
def schedules(run: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests have one cache: what takes long is to schedule batches."""
    del own_cache
    monkeypatch.setenv(VARIABLE, str(run / "cache"))


@pytest.fixture(autouse=True)
def network_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without images writes no lowered network: give the one that it costed, in its integers."""
    monkeypatch.setattr(costs, "load", lambda path: the_network(path.parent))


def test_a_run_is_scheduled_again_with_several_images(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    summary = load_summary(run / "run")
    alone = service_time(summary, 1e8), static_service_time(summary, 1e8)
    found = run_batches(run / "run", [0.5, 0.5], alone, 4, 1e8, told.append)
    assert told == ["scheduling batches of run with exits", "scheduling batches of run with no exits"]
    for one, many in zip(alone, found, strict=True):
        np.testing.assert_array_equal(many.stage_s[:, 0], one.stage_s[:, 0])
        sizes = np.arange(1, 5)
        assert (many.stage_s <= one.stage_s * sizes * (1 + 1e-12)).all()
        assert (np.diff(many.stage_s, axis=1) >= -1e-15).all()
    assert found[1].stage_s[0, 3] < 3.5 * alone[1].stage_s[0, 0]
    monkeypatch.setattr(costs, "cost_of", lambda *_, **__: pytest.fail("they were kept"))
    again = run_batches(run / "run", [0.5, 0.5], alone, 4, 1e8, told.append)
    np.testing.assert_array_equal(again[0].stage_s, found[0].stage_s)
    with pytest.raises(InputError, match="no clock"):
        run_batches(run / "run", [0.5, 0.5], alone, 4, None, told.append)


def test_one_image_at_a_time_costs_what_the_run_says(run: Path) -> None:
    """The schedule that batches are held against is that of the run, cycle for cycle."""
    for name in ("run", "gap9"):
        summary = load_summary(run / name)
        hardware = costs.RunHardware.of(run / name, summary)
        report = cost_of(
            the_network(run / name), hardware.target, hardware.objective,
            wishes=hardware.wishes,
        )  # fmt: skip
        assert [p.cost.latency_cycles for p in report.exits] == [e.latency_cycles for e in summary.exits]


def test_a_batch_that_has_no_room_is_left_out(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def narrow(*given: Any, **others: Any) -> CostReport:
        if others["images"] > 2:
            raise NoSolutionError("no room", "")
        return cost_of(*given, **others)

    monkeypatch.setattr(costs, "cost_of", narrow)
    hardware = costs.RunHardware.of(run / "gap9", load_summary(run / "gap9"))
    found = costs.batch_costs(the_network(run / "gap9"), hardware, None, (2, 4, 8))
    assert [one.size for one in found.batches] == [2] and found.largest == 8


def test_what_batches_have_in_the_memories_leaves_less_room_for_who_is_interrupted(run: Path) -> None:
    """Of 100 bits 10 are kept; one image works in 50, eight in 80."""
    one = small_network(0.0, 10, 60)
    costs_known = ScheduledBatches(
        8, tuple(batch(size, 1, 1.0, 2, bits) for size, bits in ((2, 30), (8, 80)))
    )
    known = with_batches(one, costs_known, 1.0)
    for largest, fits in ((1, True), (2, True), (8, False)):
        needs = known.in_batches(largest).footprint
        assert needs is not None
        assert Interrupted([needs]).leave(0, 0, 1) == ((0.0, 0.0) if fits else (0.5, 0.125))
    summary = load_summary(run / "run")
    alone = service_time(summary, 1e8), static_service_time(summary, 1e8)
    found = run_batches(run / "run", [0.5, 0.5], alone, 4, 1e8, lambda _: None)[0]
    whole, before = found.in_batches(4).footprint, alone[0].footprint
    assert whole is not None and before is not None
    assert found.in_batches(1).footprint == found.footprint
    stores = zip(whole.stores, before.stores, strict=True)
    more = [after.peak_bits - one.peak_bits for after, one in stores]
    assert min(more) >= 0 and max(more) > 0, "four images need more room than one"


@pytest.mark.parametrize("name", ["run", "gap9"])
def test_what_stages_take_of_cores_is_that_of_the_schedule_of_the_run(run: Path, name: str) -> None:
    summary = load_summary(run / name)
    alone = service_time(summary, 1e8), static_service_time(summary, 1e8)
    found = run_batches(run / name, [0.5, 0.5], alone, 1, 1e8, lambda _: None, overlap=True)
    resources = json.loads((run / name / "schedule.trace.json").read_text())["otherData"]["resources"]
    last = found[0].alone_s[-1]
    drawn = {one["name"]: one["taken"][-1] for one in resources}
    used = {core: sum(stage[0].busy_s(core) for stage in found[0].uses) / last for core in drawn}
    if name == "run":
        assert used == pytest.approx(drawn, abs=1e-6) and min(drawn.values()) < 0.5
    else:  # what waits for another is taken, and may be drawn as idle
        assert all(used[core] >= share - 1e-6 for core, share in drawn.items()) and used["cluster"] == 1.0
    for before, after in zip(alone, found, strict=True):
        np.testing.assert_array_equal(before.stage_s[:, 0], after.stage_s[:, 0])
        assert [len(stage) for stage in after.uses] == [1] * after.stages


def test_a_schedule_that_comes_out_otherwise_now_tells_nothing_of_cores(run: Path) -> None:
    """Nor does a run that was made before it was counted what it leaves in the memories."""
    summary = load_summary(run / "run")
    alone = service_time(summary, 1e8), static_service_time(summary, 1e8)
    slower = replace(alone[0], stage_s=1.01 * alone[0].stage_s), alone[1]
    with pytest.raises(InputError, match="comes out otherwise now"):
        run_batches(run / "run", [0.5, 0.5], slower, 1, 1e8, lambda _: None, overlap=True)
    uncounted = replace(alone[0], footprint=None), alone[1]
    with pytest.raises(InputError, match="not counted when it was made"):
        run_batches(run / "run", [0.5, 0.5], uncounted, 1, 1e8, lambda _: None, overlap=True)
    assert run_batches(run / "run", [0.5, 0.5], slower, 4, 1e8, lambda _: None)[0].uses == ()


def test_images_that_run_in_turns_lie_in_the_memories_together() -> None:
    """Each takes 20 bits while it runs; behind the first stage each has 30, which three of four wait with."""
    sizes = tuple(batch(size, cycles, 1.0, 2, bits) for size, cycles, bits in ((1, 2, 20), (2, 3, 25)))
    known = with_batches(small_network(0.0, 10, 30), ScheduledBatches(4, sizes), 1.0)
    assert known.stage_s.tolist() == [[2.0, 3.0, 5.0, 6.0]] * 2
    needs = known.footprint
    assert needs is not None and dict(needs.batches) == {
        2: {"sram": 25}, 3: {"sram": 25 + 2 * 30}, 4: {"sram": 25 + 2 * 30}
    }  # fmt: skip
    assert [use.bits for use in known.uses[1]] == [
        {"sram": 20}, {"sram": 25}, {"sram": 25 + 2 * 30}, {"sram": 25 + 2 * 30}
    ]  # fmt: skip
