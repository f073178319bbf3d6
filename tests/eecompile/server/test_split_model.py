"""The server's side of a split behind the real server, asked by devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the run that is split trains its heads")

from eecompile import api
from eecompile.runtime import SplitSession
from eecompile.runtime.split.records import read_parts, read_plans
from eecompile.server.contract import Answered
from eecompile.server.kinds import load_served
from eecompile.server.running import RunningServer
from eecompile.server.split_model import SplitModel
from passes.errors import InputError
from tests.eecompile.split.small_split import mixed_split, prepared, small_split


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with api.serve(mixed_split() / "server", port=0) as running:
        yield running


def test_devices_are_answered_as_the_whole_network_behind_what_they_send(server: RunningServer) -> None:
    """Tagged by what they show: each image has the answer that its own features have."""
    test = prepared().run.dataset.test
    with SplitSession(mixed_split() / "device", server.url, timeout_s=5.0, plan=0) as session:
        found = session.run(test.x)
        plan = session.plans[0]
    assert plan.sending is not None
    place = next(place for place in prepared().costs.cuts if place.name == plan.sending.cut)
    sides = prepared().parts(place)
    features = sides.features(prepared().run.preprocess.apply(test.x))
    logits = sides.logits(plan.sending.codec.restored(plan.sending.codec.codes(features)))
    asked = [n for n, answer in enumerate(found) if answer.where == "server"]
    assert 0 < len(asked) < len(found) and not any(answer.degraded for answer in found)
    for n in asked:
        np.testing.assert_allclose(found[n].logits, logits[n], rtol=1e-5, atol=1e-5)


def test_what_it_cannot_take_is_refused_and_the_device_says_so(server: RunningServer) -> None:
    others = small_split().out / "device"
    plans = read_plans(others).plans
    number = next(n for n, plan in enumerate(plans) if plan.sending is not None)
    with SplitSession(others, server.url, plan=number, timeout_s=5.0) as session:
        (answer,) = session.run(prepared().run.dataset.test.x[:1])
    assert answer.degraded and "400" in answer.reason and "plans of another split" in answer.reason
    with SplitSession(mixed_split() / "device", server.url, model="nobody", plan=0) as session:
        found = [one for one in session.run(prepared().run.dataset.test.x) if one.degraded]
    assert found and "404" in found[0].reason


def test_images_of_several_parts_run_each_with_its_own() -> None:
    model = load_served(mixed_split() / "server")
    assert isinstance(model, SplitModel) and model.exits == ("final",) and model.largest_batch is None
    (name, codec, _), *_ = read_parts(mixed_split() / "server")
    values = np.random.default_rng(0).integers(0, 200, (3, *codec.shape[1:])).astype(codec.dtype)
    known: list[Any] = []
    for image in values:
        payload = np.frombuffer(codec.encode(name, image[None]), np.uint8)
        known += model.admit({"payload": payload[None]})
    together = model.run_stage(0, known)
    alone = [model.run_stage(0, [one])[0] for one in known]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Answered) and isinstance(other, Answered)
        np.testing.assert_allclose(one.outputs["logits"], other.outputs["logits"], rtol=1e-5)
        assert one.outputs["label"] == one.outputs["logits"].argmax()
    assert isinstance(model.run_stage(0, [model.probe(0)])[0], Answered)
    assert model.files[0].name == "split.json" and len(model.parameters["parts"]) == 1
    for wrong in (np.zeros((1, 4), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 4), np.uint8)):
        with pytest.raises(InputError):
            model.admit({"payload": wrong})
