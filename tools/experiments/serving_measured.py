"""Whether the simulation tells what a server measures, request by request.

    python -m tools.experiments.serving_measured RUN --data DATA [--loads .3 .5 .7 .9] [--requests 10000]
        [--seeds 1]

RUN is served on this machine by `eecompile serve` (onnxruntime, one thread, first come, first served, no
batches), on a core of its own where there are two; the client, `tools/experiments/open_loop.py`, has the
other. Before any load, with one request at a time, the server says how long each stage took and how much time
of its core it used; what a request uses beside its stages is one more stage, before them, and what it takes
beyond that (client, kernel) is added to every latency, as nobody waits for it. Then Poisson requests are
offered at shares of the highest rate that these times allow, whatever the server does, and each latency is
counted from when its request was to be sent. The simulation gets the same times and arrivals, and sends each
image out where it leaves. Printed are median and 99th percentile of both, and what the server's are over what
was simulated. `core` is the time of its core that the server used for a request, over what it used for one
alone: where that is 1 and latencies are not as simulated, others used the core, too. Nothing is fitted to the
loads.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.sources import load_data
from eecompile.runtime.early_exit_session import EarlyExitSession
from eecompile.serving.arrivals import Poisson
from eecompile.serving.crowd import Crowd
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.outlook import outlook
from eecompile.serving.policies import policy_named
from eecompile.serving.requests import stream
from eecompile.serving.service import ServiceTime
from tools.experiments.open_loop import offer, request

Seconds = NDArray[np.float64]
Ints = NDArray[np.int64]
WARM = 300
ALONE = 2000
_METRIC = re.compile(r"^(?P<name>\w+)(\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Measured:
    """Times of a server that nobody else asks.

    Attributes:
        stage_s: Seconds of each stage, mean.
        beside_s: Seconds of its core for a request beside its stages, mean.
        around_s: Seconds from request to answer beyond both, median.
    """

    stage_s: Seconds
    beside_s: float
    around_s: float

    def service(self) -> ServiceTime:
        """Return what a request does beside the network as the stage before it."""
        times = np.array([self.beside_s, *self.stage_s])[:, None]
        return ServiceTime(times, np.zeros_like(times))


def metrics(url: str) -> Mapping[str, float]:
    """Return what a server counted, by name and labels."""
    text = urllib.request.urlopen(f"{url}/metrics").read().decode()
    return {f"{m['name']}{m['labels'] or ''}": float(m["value"]) for m in _METRIC.finditer(text)}


def measured(url: str, requests: Sequence[bytes], leaves: Ints, stages: int, seed: int) -> Measured:
    """Return the times of one request at a time."""
    images = np.random.default_rng(seed).integers(0, len(requests), WARM + ALONE)
    offer(url, [requests[n] for n in images[:WARM]], None)
    before = metrics(url)
    latency, _ = offer(url, [requests[n] for n in images[WARM:]], None)
    after = metrics(url)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    of = [f'model="{name_of(url)}",stage="{stage}"' for stage in range(stages)]
    spent = np.array([grown[f"eecompile_stage_seconds_total{labels}"] for labels in of])
    runs = np.array([grown[f"eecompile_batch_images_count{labels}"] for labels in of])
    stage_s = spent / np.maximum(runs, 1)
    beside = (grown["process_cpu_seconds_total"] - float(spent.sum())) / ALONE
    alone = np.cumsum(stage_s)[leaves[images[WARM:]]] + beside
    return Measured(stage_s, beside, float(np.median(latency - alone)))


def name_of(url: str) -> str:
    """Return the name of the one model of a server."""
    rows = json.load(urllib.request.urlopen(f"{url}/v2/repository/index", b""))
    return str(rows[0]["name"])


def simulated(times: Measured, arrival_s: Seconds, image: Ints, leaves: Ints) -> Seconds:
    """Return the latency of each request, seconds."""
    service = times.service()
    past = outlook(service, np.zeros((service.stages - 1, len(leaves))), leaves + 1)
    requests = stream(arrival_s, (leaves + 1)[image], 0)
    # Each request has its image: `stream` draws, so it is given the exit of each and told which is which.
    requests = type(requests)(**{**vars(requests), "image": image, "stages": leaves[image] + 2})
    crowd = Crowd(requests, [service], [past], [np.zeros((service.stages - 1, len(leaves)))])
    found = serve_one_by_one(crowd, policy_named("fifo"))
    return np.asarray(found.finish_s - arrival_s + times.around_s, np.float64)


@contextmanager
def serving(run: Path, cores: Sequence[int]) -> Iterator[str]:
    """Serve a run in a process of its own, and yield its address; it has one core, this process another."""
    command = [sys.executable, "-m", "eecompile", "serve", str(run), "--port", "0", "--json", "--quiet"]
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})  # the new process inherits it, and so do its threads
    process = subprocess.Popen(
        [*command, "--max-queue", "1000000"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[1]})
        yield str(json.loads(process.stdout.readline())["url"])
    finally:
        process.terminate()
        process.wait()
        if len(cores) > 1:
            os.sched_setaffinity(0, set(cores))


def tell(run: Path, images: NDArray[Any], given: argparse.Namespace) -> None:
    """Measure, offer, simulate, and print."""
    found = EarlyExitSession(run, window=len(images) + 1).run(images)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    with serving(run, cores) as url:
        asks = [request(url, name_of(url), images[n : n + 1]) for n in range(len(images))]
        stages = int(found.exit.max()) + 1
        times = measured(url, asks, found.exit, stages, 0)
        alone = times.beside_s + float(np.cumsum(times.stage_s)[found.exit].mean())
        listed = ", ".join(f"{1e3 * s:.3f}" for s in times.stage_s)
        print(f"\n## {run.name}, server and client on {'a core each' if len(cores) > 1 else 'one core'}")
        print(
            f"stages {listed} ms, beside them {1e3 * times.beside_s:.3f} ms of the server's core per request"
        )
        print(f"and {1e3 * times.around_s:.3f} ms around; at most {1 / alone:.0f} requests/s\n")
        print("| load | rate, 1/s | seed | core | p50 ms | simulated | ratio | p99 ms | simulated | ratio |")
        print("|" + "---|" * 10)
        for load in given.loads:
            for seed in range(given.seeds):
                arrival = Poisson(load / alone).times(given.requests, seed)
                image = np.random.default_rng([seed, 1]).integers(0, len(images), given.requests)
                before = metrics(url)["process_cpu_seconds_total"]
                real, exits = offer(url, [asks[n] for n in image], arrival)
                used = (metrics(url)["process_cpu_seconds_total"] - before) / given.requests
                if (wrong := int((exits != found.exit[image]).sum())) > 0:
                    raise SystemExit(f"{wrong} answers are of other images")
                predicted = simulated(times, arrival, image, found.exit)
                cells = [f"{load:g}", f"{load / alone:.0f}", str(seed), f"{used / alone:.2f}"]
                for share in (50, 99):
                    two = 1e3 * np.percentile(real, share), 1e3 * np.percentile(predicted, share)
                    cells += [f"{two[0]:.3f}", f"{two[1]:.3f}", f"{two[0] / two[1]:.2f}"]
                print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory")
    parser.add_argument("--data", required=True, help="what it was made with: its test images are sent")
    parser.add_argument("--loads", nargs="+", type=float, default=[0.3, 0.5, 0.7, 0.9], metavar="SHARE")
    parser.add_argument("--requests", type=int, default=10_000, metavar="N", help="of each load")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    given = parser.parse_args()
    tell(given.run, load_data(given.data).test.x, given)


if __name__ == "__main__":
    main()
