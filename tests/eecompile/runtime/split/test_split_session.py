"""A device that always has exactly one answer, whatever the link does."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.runtime.split.feature_codec import HEAD
from eecompile.runtime.split.records import read_plans
from eecompile.runtime.split.split_session import SplitSession
from passes.errors import InputError
from tests.eecompile.runtime.split.stub_server import (
    Handler,
    Stub,
    answers_another,
    drops_in_the_answer,
    says,
    stub,
    trickles,
)
from tests.eecompile.split.small_split import mixed_split, small_split

IMAGES = np.random.default_rng(3).normal(size=(6, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with stub(mixed_split() / "server") as running:
        yield running


@pytest.fixture
def session(server: Stub) -> Iterator[SplitSession]:
    """A session that keeps to the plan with an exit before what it sends."""
    server.fault, server.asked = None, []
    with SplitSession(mixed_split() / "device", server.url, timeout_s=0.3, plan=0) as made:
        yield made


def test_who_is_sure_stays_and_others_are_answered_by_the_server(server: Stub, session: SplitSession) -> None:
    found = session.run(IMAGES)
    places = [answer.where for answer in found]
    assert {*places} == {"exit_0", "server"}
    assert len(server.asked) == places.count("server")
    assert not any(answer.degraded or answer.reason for answer in found)
    plan = session.plans[0]
    assert plan.sending is not None and plan.exits == ("exit_0",)
    for answer in found:
        assert answer.label == answer.logits.argmax() and answer.logits.shape == (4,)
        assert (answer.sent_bytes > 0) == (answer.where == "server")
    again = [session.run(image[None])[0].label for image in IMAGES]
    assert again == [answer.label for answer in found]


def expected_of_device() -> list[tuple[str, int]]:
    """Return where the device answers, and what, with an exit that is always sure."""
    alone = SplitSession(mixed_split() / "device", "http://127.0.0.1:9", plan=0, timeout_s=0.1, attempts=1)
    return [(answer.where, answer.label) for answer in alone.run(IMAGES)]


@pytest.mark.parametrize(
    ("fault", "reason", "attempts"),
    [
        (says(503), "503", 2),
        (says(400), "400", 1),
        (says(200, b"garbage"), "cannot be read", 2),
        (answers_another, "answers request another", 2),
        (drops_in_the_answer, "the link broke", 2),
        (trickles, "no answer within", 2),
    ],
)
def test_without_the_server_the_last_exit_answers_and_says_so(
    fault: Any, reason: str, attempts: int, server: Stub, session: SplitSession
) -> None:
    here = expected_of_device()
    sent = next(n for n, answer in enumerate(session.run(IMAGES)) if answer.where == "server")
    server.fault, server.asked = fault, []
    begun = time.perf_counter()
    (found,) = session.run(IMAGES[sent : sent + 1])
    assert time.perf_counter() - begun < 2
    assert found.degraded and reason in found.reason
    assert (found.where, found.label) == here[sent] and found.where == "exit_0"
    assert len(server.asked) == attempts, "what is refused is not sent again"
    assert len({number for _, number in server.asked}) == attempts, "no two requests have one number"
    server.fault = None
    assert session.run(IMAGES[sent : sent + 1])[0].where == "server"


def test_an_answer_that_is_late_is_nobody_elses(server: Stub, session: SplitSession) -> None:
    """The first attempt's answer comes when the second one waits: it is not taken for it."""
    sent = [n for n, answer in enumerate(session.run(IMAGES)) if answer.where == "server"]
    right = session.run(IMAGES[sent])
    late = [True]

    def once_late(handler: Handler, told: dict[str, Any], _: bytes) -> bool:
        if late.pop() if late else False:
            time.sleep(0.4)
            handler.reply_logits(told["id"], np.full((1, 4), 1e9))
            return True
        return False

    server.fault = once_late
    found = session.run(IMAGES[sent])
    server.fault = None
    assert [answer.label for answer in found] == [answer.label for answer in right]
    assert len(found) == len(sent) and not any(answer.degraded for answer in found)
    assert max(float(answer.logits.max()) for answer in found) < 1e9


def test_a_damaged_payload_is_refused_by_the_server(
    session: SplitSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = session.plans[0]
    assert plan.sending is not None
    whole = type(plan.sending.codec).encode

    def damaged(self: Any, part: bytes, features: Any) -> bytes:
        payload = bytearray(whole(self, part, features))
        payload[HEAD.size] ^= 1
        return bytes(payload)

    monkeypatch.setattr(type(plan.sending.codec), "encode", damaged)
    found = session.run(IMAGES)
    assert {answer.where for answer in found} == {"exit_0"}
    assert any("checksum is another" in answer.reason for answer in found)


def test_plans_of_another_split_are_refused_by_name(server: Stub, tmp_path: Path) -> None:
    shutil.copytree(mixed_split() / "device", tmp_path / "device")
    path = tmp_path / "device" / "plans.json"
    record = json.loads(path.read_text())
    record["plans"][0]["sends"]["part"] = "00" * 8
    path.write_text(json.dumps(record))
    server.fault, server.asked = None, []
    with SplitSession(tmp_path / "device", server.url, plan=0) as session:
        found = [answer for answer in session.run(IMAGES) if answer.degraded]
    assert found and "has plans of another split" in found[0].reason
    assert len(server.asked) == len(found), "none is sent twice"


def test_a_plan_without_exits_falls_back_on_the_whole_network() -> None:
    device = small_split().out / "device"
    plans = read_plans(device).plans
    bare = next(n for n, plan in enumerate(plans) if plan.sending is not None and not plan.exits)
    with SplitSession(device, "http://127.0.0.1:9", plan=bare, timeout_s=0.1) as session:
        found = session.run(IMAGES)
    with SplitSession(device, "http://127.0.0.1:9", plan=len(plans) - 1) as alone:
        here = alone.run(IMAGES)
    assert all(answer.degraded for answer in found) and not any(answer.degraded for answer in here)
    assert [(a.where, a.label) for a in found] == [(a.where, a.label) for a in here]


def test_a_server_that_is_killed_and_comes_back() -> None:
    """While it is away nothing is sent but a trial now and then; then the plan is that of before."""
    now = [0.0]
    with stub(mixed_split() / "server") as first:
        port = first.server_address[1]
        session = SplitSession(
            mixed_split() / "device", first.url, timeout_s=0.3, retry_s=5.0, clock=lambda: now[0]
        )
        before = {answer.where for answer in session.run(IMAGES)}
    assert "server" in before
    away = session.run(IMAGES)
    assert any(answer.degraded for answer in away)
    assert session.speed.down
    assert not any(answer.degraded for answer in session.run(IMAGES)), "nothing is sent, so nothing fails"
    with stub(mixed_split() / "server", int(port)) as second:
        session.run(IMAGES)
        assert not second.asked, "it is not yet time to try"
        now[0] = 6.0
        answers = session.run(IMAGES)
        assert second.asked and not session.speed.down
        assert any(answer.where == "server" for answer in answers)
    session.close()


def test_the_plan_is_that_of_the_measured_speed() -> None:
    device = small_split().out / "device"
    table = read_plans(device)
    with SplitSession(device, "http://127.0.0.1:9", timeout_s=0.1, clock=lambda: 0.0) as session:
        for bit_s in (1e-9, 1e-7, 1e-5, 1e-3):
            session.speed.bit_s = bit_s
            session.speed._last_sent = 0.0
            assert session._number() == table.number_at(bit_s)
    numbers = {table.number_at(bit_s) for bit_s in (1e-9, 1e-3)}
    assert len(numbers) == 2


def test_segments_take_as_long_as_is_asked(session: SplitSession, server: Stub) -> None:
    with SplitSession(mixed_split() / "device", server.url, plan=0, pace=lambda *_: 0.03) as slow:
        begun = time.perf_counter()
        found = slow.run(IMAGES[:1])
        assert 0.03 <= time.perf_counter() - begun < 0.5
    assert found[0].label == session.run(IMAGES[:1])[0].label


def test_nan_is_answered_by_no_label(session: SplitSession) -> None:
    image = np.full((1, 3, 16, 16), np.nan, np.float32)
    (found,) = session.run(image)
    assert isinstance(found.label, int)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout_s": 0}, "timeout_s is 0"),
        ({"attempts": 0}, "attempts is 0"),
        ({"plan": 99}, "no plan 99"),
        ({"url": "nothing://"}, "no address"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SplitSession(small_split().out / "device", **{"url": "http://a:1", **options})
    with SplitSession(small_split().out / "device", "http://a:1") as session:
        with pytest.raises(InputError, match="images are a list"):
            session.run([1])  # type: ignore[arg-type]
        with pytest.raises(InputError, match="shape"):
            session.run(IMAGES[:, :1])
