"""What the verb refuses and hands on; what it does is seen in `tests/eecompile/serving`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eecompile import api
from eecompile.run_files import summary
from eecompile.serving import served_network, simulation
from eecompile.serving.arrivals import Periodic, Poisson
from eecompile.serving.batches.batching import Batching
from eecompile.serving.shown.page import page
from eecompile.serving.streams import RequestStream, ServingLoad
from passes.errors import InputError
from tests.documents import valid
from tests.eecompile.serving.test_simulation import both, in_batches
from tests.eecompile.small_models import write_images, write_skip_net


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"runs": []}, "there is no run to serve"),
        ({"arrivals": [Poisson(1), Poisson(2)]}, "`arrivals` has 2 for 1 runs"),
        ({"priority": (1, 2)}, "`priority` has 2 for 1 runs"),
        ({"priority": "12"}, "`priority` is a list of numbers"),
        ({"slo": (0.1, 0.2)}, "`slo` has 2 for 1 runs"),
        ({"slo": (0.0,)}, "`slo` cannot be 0"),
        ({"slo": 0}, "`slo` cannot be 0"),
        ({"slo": float("nan")}, "`slo` cannot be nan"),
        ({"requests": -1}, "`requests` cannot be -1"),
        ({"seeds": 0}, "`seeds` cannot be 0"),
        ({"clock": 0}, "`clock` cannot be 0"),
        ({"drift": 1.5}, "`drift` cannot be 1.5"),
        ({"accuracy_floor": 101}, "`accuracy_floor` cannot be 101"),
        ({"batch": "fixed"}, "batches cannot be 'fixed'"),
        ({"batch": ["none", "fluid:0"]}, "a batch of fluid cannot be of 0"),
        ({"batch": []}, "there is no way to batch"),
        ({}, "no such run|not a run|no summary"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    whole: dict[str, Any] = {"runs": tmp_path / "none", "arrivals": Poisson(1), "slo": 1.0, **given}
    with pytest.raises(InputError, match=message):
        api.simulate(**whole)


def test_all_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(served_network, "networks_of", lambda run, *told: (run.name, *told[:3], *told[4:]))
    monkeypatch.setattr(summary, "load_summary", lambda _: SimpleNamespace(target=""))
    monkeypatch.setattr(simulation, "simulate_load", lambda *given: told.append(given))
    api.simulate(
        ["a", Path("b"), "./a"], [Poisson(3), Periodic(4), Poisson(3)], (0.5, 0.6, 0.7), "edf", (9, 1, 2),
        70, 3, 2e8, True, True, tmp_path / "t", None, 88, "none,timeout:8,2ms", True, 0.9, True,
    )  # fmt: skip
    api.simulate("a", Poisson(3), 0.5)
    (served, load, policies, capacity, trace, _, batches, detail), (without, plain, both, *_, alone, _) = told
    assert not detail
    assert without == [("a", None, None, 1, False, False)]
    assert batches == (Batching(), Batching("timeout", 8, 0.002)) and alone == (Batching(),)
    # A run that is named twice is one network.
    assert served == [("a", 2e8, 0.88, 8, True, True), ("b", 2e8, 0.88, 8, True, True)]
    asked = [
        RequestStream("a 1", 0, Poisson(3), 0.5, 9.0),
        RequestStream("b", 1, Periodic(4), 0.6, 1.0),
        RequestStream("a 2", 0, Poisson(3), 0.7, 2.0),
    ]
    assert load == ServingLoad(asked, 70, range(3), False, 0.9, True, True)
    assert (policies, capacity, trace) == (("edf",), True, tmp_path / "t")
    assert plain == ServingLoad([RequestStream("a", 0, Poisson(3), 0.5)], 100_000, range(5), True)
    assert both == ("fifo", "remaining")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory with answers."""
    folder = tmp_path_factory.mktemp("made")
    write_images(folder / "data.npz")
    out = folder / "run"
    api.run(write_skip_net(folder / "net.onnx"), data=folder / "data.npz", exits=1, target="diana", out=out)
    return out


def test_what_is_wrong_is_said_before_anything_is_scheduled(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_network, "networks_of", lambda *_: pytest.fail("it was begun"))
    run, other = made, tmp_path / "other"
    shutil.copytree(run, other)
    told = json.loads((other / "summary.json").read_text())
    (other / "summary.json").write_text(json.dumps(told | {"target": "gap9"}))
    (tmp_path / "file").write_text("")
    wrong: list[tuple[list[Path], dict[str, Any], str]] = [
        ([run], {"policy": "foo"}, "foo"),
        ([run], {"report": tmp_path}, "is a folder"),
        ([run], {"window": tmp_path / "file" / "w.json"}, "file"),
        ([run, other], {}, f"these were made for several: {run.name} for diana, other for gap9"),
    ]
    for runs, given, message in wrong:
        with pytest.raises(InputError, match=message):
            api.simulate(runs, Poisson(1), 1.0, **given)


@pytest.mark.parametrize("gone", ["run.json", "model.lowered.onnx"])
@pytest.mark.parametrize("given", [{"overlap": True}, {"batch": "fluid:2"}])
def test_a_run_whose_schedule_cannot_be_made_again_is_told(
    made: Path, given: dict[str, Any], gone: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(made, run)
    (run / gone).unlink()
    with pytest.raises(InputError, match=f"(?=.*schedule cannot be made again).*{gone}"):
        api.simulate(run, Poisson(1), 1.0, requests=10, seeds=1, **given)


def test_stages_of_a_run_run_beside_each_other(made: Path) -> None:
    """From its directory: what each way had of the cores, and a note where that is one at a time."""
    found = api.simulate(made, Poisson(1), 1.0, requests=50, seeds=1, overlap=True)
    assert found.core_bound == pytest.approx(found.bound), "the host has each stage for itself"
    assert found.busiest in found.cores and all(row.cores for row in found.rows)
    told = [note for note in found.notes if "beside each other" in note]
    assert len(told) == 2 and "without exits" in told[0]


def test_a_page_is_written_where_one_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "load_summary", lambda _: SimpleNamespace(target=""))
    monkeypatch.setattr(served_network, "networks_of", lambda *_: both())
    plain = api.simulate("a", Poisson(90), 0.05, requests=600, seeds=1)
    found = api.simulate("a", Poisson(90), 0.05, requests=600, seeds=1, report=tmp_path / "load.html")
    assert plain.detail is None and list(tmp_path.iterdir()) == [tmp_path / "load.html"]
    assert found.detail is not None
    assert (tmp_path / "load.html").read_text() == page(found.to_json(), found.detail)
    monkeypatch.setattr(served_network, "networks_of", lambda *_: in_batches(both()))
    together = api.simulate(
        "a", Poisson(300), 0.05, requests=600, seeds=1, batch="fluid:4", report=tmp_path / "load.html"
    )
    assert together.detail is not None and [row.batch for row in together.detail.rows] == ["fluid:4"] * 3
    assert "exits, remaining, fluid:4" in (tmp_path / "load.html").read_text()
    valid("simulate", json.loads(json.dumps(found.to_json())))
