"""Serving a million requests, beside SimPy.

    python -m tools.bench.bench_simulation [--requests 1000000]

One network of two stages of which three in five requests leave at the first exit, Poisson arrivals at a load
of .8, seed 0, one thread. SimPy, where it is installed (`pip install simpy`), serves a fifth of the requests,
first come, first served. Both must come to the same mean latency.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from eecompile.serving.arrivals import Poisson
from eecompile.serving.crowd import Crowd
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.outlook import outlook
from eecompile.serving.policies import POLICIES
from eecompile.serving.requests import stream
from eecompile.serving.service import ServiceTime

RATE, STAGES, EARLY = 0.8, (0.6, 1.0), 0.6


def crowd_of(count: int) -> Crowd:
    """Return the requests."""
    confidence = np.random.default_rng(0).random((1, 4000))
    leaves = (confidence[0] < 1 - EARLY).astype(np.int64)
    times = np.array(STAGES)[:, None]
    service = ServiceTime(times, times)
    seen = outlook(service, confidence, leaves)
    return Crowd(stream(Poisson(RATE).times(count, 0), leaves, 0, 5.0), [service], [seen], [confidence])


def simpy_mean(crowd: Crowd) -> float:
    """Return the mean latency by SimPy; raises ImportError where it is not installed."""
    import simpy  # type: ignore[import-not-found, unused-ignore]

    environment: Any = simpy.Environment()
    chip: Any = simpy.Resource(environment, 1)
    arrival, stages = crowd.requests.arrival_s.tolist(), crowd.requests.stages.tolist()
    total = 0.0

    def serve(one: int) -> Any:
        nonlocal total
        with chip.request() as turn:
            yield turn
            for stage in range(stages[one]):
                yield environment.timeout(STAGES[stage])
        total += environment.now - arrival[one]

    def come() -> Any:
        for one, at in enumerate(arrival):
            yield environment.timeout(at - environment.now)
            environment.process(serve(one))

    environment.process(come())
    environment.run()
    return total / len(arrival)


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    count = parser.parse_args().requests
    crowd = crowd_of(count)
    for name in ("fifo", "edf", "remaining", "oracle"):
        begun = time.process_time()
        done = serve_one_by_one(crowd, POLICIES[name])
        seconds = time.process_time() - begun
        mean = (done.finish_s - crowd.requests.arrival_s).mean()
        print(
            f"{name}: {count:,} requests in {seconds:.2f} s of one core, mean latency {mean:.4f} s",
            flush=True,
        )
    few = crowd_of(count // 5)
    begun = time.process_time()
    done = serve_one_by_one(few, POLICIES["fifo"])
    ours, mean = time.process_time() - begun, (done.finish_s - few.requests.arrival_s).mean()
    begun = time.process_time()
    try:
        other = simpy_mean(few)
    except ImportError:
        print("SimPy is not installed")
        return
    theirs = time.process_time() - begun
    times = f"ours {ours:.2f} s, SimPy {theirs:.2f} s, {theirs / ours:.1f} x"
    print(f"fifo, {count // 5:,}: {times}; means {mean:.4f}, {other:.4f}")


if __name__ == "__main__":
    main()
