"""A device's part of a network: exits, and what is sent behind them; it always has an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.early_exit import NO_LABEL, Float32
from eecompile.runtime.sessions import CANNOT_LOAD, said, session
from eecompile.runtime.split.link_speed import ANSWER_BYTES, LinkSpeed, wire_bits
from eecompile.runtime.split.records import DevicePlan, Sending, read_plans
from eecompile.runtime.split.v2_client import Address, LinkError, RefusedError, V2Client, request_bytes
from passes.errors import InputError

Array = NDArray[Any]
SERVER = "server"


@dataclass(frozen=True)
class SplitAnswer:
    """What an image was answered.

    Attributes:
        label: The largest logit; -1 where logits hold NaN.
        logits: [classes].
        where: ``server``, ``final``, or the name of an early exit on the device.
        degraded: The server was asked and did not answer: this is the device's own.
        plan: Name of the plan.
        reason: Why the server did not answer; else empty.
        sent_bytes: Bytes of the requests that were sent.
    """

    label: int
    logits: Float32
    where: str
    degraded: bool
    plan: str
    reason: str
    sent_bytes: int


class SplitSession:
    """Runs a plan of ``plans.json`` on raw images, and another one where the link has another speed.

    Where no exit of the plan is sure, features go to the server, within ``timeout_s`` and once more after a
    fault; where no answer comes, the device answers from the last exit it ran, or, where the plan has none,
    from the whole network, and says so. Once the link is down it keeps to the plan that sends nothing, and
    tries again every ``retry_s``. One image after the other, whatever number of threads call.

    Args:
        folder: The ``device`` folder that `split` wrote.
        url: Of the server: ``http://host:port``.
        model: Name of the model there: that of the ``server`` folder.
        timeout_s: Seconds for each exchange: a payload, and before it a round trip where it has to connect.
        attempts: How often a payload is sent at most; what the server refuses is not sent again.
        retry_s: See above.
        threads: Of onnxruntime for one call.
        plan: Number of a plan to keep to; ``None``: switch by the measured speed.
        loss: Share of lost segments that the table is read for.
        clock: Seconds that pass.
        pace: Seconds that a segment takes at least, by numbers of plan and segment: so that a trial takes as
            long as the device that is meant.

    Attributes:
        speed: What is known of the link.

    Raises:
        InputError: No such folder, a damaged one, or values that cannot be.
    """

    def __init__(
        self,
        folder: str | Path,
        url: str,
        *,
        model: str = "server",
        timeout_s: float = 1.0,
        attempts: int = 2,
        retry_s: float = 5.0,
        threads: int = 1,
        plan: int | None = None,
        loss: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        pace: Callable[[int, int], float] = lambda *_: 0.0,
    ) -> None:
        for name, value in (("timeout_s", timeout_s), ("attempts", attempts), ("threads", threads)):
            if value <= 0:
                raise InputError(f"{name} is {value}", "give a number above 0")
        self._table = read_plans(Path(folder))
        if plan is not None and not 0 <= plan < len(self._table.plans):
            raise InputError(f"there is no plan {plan}", f"{len(self._table.plans)} plans, from 0 on")
        files = {path for one in self._table.plans for path in one.segments}
        self._sessions = {path: _loaded(path, threads) for path in sorted(files)}
        self._client = V2Client(Address.of(url, model), timeout_s)
        self._attempts, self._plan, self._loss, self._pace = attempts, plan, loss, pace
        self.speed = LinkSpeed(self._table.rtt_s, retry_s, clock)
        self._lock = threading.Lock()
        first = self._sessions[self._table.plans[-1].segments[0]].get_inputs()[0]
        self._input, self._wanted = first.name, tuple(first.shape[1:])

    @property
    def class_names(self) -> tuple[str, ...]:
        """What classes are called, by number; empty where unknown."""
        return self._table.class_names

    @property
    def plans(self) -> Sequence[DevicePlan]:
        """The plans; the last one sends nothing."""
        return self._table.plans

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            self._client.close()

    def __enter__(self) -> SplitSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, images: NDArray[Any]) -> list[SplitAnswer]:
        """Classify raw images [N, ...], one after the other; each has exactly one answer.

        Args:
            images: As `EarlyExitSession.run` takes them.

        Raises:
            InputError: Another type or shape, or no image.
        """
        if not isinstance(images, np.ndarray):
            raise InputError(f"images are a {type(images).__name__}", "give a numpy array")
        ready = self._table.preprocess.model_input(images, self._wanted)
        return [self._answer(ready[n : n + 1]) for n in range(len(ready))]

    def _answer(self, image: Float32) -> SplitAnswer:
        with self._lock:
            number = self._number()
            plan = self._table.plans[number]
            known: dict[str, Array] = {self._input: image}
            last = self._through(number, known)
            if isinstance(last, SplitAnswer):
                return last
            assert plan.sending is not None
            logits, reason, sent = self._ask(plan.sending, known[plan.sending.tensor])
            if logits is not None:
                return _told(logits, SERVER, plan, sent=sent)
            if last is not None:
                return _told(last[0], last[1], plan, reason, sent)
            whole = len(self._table.plans) - 1
            found = self._through(whole, {self._input: image})
            assert isinstance(found, SplitAnswer)
            return SplitAnswer(found.label, found.logits, found.where, True, plan.name, reason, sent)

    def _number(self) -> int:
        """Return the number of the plan for the link as it is."""
        whole = len(self._table.plans) - 1
        if self._plan is not None:
            return self._plan
        if self.speed.down:
            return self._probing() if self.speed.may_try else whole
        if self.speed.bit_s is None:  # nothing was sent yet: begin with what the slowest link takes
            return self._probing()
        number = self._table.number_at(self.speed.bit_s, self._loss)
        sends = self._table.plans[number].sending is not None
        return number if sends or not self.speed.may_try else self._probing()

    def _probing(self) -> int:
        """Return the plan that sends the least at a time; that which sends nothing if none does."""
        sending = [
            (one.sending.codec.packed_bytes, number)
            for number, one in enumerate(self._table.plans)
            if one.sending is not None
        ]
        return min(sending)[1] if sending else len(self._table.plans) - 1

    def _through(self, number: int, known: dict[str, Array]) -> SplitAnswer | tuple[Float32, str] | None:
        """Run the segments of a plan; return its answer, or the last exit that was not sure, if any."""
        plan = self._table.plans[number]
        last: tuple[Float32, str] | None = None
        for position, path in enumerate(plan.segments):
            begun = time.perf_counter()
            runner = self._sessions[path]
            names = [entry.name for entry in runner.get_outputs()]
            found = runner.run(None, {entry.name: known[entry.name] for entry in runner.get_inputs()})
            known.update(zip(names, found, strict=True))
            _wait_until(begun + self._pace(number, position))
            if position >= len(plan.exits):
                break
            logits, confidence = known["logits"], known["confidence"]
            threshold = plan.thresholds[position]
            sure = threshold is None or confidence[0] >= np.float32(threshold)
            if sure and (threshold is None or not np.isnan(logits).any()):
                return _told(logits, plan.exits[position], plan)
            last = logits, plan.exits[position]
        return last

    def _ask(self, sending: Sending, features: Array) -> tuple[Float32 | None, str, int]:
        """Return the server's logits, or why there are none, and how many bytes were sent."""
        payload = sending.codec.encode(sending.part, features)
        size = len(request_bytes(self._client.address, payload, "0"))
        reason, sent = "", 0
        for _ in range(self._attempts):
            try:
                if not self._client.connected:
                    self.speed.rtt_s = self._client.round_trip_s()
                sent += size
                begun = time.perf_counter()
                logits = self._client.logits(payload)
            except RefusedError as error:
                return None, str(error), sent
            except LinkError as error:
                reason = str(error)
                self.speed.failed()
                continue
            bits = wire_bits(size) + wire_bits(ANSWER_BYTES)
            self.speed.answered(time.perf_counter() - begun, sending.server_s, bits)
            return logits, "", sent
        return None, reason, sent


def _wait_until(moment: float) -> None:
    while (left := moment - time.perf_counter()) > 0:
        if left > 2e-3:  # sleeping ends late, by up to a millisecond
            time.sleep(left - 1e-3)


def _told(logits: Float32, where: str, plan: DevicePlan, reason: str = "", sent: int = 0) -> SplitAnswer:
    row = logits[0]
    label = NO_LABEL if np.isnan(row).any() else int(row.argmax())
    return SplitAnswer(label, row, where, bool(reason), plan.name, reason, sent)


def _loaded(path: Path, threads: int) -> Any:
    try:
        return session(path, threads)
    except CANNOT_LOAD as error:
        raise InputError(f"{path} cannot be loaded: {said(error)}", "make the split again") from None
