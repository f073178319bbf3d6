"""What Prometheus is told: exits, drift, queue, latencies, batches, refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from eecompile.runtime.drift import ExitWatch
from eecompile.server.contract import Answered
from eecompile.server.jobs import ModelSlot, RequestJob

# Seconds: from a quarter of a millisecond to ten seconds, a factor of two between.
_SECONDS = tuple(0.00025 * 2**power for power in range(16))
_SIZES = tuple(float(2**power) for power in range(8))
Say = Callable[[str], None]


class Notices:
    """A log that says each kind of thing once; the counters have the rest."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self._told: set[str] = set()

    def once(self, kind: str, text: str) -> None:
        """Say ``text``, unless something of its kind was said before."""
        if kind not in self._told:
            self._told.add(kind)
            self.say(text)


class Metrics:
    """Counters of one server, and its log.

    Args:
        notices: Where each kind of refusal or fault is told once.
    """

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._answered = Counter(
            "eecompile_requests_answered", "Requests that were answered.", ["model"], registry=registry
        )
        self._refused = Counter(
            "eecompile_requests_refused", "Requests that were not served, by reason.", ["reason"],
            registry=registry,
        )  # fmt: skip
        self._dropped = Counter(
            "eecompile_requests_dropped", "Requests whose client was gone or whose time was over.",
            registry=registry,
        )  # fmt: skip
        self._failed = Counter(
            "eecompile_requests_failed", "Requests that were taken and could not be run.", ["model"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "eecompile_request_seconds", "From arrival to answer, in the server.", ["model"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._images = Counter(
            "eecompile_images", "Images that left, by exit.", ["model", "exit"], registry=registry
        )
        self._unknown = Counter(
            "eecompile_images_without_answer", "Images that held NaN, or whose logits did.", ["model"],
            registry=registry,
        )  # fmt: skip
        self._ratio = Gauge(
            "eecompile_exit_ratio_at_compile_time", "Share of the test images that left at an exit.",
            ["model", "exit"], registry=registry,
        )  # fmt: skip
        self._drifted = Counter(
            "eecompile_drifted_windows",
            "Windows of 1000 images whose exits differ from compile time by more than chance.", ["model"],
            registry=registry,
        )  # fmt: skip
        self._batch = Histogram(
            "eecompile_batch_images", "Images that ran a stage together.", ["model", "stage"], buckets=_SIZES,
            registry=registry,
        )  # fmt: skip
        self._stage = Counter(
            "eecompile_stage_seconds", "Time in which a stage ran.", ["model", "stage"], registry=registry
        )
        self._queue = Gauge(
            "eecompile_queue_images", "Images that were taken and are not answered.", registry=registry
        )
        self._watches: dict[str, ExitWatch] = {}
        self._counts = {"answered": 0, "given up by their clients": 0, "failed": 0}
        self._lock = threading.Lock()

    def text(self) -> bytes:
        """Return what is known now, as Prometheus reads it."""
        return generate_latest(self.registry)

    def summary(self) -> str:
        """Return what became of all that was taken."""
        return ", ".join(f"{count} {what}" for what, count in self._counts.items())

    def show_queue(self, length: Callable[[], float]) -> None:
        """Read the length of the queue there."""
        self._queue.set_function(length)

    def follow(self, slot: ModelSlot) -> None:
        """Count for a network; one of the same name before has its drift no longer watched."""
        assert slot.model is not None
        exits, seen = slot.model.exits, slot.model.history.seen
        self._watches[slot.name] = ExitWatch(exits, seen)
        self._drifted.labels(slot.name)
        self._unknown.labels(slot.name)
        for name, count in zip(exits, seen, strict=True):
            self._images.labels(slot.name, name)
            if sum(seen):
                self._ratio.labels(slot.name, name).set(count / sum(seen))

    def ran(self, slot: ModelSlot, stage: int, images: int, seconds: float) -> None:
        """Count a stage that ran."""
        self._batch.labels(slot.name, stage).observe(images)
        self._stage.labels(slot.name, stage).inc(seconds)

    def left(self, slot: ModelSlot, answer: Answered) -> None:
        """Count an image that left; say so where exits have drifted."""
        watch = self._watches[slot.name]
        self._images.labels(slot.name, slot.exits[answer.exit]).inc()
        if answer.without_answer:
            self._unknown.labels(slot.name).inc()
        if told := watch.add(np.array([answer.exit]), int(answer.without_answer)):
            self._drifted.labels(slot.name).inc()
            self._notices.once(f"drift {slot.name}", f"{slot.name}: {told}")

    def answered(self, job: RequestJob, seconds: float) -> None:
        """Count a request."""
        self._count("answered")
        self._answered.labels(job.slot.name).inc()
        self._seconds.labels(job.slot.name).observe(seconds)

    def _count(self, what: str) -> None:
        with self._lock:  # the event loop counts, and the thread of the engine
            self._counts[what] += 1

    def failed(self, job: RequestJob) -> None:
        """Count a request that broke."""
        self._count("failed")
        self._failed.labels(job.slot.name).inc()

    def refused(self, kind: str, message: str) -> None:
        """Count a request that is not served; the first of a kind is said."""
        self._refused.labels(kind).inc()
        self._notices.once(f"refused {kind}", f"refused ({kind}): {message}; more are only counted")

    def dropped(self) -> None:
        """Count a request that nobody waits for any more."""
        self._count("given up by their clients")
        self._dropped.inc()

    def broke(self, where: str, error: Exception) -> None:
        """Say what failed."""
        self._notices.once(f"broke {where}", f"{where} failed: {type(error).__name__}: {error}")
