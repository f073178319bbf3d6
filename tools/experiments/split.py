"""Tell what a split between device and server is worth, and hold its prediction against two real processes.

    python -m tools.experiments.split RUN... --work DIR [--clock 5e6] [--rtt 2e-3] [--rates 1e5 1e8]
        [--at 250e3 1e6 4e6] [--server-time 1e-3] [--images 400]

For each run and objective: the plan of each band of link speeds, and beside it all on the device (without
exits, with them), all on the server, and the best split without exits, on test images. Then, for the speed in
the middle of each band, a server process (`eecompile serve`), a proxy in front of it as slow and far as the
link (a token bucket, and half a round trip each way), and a device process that runs the plan on test
images and takes as long for each segment as the schedule says: the mean latency of its answers, with a
95 % interval over images, beside what is predicted for the same images with the round trip and the server's
time as they are there (both measured beside): a loaded machine has others than were planned with.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from eecompile.data.dataset import Split
from eecompile.runtime.split.records import DevicePlan, Sending, read_plans
from eecompile.runtime.split.split_session import SplitSession
from eecompile.runtime.split.v2_client import Address, V2Client
from eecompile.split.choosing import ENERGY, LATENCY, Plan, best_plan, device_paths
from eecompile.split.envelope import value
from eecompile.split.figures import PlanFigures
from eecompile.split.radios import radio_named
from eecompile.split.splitting import (
    ReadySplit,
    SplitAsked,
    SplitResult,
    alone_plan,
    judged,
    plans_of,
    prepare,
    split_ready,
    terms_of,
)

TRIES = 50
LIVE_BYTES = 60 + 120 + 2 * 40
"""Of asking whether the server lives, there and back, with their heads of TCP."""
START = [sys.executable, "-c", "from eecompile.cli.main import main; main()"]


class SlowLink:
    """A proxy for TCP that lets a number of bits through per second and adds half a round trip each way.

    Bytes of TCP and IP are counted for each 1460 bytes, as the prediction has them: on loopback they are not
    there.

    Args:
        port: Of the server.
        bit_per_s: Rate, each way.
        rtt_s: Seconds there and back.
    """

    def __init__(self, port: int, bit_per_s: float, rtt_s: float) -> None:
        self._port, self._bit_s, self._half_s = port, 1 / bit_per_s, rtt_s / 2

    async def serve(self, listener: socket.socket) -> None:
        """Pass on what comes until cancelled."""
        server = await asyncio.start_server(self._both, sock=listener)
        async with server:
            await server.serve_forever()

    async def _both(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        for stream in (writer, back):
            stream.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.gather(self._one(reader, back), self._one(there, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            back.close()

    async def _one(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Let bytes through: each piece ends its way when all before it and its own bits are over."""
        free = 0.0
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        passing = asyncio.create_task(_deliver(waiting, sink))
        while piece := await source.read(65536):
            now = time.perf_counter()
            free = max(free, now)
            wire = len(piece) + 40 * math.ceil(len(piece) / 1460)
            free += 8 * wire * self._bit_s
            await waiting.put((free + self._half_s, piece))
        await waiting.put((free + self._half_s, b""))
        await passing


async def _deliver(waiting: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
    while True:
        moment, piece = await waiting.get()
        while (left := moment - time.perf_counter()) > 0:
            await asyncio.sleep(left - 1e-3 if left > 2e-3 else 0)
        if not piece:
            return
        sink.write(piece)
        await sink.drain()


@dataclass(frozen=True)
class Trial:
    """What a plan took on a link.

    Attributes:
        mean_s: Mean latency of images.
        half_s: Half of its 95 % interval over images.
        images: How many.
        sent: Share that the server answered.
        degraded: How many the server did not answer.
        rtt_s: Round trip through the proxy, measured beside with requests of almost nothing.
        server_s: What the server took for a payload, measured without the proxy, less a round trip there.
    """

    mean_s: float
    half_s: float
    images: int
    sent: float
    degraded: int
    rtt_s: float
    server_s: float


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def device(given: argparse.Namespace) -> None:
    """Be the device process: run a plan on images, and print each latency."""
    record = json.loads(Path(given.device).read_text())
    images = np.load(record["images"])["images"]
    paths = record["paths_s"]
    segments = np.diff([0.0, *paths])

    def pace(_: int, segment: int) -> float:
        return float(segments[segment])

    with SplitSession(
        record["folder"], record["url"], timeout_s=30.0, plan=record["plan"], pace=pace
    ) as session:
        session.run(images[:8])  # the connection is there, and onnxruntime is warm
        found = []
        for image in images:
            begun = time.perf_counter()
            (answer,) = session.run(image[None])
            found.append(
                [time.perf_counter() - begun, float(answer.where == "server"), float(answer.degraded)]
            )
    print(json.dumps(found))


def trial(
    split: SplitResult,
    plan: DevicePlan,
    number: int,
    paths_s: Sequence[float],
    rate: float,
    images: Any,
    work: Path,
) -> Trial:
    """Run device, link and server in three processes."""
    ports = free_port(), free_port()
    np.savez(work / "images.npz", images=images)
    record = {
        "folder": str(split.out / "device"), "url": f"http://127.0.0.1:{ports[1]}", "plan": number,
        "paths_s": list(paths_s), "images": str(work / "images.npz"),
    }  # fmt: skip
    (work / "device.json").write_text(json.dumps(record))
    here = [sys.executable, "-m", "tools.experiments.split"]
    others, rtt_s, server_s = [], split.rtt_s, 0.0
    if plan.sending is not None:
        serve = [*START, "serve", str(split.out / "server"), "--port", str(ports[0]), "--quiet"]
        proxy = [*here, "--proxy", str(ports[1]), str(ports[0]), str(rate), str(split.rtt_s)]
        others = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for words in (serve, proxy)]
    try:
        for port in ports if others else ():
            wait_for(port)
        if plan.sending is not None:
            server_s = server_seconds(ports[0], plan.sending)
            rtt_s = round_trip(ports[1], rate)
        done = subprocess.run(
            [*here, "--device", str(work / "device.json")], capture_output=True, text=True, check=True
        )
    finally:
        for one in others:
            one.terminate()
            one.wait()
    found = np.array(json.loads(done.stdout), np.float64)
    half = 1.96 * float(found[:, 0].std(ddof=1)) / math.sqrt(len(found))
    mean, sent, degraded = found.mean(axis=0)
    return Trial(float(mean), half, len(found), float(sent), round(degraded * len(found)), rtt_s, server_s)


def round_trip(port: int, rate: float = math.inf) -> float:
    """Return the median seconds of a round trip but for the bits of its messages."""
    client = V2Client(Address("127.0.0.1", port, "server"), 10.0)
    seconds = median(client.round_trip_s() for _ in range(TRIES))
    client.close()
    return max(seconds - 8 * LIVE_BYTES / rate, 0.0)


def server_seconds(port: int, sending: Sending) -> float:
    """Return the median seconds that a server near by takes for a payload."""
    client = V2Client(Address("127.0.0.1", port, "server"), 10.0)
    payload = sending.codec.encode(sending.part, np.zeros(sending.codec.shape, sending.codec.dtype))
    found = []
    for _ in range(TRIES):
        begun = time.perf_counter()
        client.logits(payload)
        found.append(time.perf_counter() - begun)
    client.close()
    return max(median(found) - round_trip(port), 0.0)


def wait_for(port: int) -> None:
    """Return when somebody listens."""
    for _ in range(300):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nobody listens on port {port}")


@dataclass(frozen=True)
class Beside:
    """A plan with its figures on test, under the name that a table has for it."""

    name: str
    plan: Plan
    figures: PlanFigures


Ways = list[tuple[float, list[Beside]]]


def compared(ready: ReadySplit, asked: SplitAsked, rates: Sequence[float]) -> Ways:
    """Return for each rate its plan, and what it is compared with."""
    found = [(rate, name, plan) for rate in rates for name, plan in ways_at(ready, asked, rate).items()]
    figures = judged(ready, asked, [plan for *_, plan in found], 0.0, [rate for rate, *_ in found])
    told = [(rate, Beside(name, plan, one)) for (rate, name, plan), one in zip(found, figures, strict=True)]
    return [(rate, [way for other, way in told if other == rate]) for rate in rates]


def ways_at(ready: ReadySplit, asked: SplitAsked, rate: float) -> dict[str, Plan]:
    """Return the best plan of each kind at a rate, by what tables call it."""
    question, terms = ready.question, terms_of(asked, 0.0)
    bare = replace(question, may_leave=((),))
    images = [n for n, offer in enumerate(question.offers) if offer.place.layers == 0]
    surest = max(images, key=lambda n: (question.offers[n].agree, -question.offers[n].mean_bytes))
    found = {
        "on the device, no exits": best_plan(bare, terms, 1 / rate, [None]),
        "on the device, exits": alone_plan(question, terms),
        "on the server": best_plan(bare, terms, 1 / rate, [surest]),
        "best split, no exits": best_plan(bare, terms, 1 / rate),
        "split with exits": best_plan(question, terms, 1 / rate),
    }
    return {name: plan for name, plan in found.items() if plan is not None}


def part_of_test(ready: ReadySplit, count: int) -> ReadySplit:
    """Return the same with the first images of test alone."""
    test = ready.run.dataset.test
    some = np.arange(min(count, len(test)))
    dataset = replace(ready.run.dataset, test=Split(test.x[some], test.y[some]))
    samples = replace(ready.run.samples, test=ready.run.samples.test.part(some))
    return replace(ready, run=replace(ready.run, dataset=dataset, samples=samples))


def table_of(ready: ReadySplit, rows: Ways) -> list[str]:
    """Return a table: what each way takes at each rate."""
    lines = [
        "| Mbit/s | way | plan | latency ms | p99 ms | device mJ | sent % | bytes | right % | drop, points |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for rate, ways in rows:
        for way in ways:
            one, drop = way.figures, way.figures.drop
            lines.append(
                f"| {1e-6 * rate:.3g} | {way.name} | {way_words(ready, way.plan)} | "
                f"{1e3 * one.latency_s:.4g} | {1e3 * one.p99_s:.4g} | {1e3 * one.energy_j:.3g} | "
                f"{100 * one.sent:.0f} | {one.payload_bytes:.0f} | {100 * one.accuracy:.1f} | "
                f"{drop.points:.1f} [{drop.lo95:.1f}, {drop.hi95:.1f}] |"
            )
    return lines


def way_words(ready: ReadySplit, plan: Plan) -> str:
    """Return which exits the device has and what is sent, in a few words."""
    names = [item.name for item in ready.run.summary.exits]
    exits = ", ".join(names[k] for k in plan.exits)
    sends = "" if plan.offer is None else f"sends {ready.question.offers[plan.offer].words}"
    return "; ".join(filter(None, (exits, sends))) or "all of it"


def tried(ready: ReadySplit, asked: SplitAsked, split: SplitResult, images: int, work: Path) -> list[str]:
    """Return a table of the plans of all bands: what was predicted, and what two processes took."""
    part = part_of_test(ready, images)
    plans = [alone_plan(ready.question, terms_of(asked, 0.0)), *plans_of(ready, asked, 0.0)]
    table = read_plans(split.out / "device")
    lines = [
        "| Mbit/s | plan | planned ms | round trip, server ms | predicted ms | measured ms | off % "
        "| images | sent % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in split.rows:
        bit_s = 1 / row.shown_bit_per_s
        plan = min(plans, key=lambda one: value(one, bit_s))
        told = table.plans[row.plan]
        offer = None if plan.offer is None else ready.question.offers[plan.offer]
        paths = device_paths(ready.costs, plan.exits, offer, LATENCY)
        test = part.run.dataset.test
        found = trial(split, told, row.plan, paths, row.shown_bit_per_s, test.x, work)
        (planned,) = judged(part, asked, [plan], 0.0, [row.shown_bit_per_s])
        there = replace(asked, rtt_s=found.rtt_s)
        offers = [replace(one, server_s=found.server_s) for one in part.question.offers]
        as_is = replace(part, question=replace(part.question, offers=offers))
        (predicted,) = judged(as_is, there, [plan], 0.0, [row.shown_bit_per_s])
        off = 100 * (found.mean_s / predicted.latency_s - 1)
        lines.append(
            f"| {1e-6 * row.shown_bit_per_s:.3g} | {way_words(ready, plan)} | "
            f"{1e3 * planned.latency_s:.4g} | {1e3 * found.rtt_s:.3g}, {1e3 * found.server_s:.3g} | "
            f"{1e3 * predicted.latency_s:.4g} | {1e3 * found.mean_s:.4g} ± {1e3 * found.half_s:.2g} | "
            f"{off:+.1f} | {found.images} | {100 * found.sent:.1f} |"
        )
        say(lines[-1])
        if found.degraded:
            raise SystemExit(f"{found.degraded} answers were degraded: the trial is none")
    return lines


def judge_run(folder: Path, given: argparse.Namespace) -> list[str]:
    """Return the page's part on a run."""
    radio = radio_named(given.radio)
    asked = SplitAsked(
        (given.rates[0], given.rates[1]), given.rtt, (0.0,), LATENCY, given.max_drop, None,
        given.server_time, radio, radio.listen_w, given.clock, given.data,
        given.work / f"{folder.name}-split",
    )  # fmt: skip
    ready = prepare(folder, asked, say)
    summary = ready.run.summary
    seconds = ready.costs.until(len(ready.costs.backbone), ())[0]
    clock = "its own clock" if given.clock is None else f"{1e-6 * given.clock:g} MHz"
    lines = [
        f"## {folder.name}: {summary.model} on {summary.target}",
        "",
        f"{clock}: {1e3 * seconds:.4g} ms without exits; round trip {1e3 * given.rtt:g} ms; {ready.limit}; "
        f"server: {ready.server}; radio {radio.name}; {len(ready.run.dataset.val)} images of val chose, "
        f"figures are of {len(ready.run.dataset.test)} test images, drops against the network without exits "
        f"with 95 % intervals; {len(ready.question.offers)} ways to send.",
        "",
    ]
    for objective in (LATENCY, ENERGY):
        about = replace(asked, objective=objective, out=given.work / f"{folder.name}-{objective}")
        split = split_ready(ready, about, say)
        lines += [f"### Least {objective}", "", *bands_of(split), ""]
        lines += [
            *table_of(ready, compared(ready, about, given.at if objective == LATENCY else given.at[-1:])),
            "",
        ]
        if objective == LATENCY and given.images:
            say("two processes")
            lines += ["### Two processes", "", *tried(ready, about, split, given.images, given.work), ""]
    return lines


def bands_of(split: SplitResult) -> list[str]:
    """Return a table of the bands of link speeds."""
    lines = ["| from Mbit/s | to | exits on the device | cut | sends |", "|---|---|---|---|---|"]
    for row in split.rows:
        high = "any" if row.high_bit_per_s is None else f"{1e-6 * row.high_bit_per_s:.4g}"
        exits = ", ".join(row.exits) or "none"
        lines.append(f"| {1e-6 * row.low_bit_per_s:.4g} | {high} | {exits} | {row.cut} | {row.sends} |")
    return lines


def say(line: str) -> None:
    """Print a line on what is done."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Print the page."""
    if sys.argv[1:2] == ["--proxy"]:
        listen, port, rate, rtt_s = sys.argv[2:6]
        with socket.create_server(("127.0.0.1", int(listen))) as listener:
            asyncio.run(SlowLink(int(port), float(rate), float(rtt_s)).serve(listener))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--device", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, default=Path("split-experiment"))
    parser.add_argument("--clock", type=float)
    parser.add_argument("--rtt", type=float, default=2e-3)
    parser.add_argument("--rates", nargs=2, type=float, default=[1e5, 1e8])
    parser.add_argument("--at", nargs="+", type=float, default=[2.5e5, 1e6, 4e6])
    parser.add_argument("--server-time", type=float)
    parser.add_argument("--max-drop", type=float)
    parser.add_argument("--radio", default="wifi")
    parser.add_argument("--data")
    parser.add_argument("--images", type=int, default=400, help="test images of two processes; 0: none")
    given = parser.parse_args()
    if given.device:
        device(given)
        return
    given.work.mkdir(parents=True, exist_ok=True)
    for folder in given.runs:
        print("\n".join(judge_run(folder, given)), flush=True)


if __name__ == "__main__":
    main()
