"""Whether the simulation tells what a server measures, request by request.

    python -m tools.experiments.serving_measured RUN [RUN …] --data DATA [--loads .3 .5 .7 .9]
        [--requests 10000] [--seeds 1]

RUN is served on this machine by `tools/experiments/logged_server.py` (onnxruntime, one thread, first come,
first served, no batches), on a core of its own where there are two; the client,
`tools/experiments/open_loop.py`, has the other. Poisson requests are offered at shares of the highest rate
that the times of one request at a time allow, whatever the server does, and each latency is counted from when
its request was to be sent. The simulation gets the same arrivals, and sends each image out where it leaves.
One core does two things: it reads requests and writes answers, and it runs stages. A request is simulated as
reading, its stages, writing; who is to be read or written comes before all stages, as the system lets a
thread that slept run before one that works.

It is simulated twice. *Planned*: with the mean times of requests one at a time, measured before any load.
*Fed*: with the time that each stage and each request took of the core in the very run, as the server noted
it, so that what is left over is the simulation's own fault, and not that of a core that is slower at other
times. What writing is of the time of HTTP is measured one at a time. Printed are median and 99th percentile
of the server, and what they are over those of both. `core` is the time of its core that a request took, over
that of one alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.sources import load_data
from eecompile.runtime.early_exit_session import EarlyExitSession
from eecompile.serving.arrivals import Poisson
from eecompile.serving.crowd import Crowd
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.outlook import Outlook
from eecompile.serving.policies import Policy
from eecompile.serving.requests import Requests
from eecompile.serving.service import ServiceTime
from tools.experiments.open_loop import offer, request

Seconds = NDArray[np.float64]
Ints = NDArray[np.int64]
WARM = 300
ALONE = 2000


@dataclass(frozen=True)
class CoreTimes:
    """What requests took of the core of a server.

    Attributes:
        stages: Of each request, seconds of its stages; the first has what its thread does around them.
        http: Seconds of reading and writing of each, [requests].
        writing: Share of that that is writing.
    """

    stages: list[list[float]]
    http: Seconds
    writing: float

    @property
    def total(self) -> Seconds:
        """Seconds of the core for each request."""
        return np.asarray(self.http + [sum(one) for one in self.stages])

    def in_order_of(self, leaves: Ints) -> CoreTimes:
        """Return them for requests that leave there; two that came together may be served the other first."""
        served = np.array([len(one) - 1 for one in self.stages])
        order = np.empty(len(leaves), np.int64)
        for exit_ in np.unique(leaves):
            order[leaves == exit_] = np.flatnonzero(served == exit_)
        return replace(self, stages=[self.stages[n] for n in order], http=self.http[order])

    def parts(self) -> list[list[float]]:
        """Return of each request reading, stages, and writing."""
        return [
            [(1 - self.writing) * http, *stages, self.writing * http]
            for http, stages in zip(self.http.tolist(), self.stages, strict=True)
        ]


def core_times(noted: Seconds, writing: float) -> CoreTimes:
    """Return what requests took, by what the server noted.

    What a thread took from the first stage of a request to that of the next is that request's; of the last
    one nothing more is known, so it has the median.

    Args:
        noted: `Log.stages`, of requests that were served one after another.
        writing: Share of writing.
    """
    of = np.cumsum(noted[:, 0] == 0) - 1
    first = noted[noted[:, 0] == 0]
    http, thread = (_to_next(first[:, column]) for column in (2, 3))
    stages: list[list[float]] = [[] for _ in first]
    for request_, seconds in zip(of.tolist(), noted[:, 1].tolist(), strict=True):
        stages[request_].append(seconds)
    for own, all_ in zip(stages, thread.tolist(), strict=True):
        own[0] += max(all_ - sum(own), 0.0)
    return CoreTimes(stages, http, writing)


def _to_next(clock: Seconds) -> Seconds:
    steps = np.diff(clock)
    return np.append(steps, np.median(steps))


def simulated(arrival_s: Seconds, parts: Sequence[Sequence[float]]) -> Seconds:
    """Return the latency of each request of a server of one core, seconds.

    Args:
        arrival_s: When each comes, rising.
        parts: Of each, seconds of reading, of its stages, and of writing.
    """
    count = len(parts)
    services = [ServiceTime(np.array(one)[:, None], np.zeros((len(one), 1))) for one in parts]
    outlooks = [Outlook(np.zeros(one.stages), np.zeros(one.stages), [None] * one.stages) for one in services]
    nothing, lengths = np.zeros(count, np.int64), np.array([len(one) for one in parts])
    never, alike = np.full(count, np.inf), np.ones(count)
    requests = Requests(arrival_s, nothing, np.arange(count), nothing, lengths, never, alike)
    crowd = Crowd(requests, services, outlooks, [np.zeros((one.stages - 1, 1)) for one in services])
    stage = np.arange(crowd.stages)[:, None]
    http = (stage == 0) | (stage == lengths - 1)
    handling = Policy("handling first", lambda waiting: np.where(http, -1.0, waiting.arrival_s))
    return np.asarray(serve_one_by_one(crowd, handling).finish_s - arrival_s)


@dataclass(frozen=True)
class LoggedServer:
    """A server in a process of its own, on a core of its own.

    Attributes:
        url: Where it is.
        model: What it serves.
        noted: Returns stages and writes of `Log` since the last time.
    """

    url: str
    model: str
    noted: Callable[[], tuple[Seconds, Seconds]]


@contextmanager
def serving(run: Path, cores: Sequence[int]) -> Iterator[LoggedServer]:
    """Serve a run."""
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})  # the new process inherits it, and so do its threads
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.experiments.logged_server", str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdin is not None and process.stdout is not None
    to, told = process.stdin, process.stdout
    try:
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[1]})
        with tempfile.TemporaryDirectory() as folder:

            def noted() -> tuple[Seconds, Seconds]:
                path = Path(folder) / "noted.npz"
                to.write(f"{path}\n")
                to.flush()
                told.readline()
                found = np.load(path)
                return found["stages"], found["writes"]

            place = json.loads(told.readline())
            yield LoggedServer(place["url"], place["model"], noted)
    finally:
        process.terminate()
        process.wait()
        if len(cores) > 1:
            os.sched_setaffinity(0, set(cores))


@dataclass(frozen=True)
class Alone:
    """What requests take that nobody holds up.

    Attributes:
        stage_s: Seconds of each stage, mean; the first has what its thread does around all.
        http_s: Seconds of HTTP, mean.
        writing: Share of it that is writing.
        around_s: Seconds from request to answer beyond all that, median: client and system, less what the
            server does behind the answer.
    """

    stage_s: Seconds
    http_s: float
    writing: float
    around_s: float

    def times(self, leaves: Ints) -> CoreTimes:
        """Return what requests take that leave there."""
        stages = [self.stage_s[: last + 1].tolist() for last in leaves]
        return CoreTimes(stages, np.full(len(leaves), self.http_s), self.writing)


def alone(server: LoggedServer, asks: Sequence[bytes], leaves: Ints) -> Alone:
    """Return the times of one request at a time."""
    images = np.random.default_rng(0).integers(0, len(asks), WARM + ALONE)
    offer(server.url, [asks[n] for n in images[:WARM]], None)
    server.noted()
    latency, _ = offer(server.url, [asks[n] for n in images[WARM:]], None)
    noted, writes = server.noted()
    found = core_times(noted, float(writes.mean()) / float(_to_next(noted[noted[:, 0] == 0, 2]).mean()))
    stages = [[one[k] for one in found.stages if len(one) > k] for k in range(int(leaves.max()) + 1)]
    return Alone(
        np.array([np.mean(of) for of in stages]),
        float(found.http.mean()),
        found.writing,
        float(np.median(latency - found.total)),
    )


def tell(run: Path, images: NDArray[Any], given: argparse.Namespace) -> None:
    """Measure, offer, simulate, and print."""
    leaves = EarlyExitSession(run, window=len(images) + 1).run(images).exit
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    with serving(run, cores) as server:
        asks = [request(server.url, server.model, images[n : n + 1]) for n in range(len(images))]
        before = alone(server, asks, leaves)
        mean = float(before.times(leaves).total.mean())
        listed = ", ".join(f"{1e3 * s:.3f}" for s in before.stage_s)
        print(f"\n## {run.name}, server and client on {'a core each' if len(cores) > 1 else 'one core'}\n")
        print(f"One at a time: stages {listed} ms, HTTP {1e3 * before.http_s:.3f} ms of the server's core, ")
        print(f"{100 * before.writing:.0f} % of it writing, and {1e3 * before.around_s:.3f} ms around; ")
        print(f"at most {1 / mean:.0f} requests/s.\n")
        print("| load | rate, 1/s | seed | core | p50 ms | planned | fed | p99 ms | planned | fed |")
        print("|" + "---|" * 10)
        for load in given.loads:
            for seed in range(given.seeds):
                arrival = Poisson(load / mean).times(given.requests, seed)
                image = np.random.default_rng([seed, 1]).integers(0, len(images), given.requests)
                server.noted()
                real, exits = offer(server.url, [asks[n] for n in image], arrival)
                if (wrong := int((exits != leaves[image]).sum())) > 0:
                    raise SystemExit(f"{wrong} answers are of other images")
                fed = core_times(server.noted()[0], before.writing).in_order_of(leaves[image])
                told = [
                    before.around_s + simulated(arrival, one.parts())
                    for one in (before.times(leaves[image]), fed)
                ]
                cells = [f"{load:g}", f"{load / mean:.0f}", str(seed), f"{fed.total.mean() / mean:.2f}"]
                for share in (50, 99):
                    seen = np.percentile(real, share)
                    over = (f"{seen / np.percentile(one, share):.2f}" for one in told)
                    cells += [f"{1e3 * seen:.3f}", *over]
                print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run directory")
    parser.add_argument("--data", required=True, help="what it was made with: its test images are sent")
    parser.add_argument("--loads", nargs="+", type=float, default=[0.3, 0.5, 0.7, 0.9], metavar="SHARE")
    parser.add_argument("--requests", type=int, default=10_000, metavar="N", help="of each load")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    given = parser.parse_args()
    images = load_data(given.data).test.x
    for run in given.runs:
        tell(run, images, given)


if __name__ == "__main__":
    main()
