"""The one thread that runs networks: whose stage is next says the `Dispatcher`, as in a simulation."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Protocol, TypeVar

from eecompile.server.contract import Answered, Known, ServedModel
from eecompile.server.jobs import ModelSlot, RequestJob, WaitingImage
from eecompile.server.refusal import NotServedError
from eecompile.server.stage_times import measured, outlook_of
from eecompile.serving.batches.batching import Batching
from eecompile.serving.dispatch import Dispatcher, NextRun, Ticket
from eecompile.serving.policies import Policy

T = TypeVar("T")
clock = time.perf_counter


class Watcher(Protocol):
    """Is told what the engine does; by its thread, so it has to be quick."""

    def ran(self, slot: ModelSlot, stage: int, images: int, seconds: float) -> None:
        """A stage ran for so many images."""

    def left(self, slot: ModelSlot, answer: Answered) -> None:
        """An image left."""

    def answered(self, job: RequestJob, seconds: float) -> None:
        """The last image of a request left, so many seconds after it came."""

    def failed(self, job: RequestJob) -> None:
        """A request cannot be answered, by a fault of the network or of the server."""

    def broke(self, where: str, error: Exception) -> None:
        """A stage, or the engine itself, raised an error."""


class StageEngine:
    """Runs stages of networks, one run at a time.

    Args:
        policy: Who is next.
        batching: With whom.
        max_queue: Images that are in at most, the ones that run included.
        watcher: Is told what happens.
    """

    def __init__(self, policy: Policy, batching: Batching, max_queue: int, watcher: Watcher) -> None:
        self.max_queue = max_queue
        self._policy, self._batching, self._watcher = policy, batching, watcher
        self._lock = threading.Lock()
        self._wake, self._idle = threading.Condition(self._lock), threading.Condition(self._lock)
        self._slots: list[ModelSlot] = []
        self._come: list[WaitingImage] = []
        self._tasks: deque[Callable[[], None]] = deque()
        self._waiting = self._numbers = self.taken = 0
        self._refusing = self._ending = False
        self._failed: Exception | None = None
        # Of the thread alone:
        self._images: dict[int, WaitingImage] = {}
        self._dispatcher = self._new_dispatcher()
        self._thread = threading.Thread(target=self._work, name="stages", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Images that are in: taken, and not answered."""
        return self._waiting

    @property
    def alive(self) -> bool:
        """Whether stages can run."""
        return self._failed is None

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return not self._refusing and self._failed is None

    def put_into_service(self, name: str, model: ServedModel) -> ModelSlot:
        """Measure a network and let it run; returns where its images go. Other requests wait meanwhile."""
        largest = min(self._batching.size, model.largest_batch or self._batching.size)

        def put() -> ModelSlot:
            service = measured(model, largest)
            slot = ModelSlot(
                len(self._slots), name, model.exits, model, service, outlook_of(model.history, service)
            )
            self._slots.append(slot)
            self._dispatcher = self._new_dispatcher()
            return slot

        return self._call(put)

    def retire(self, slot: ModelSlot) -> None:
        """Let no more come to a network; what is in is still answered, then it is given up."""
        with self._lock:
            slot.retired = True
            self._give_up(slot)

    def submit(
        self, slot: ModelSlot, images: Sequence[Known | Answered], deadline_s: float, priority: float
    ) -> RequestJob:
        """Take a request, all of its images or none.

        Args:
            slot: The network.
            images: What its `admit` returned.
            deadline_s: Seconds from now; infinite: none.
            priority: Larger is more important.

        Raises:
            NotServedError: The queue is full, or no more are taken.
        """
        job = RequestJob(slot, clock(), [one if isinstance(one, Answered) else None for one in images], 0)
        rows = [(row, one) for row, one in enumerate(images) if not isinstance(one, Answered)]
        job.left = len(rows)
        with self._wake:
            self._check_room(slot, len(images))
            self.taken += 1
            self._waiting += job.left
            slot.waiting += job.left
            for row, known in rows:
                self._numbers += 1
                ticket = Ticket(
                    self._numbers, slot.number, job.arrival_s, job.arrival_s + deadline_s, priority
                )
                self._come.append(WaitingImage(ticket, job, row, known))
            self._wake.notify()
        for answer in job.answers:
            if answer is not None:
                self._watcher.left(slot, answer)
        if not rows:
            self._finish(job)
        return job

    def drop(self, job: RequestJob) -> None:
        """Forget a request whose client is gone: what waits of it is not run."""
        with self._lock:
            if not job.over:
                job.over = True
                self._leave(job.slot, job.left)

    def refuse(self) -> None:
        """Take no more requests; batches wait for nobody any more."""
        with self._wake:
            self._refusing = True
            self._tasks.append(self._end_batches)
            self._wake.notify()

    def drain(self, seconds: float | None = None) -> bool:
        """Wait until all that was taken is answered; returns whether it is."""
        with self._idle:
            return self._idle.wait_for(lambda: self._waiting == 0, seconds)

    def close(self) -> None:
        """Answer what is in, then end the thread."""
        self.refuse()
        with self._wake:
            self._ending = True
            self._wake.notify()
        self._thread.join()

    def _check_room(self, slot: ModelSlot, images: int) -> None:
        if self._failed is not None:
            raise NotServedError(500, "failed", f"the server failed: {self._failed}")
        if self._refusing:
            raise NotServedError(
                503, "stopping", "the server stops: it finishes what it took and takes no more", 1
            )
        if slot.retired:
            raise NotServedError(503, "unloaded", f"model '{slot.name}' was unloaded", 1)
        if images > self.max_queue:
            raise NotServedError(
                413, "too many images", f"{images} images; at most {self.max_queue} fit into the queue"
            )
        if self._waiting + images > self.max_queue:
            work = sum(one.waiting * float(one.outlook.mean[0]) for one in self._slots)
            message = f"the queue is full: {self._waiting} images wait of {self.max_queue} at most"
            raise NotServedError(503, "queue full", message, math.ceil(max(work, 1e-9)))

    def _call(self, function: Callable[[], T]) -> T:
        """Run a function in the thread, between two stages, and return what it returns."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(function())
            except Exception as error:
                done.set_exception(error)

        with self._wake:
            if self._failed is not None or self._ending:
                raise NotServedError(503, "stopping", "the server runs nothing any more")
            self._tasks.append(run)
            self._wake.notify()
        return done.result()

    # What follows is run by the thread.

    def _work(self) -> None:
        try:
            while (step := self._next()) is not None:
                step()
        except Exception as error:  # a fault of ours: nobody may wait for ever for what will not come
            self._watcher.broke("the engine", error)
            with self._lock:
                self._failed = error
                jobs = {image.job for image in (*self._images.values(), *self._come)}
                tasks = list(self._tasks)
            for job in jobs:
                self._fail(job, error)
            for task in tasks:
                task()

    def _next(self) -> Callable[[], None] | None:
        while True:
            with self._lock:
                come, self._come = self._come, []
                task = self._tasks.popleft() if self._tasks else None
            for image in come:
                self._add(image)
            if task is not None:
                return task
            now = clock()
            found = self._dispatcher.next(now)
            if isinstance(found, NextRun):
                return partial(self._run, found)
            with self._wake:
                if self._come or self._tasks:
                    continue
                if found is None and self._ending:
                    return None
                self._wake.wait(None if found is None else max(0.0, found - now))

    def _add(self, image: WaitingImage) -> None:
        self._images[image.ticket.number] = image
        self._dispatcher.add(image.ticket)

    def _new_dispatcher(self) -> Dispatcher:
        services, outlooks = [one.service for one in self._slots], [one.outlook for one in self._slots]
        found = Dispatcher(services, outlooks, self._policy, self._batching)
        for image in self._images.values():
            found.add(image.ticket)
        if self._refusing:
            found.end()
        return found

    def _end_batches(self) -> None:
        self._dispatcher.end()  # the one of that time

    def _run(self, run: NextRun) -> None:
        images = [self._images.pop(ticket.number) for ticket in run.tickets]
        slot = images[0].job.slot
        with self._lock:  # a network is given up when nobody waits for it any more
            images = [image for image in images if not image.job.over]
            model = slot.model
        if not images:
            return
        assert model is not None
        size = model.largest_batch or len(images)
        for start in range(0, len(images), size):
            self._run_together(slot, model, run.stage, images[start : start + size])

    def _run_together(
        self, slot: ModelSlot, model: ServedModel, stage: int, images: list[WaitingImage]
    ) -> None:
        begin = clock()
        try:
            found = model.run_stage(stage, [image.known for image in images])
        except Exception as error:
            self._watcher.broke(f"stage {stage} of '{slot.name}'", error)
            for job in {image.job for image in images}:
                self._fail(job, error)
            return
        self._watcher.ran(slot, stage, len(images), clock() - begin)
        for image, outcome in zip(images, found, strict=True):
            if isinstance(outcome, Answered):
                self._watcher.left(slot, outcome)
                self._answer(image, outcome)
            else:
                image.known = outcome.known
                image.ticket.stage, image.ticket.confidence = stage + 1, outcome.confidence
                self._add(image)

    def _answer(self, image: WaitingImage, outcome: Answered) -> None:
        job = image.job
        with self._lock:
            if job.over:
                return
            job.answers[image.row] = outcome
            job.left -= 1
            self._leave(job.slot, 1)
            if job.left:
                return
        self._finish(job)

    def _finish(self, job: RequestJob) -> None:
        job.over = True
        self._watcher.answered(job, clock() - job.arrival_s)
        job.finish()

    def _fail(self, job: RequestJob, error: Exception) -> None:
        with self._lock:
            if job.over:
                return
            job.over = True
            self._leave(job.slot, job.left)
        self._watcher.failed(job)
        job.done.set_exception(NotServedError(500, "failed", f"the network could not be run: {error}"))

    def _leave(self, slot: ModelSlot, images: int) -> None:
        """Count images that are in no more; the lock is held."""
        self._waiting -= images
        slot.waiting -= images
        self._give_up(slot)
        if self._waiting == 0:
            self._idle.notify_all()

    def _give_up(self, slot: ModelSlot) -> None:
        if slot.retired and slot.waiting == 0:
            slot.model = None
