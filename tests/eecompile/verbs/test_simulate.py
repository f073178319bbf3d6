"""What the verb refuses and hands on; what it does is seen in `tests/eecompile/serving`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from eecompile.serving import served_network, simulation
from eecompile.serving.arrivals import Periodic, Poisson
from eecompile.serving.batches.batching import Batching
from eecompile.serving.shown.page import page
from eecompile.serving.streams import RequestStream, ServingLoad
from passes.errors import InputError
from tests.documents import valid
from tests.eecompile.serving.test_simulation import both, in_batches


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
    monkeypatch.setattr(simulation, "simulate_load", lambda *given: told.append(given))
    api.simulate(
        ["a", Path("b"), "./a"], [Poisson(3), Periodic(4), Poisson(3)], (0.5, 0.6, 0.7), "edf", (9, 1, 2),
        70, 3, 2e8, True, True, tmp_path / "t", None, 88, "none,timeout:8,2ms", True, 0.9,
    )  # fmt: skip
    api.simulate("a", Poisson(3), 0.5)
    (served, load, policies, capacity, trace, _, batches, detail), (without, plain, both, *_, alone, _) = told
    assert not detail
    assert without == [("a", None, None, 1, False)]
    assert batches == (Batching(), Batching("timeout", 8, 0.002)) and alone == (Batching(),)
    assert served == [("a", 2e8, 0.88, 8, True), ("b", 2e8, 0.88, 8, True)], (
        "a run that is named twice is one network"
    )
    asked = [
        RequestStream("a 1", 0, Poisson(3), 0.5, 9.0),
        RequestStream("b", 1, Periodic(4), 0.6, 1.0),
        RequestStream("a 2", 0, Poisson(3), 0.7, 2.0),
    ]
    assert load == ServingLoad(asked, 70, range(3), False, 0.9, True)
    assert (policies, capacity, trace) == (("edf",), True, tmp_path / "t")
    assert plain == ServingLoad([RequestStream("a", 0, Poisson(3), 0.5)], 100_000, range(5), True)
    assert both == ("fifo", "remaining")


def test_a_page_is_written_where_one_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
