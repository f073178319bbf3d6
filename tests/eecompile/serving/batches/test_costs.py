"""What batches cost: as scheduled, never more than one by one, and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile import api
from eecompile.run.prepare import cost_of, prepare
from eecompile.run_files.summary import load_summary
from eecompile.serving.batches import costs
from eecompile.serving.batches.costs import ScheduledBatches, run_batches, with_batches
from eecompile.serving.memory import Interrupted
from eecompile.serving.service import service_time, static_service_time
from passes.errors import InputError, NoSolutionError
from targets.evaluation.report import CostReport
from tests.eecompile.serving.crowds import service
from tests.eecompile.serving.loops.test_one_by_one import small_network
from tests.eecompile.small_models import write_skip_net


def test_other_sizes_run_as_the_cheapest_of_what_there_is() -> None:
    """A stage of 10 s and 1 J; 2 images take 12 s, 4 take 16 s; 8 would take 90 s, so two of 4 run."""
    work = ({"sram": 20}, {"sram": 40}, {"sram": 80})
    known = ScheduledBatches(
        8, (2, 4, 8), np.array([[6.0], [8.0], [45.0]]), np.array([[3.0], [5.0], [9.0]]), work
    )
    found = with_batches(service(10.0), known, 2.0)
    assert found.stage_s[0].tolist() == [10.0, 12.0, 16.0, 16.0, 26.0, 28.0, 32.0, 32.0]
    assert found.stage_j[0, [1, 2, 3, 7]].tolist() == [3.0, 5.0, 5.0, 10.0]
    alone = with_batches(
        service(10.0, 1.0), ScheduledBatches(3, (), np.empty((0, 2)), np.empty((0, 2)), ()), 1.0
    )
    np.testing.assert_allclose(alone.stage_s, [[10, 20, 30], [1, 2, 3]])
    assert ScheduledBatches.of(known.to_bytes()).to_bytes() == known.to_bytes()


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
    found = costs.batch_costs(the_network(run / "gap9"), hardware, None, 8)
    assert found.sizes == (2,) and found.largest == 8


def test_what_batches_have_in_the_memories_leaves_less_room_for_who_is_interrupted(run: Path) -> None:
    """Of 100 bits 10 are kept; one image works in 50, eight in 80."""
    one = small_network(0.0, 10, 60)
    work = ({"sram": 30}, {"sram": 80})
    costs_known = ScheduledBatches(8, (2, 8), np.ones((2, 2)), np.ones((2, 2)), work)
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
