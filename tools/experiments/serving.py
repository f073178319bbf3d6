"""What exits, and knowing what confidences tell, are worth under load.

    python -m tools.experiments.serving RUN [RUN …] [--clock 200e6] [--slo 5] [--loads .5 .7 .9 1 1.2 1.6]
        [--requests 100000] [--seeds 5] [--batch fluid:8] [--overlap] [--near .8 .9 .95 1]

Each RUN is a directory of `eecompile run` with images. Requests are Poisson; a load is the share of time in
which the network *without* exits would work. A request is due `--slo` times the latency of the static network
after it came. Printed are, for each run, the bound T_static / E[T]; the highest rate at which at most 1 % are
late, in units of that of static, first come, first served; and for each load the share that is late, how many
times as many are late first come, first served as by ours, the mean latency, and how much of the gain of
`srpt` over first come, first served ours has. With `--near`, instead of all that: what is late where the work
*with* exits takes these shares of the time. With `--overlap` alone: capacities where stages run beside each
other, one image each and in the batches that are named, beside those one stage at a time. Means over seeds,
95 % intervals of Student's t.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from eecompile.serving.arrivals import Poisson
from eecompile.serving.batches.batching import batchings_of
from eecompile.serving.figures import Interval
from eecompile.serving.result import ServedRow
from eecompile.serving.served_network import networks_of
from eecompile.serving.simulation import simulate_load
from eecompile.serving.streams import RequestStream, ServingLoad

POLICIES = ("fifo", "edf", "sjf", "slack", "remaining", "srpt", "oracle")


def spread(value: Interval, scale: float, digits: str) -> str:
    """Return mean and half of the interval."""
    mean = format(value.mean * scale, digits)
    return mean if value.high is None else f"{mean} ± {format((value.high - value.mean) * scale, digits)}"


def mean_of(rows: dict[str, ServedRow], policy: str, figure: str) -> float:
    """Return the mean of a figure of a policy."""
    return rows[policy].figures[figure].mean


def tell(run: Path, given: argparse.Namespace) -> None:
    """Print the tables of a run."""
    served = networks_of(run, given.clock)
    alone = float(served[1].service.alone_s[-1])

    def load(rate: float, requests: int) -> ServingLoad:
        asked = RequestStream(run.name, 0, Poisson(rate), given.slo * alone)
        return ServingLoad([asked], requests, range(given.seeds))

    found = simulate_load([served], load(0.5 / alone, given.requests), POLICIES, True, None, lambda _: None)
    capacities = [row.capacity for row in found.rows if row.capacity is not None]
    print(f"\n## {run.name}: static takes {1e3 * alone:.4g} ms, due after {1e3 * given.slo * alone:.4g} ms")
    print(
        f"bound T_static / E[T] = {found.bound:.3f}: at most {found.bound / alone:.5g} requests/s; "
        f"static serves {capacities[0].mean:.4g}\n"
    )
    print("| policy | capacity, requests/s | of static | of bound x static |\n|---|---|---|---|")
    for row, most in zip(found.rows, capacities, strict=True):
        ratio = most.mean / capacities[0].mean
        share = "" if row is found.rows[0] else f"{100 * ratio / found.bound:.1f} %"
        print(f"| {row.form}, {row.policy} | {spread(most, 1, '.5g')} | {ratio:.2f} | {share} |")
    print("\n| load | late, static % | " + " | ".join(f"{p} %" for p in POLICIES), end="")
    print(" | fifo / ours | mean ms, fifo, ours, srpt | of srpt's gain |")
    print("|" + "---|" * (len(POLICIES) + 5))
    for part in given.loads:
        found = simulate_load(
            [served], load(part / alone, given.requests), POLICIES, False, None, lambda _: None
        )
        rows = {row.policy: row for row in found.rows[1:]}
        late = [spread(row.figures["missed"], 100, ".3f") for row in found.rows]
        first, ours, best = (mean_of(rows, name, "mean_s") for name in ("fifo", "remaining", "srpt"))
        few = mean_of(rows, "remaining", "missed")
        times = "" if few == 0 else f"{mean_of(rows, 'fifo', 'missed') / few:.1f}"
        gain = "" if first == best else f"{100 * (first - ours) / (first - best):.0f} %"
        means = ", ".join(f"{1e3 * value:.4g}" for value in (first, ours, best))
        print(f"| {part:g} | {' | '.join(late)} | {times} | {means} | {gain} |", flush=True)


def tell_batches(run: Path, given: argparse.Namespace) -> None:
    """Print what batches cost and are worth on a run."""
    batchings = batchings_of(f"none,{given.batch}")
    served = networks_of(run, given.clock, None, max(one.size for one in batchings), print)
    alone = float(served[1].service.alone_s[-1])
    asked = RequestStream(run.name, 0, Poisson(0.5 / alone), given.slo * alone)
    load = ServingLoad([asked], given.requests, range(given.seeds))
    found = simulate_load([served], load, ("fifo", "remaining"), True, None, lambda _: None, batchings)
    bounds = [f"{one:.3f} ({one / alone:.5g} requests/s)" for one in (found.bound, found.batch_bound)]
    print(f"\n## {run.name}: bound {bounds[0]}, in batches {bounds[1]}\n")
    for cost in found.batch_costs:
        for stage, seconds in enumerate(cost.image_s):
            each = ", ".join(f"{1e3 * one:.4g}" for one in seconds)
            print(f"* {cost.form}, stage {stage}, ms per image of a batch of 1, 2, …: {each}")
    static = found.rows[0].capacity
    assert static is not None
    print(
        "\n| policy | batch | capacity, requests/s | of static | of bound x static |\n|---|---|---|---|---|"
    )
    for row in found.rows:
        assert row.capacity is not None
        ratio = row.capacity.mean / static.mean
        bound = found.bound if row.batch == "none" else found.batch_bound
        share = "" if row.form == "static" else f"{100 * ratio / bound:.1f} %"
        most = spread(row.capacity, 1, ".5g")
        print(f"| {row.form}, {row.policy} | {row.batch} | {most} | {ratio:.2f} | {share} |")


def tell_overlap(run: Path, given: argparse.Namespace) -> None:
    """Print what a run serves where stages run beside each other."""
    batchings = batchings_of("none" if given.batch is None else f"none,{given.batch}")
    served = networks_of(run, given.clock, None, max(one.size for one in batchings), print, overlap=True)
    alone = float(served[1].service.alone_s[-1])
    asked = RequestStream(run.name, 0, Poisson(0.5 / alone), given.slo * alone)
    load = ServingLoad([asked], given.requests, range(given.seeds))
    names = ("fifo", "remaining", "oracle")
    one, beside = (
        simulate_load([served], at, names, True, None, lambda _: None, batchings)
        for at in (load, replace(load, overlap=True))
    )
    print(
        f"\n## {run.name}: bound {one.bound:.3f}, in batches {one.batch_bound:.3f}, "
        f"by the busiest core {beside.core_bound:.3f}\n"
    )
    static = one.rows[0].capacity
    assert static is not None
    print("| policy | batch | one at a time, requests/s | of static | beside each other | of static | gain |")
    print("|---|---|---|---|---|---|---|")
    for row, other in zip(one.rows, beside.rows, strict=True):
        assert row.capacity is not None and other.capacity is not None
        cells = [
            f"{spread(at, 1, '.5g')} | {at.mean / static.mean:.2f}" for at in (row.capacity, other.capacity)
        ]
        gain = other.capacity.mean / row.capacity.mean
        print(f"| {row.form}, {row.policy} | {row.batch} | {' | '.join(cells)} | {gain:.2f} |", flush=True)
    for name in beside.cores[:4]:
        told = ", ".join(f"{100 * row.cores[name].mean:.3g}" for row in beside.rows if name in row.cores)
        print(f"* at half of static's load `{name}` is in use {told} % of the time")


def tell_near(run: Path, given: argparse.Namespace) -> None:
    """Print what is late near the capacity of exits."""
    served = networks_of(run, given.clock)
    alone, exits = float(served[1].service.alone_s[-1]), served[0]
    mean = float(exits.service.alone_s[exits.leaves].mean())
    print(f"\n## {run.name}: bound T_static / E[T] = {alone / mean:.3f}\n")
    print("| work with exits | of static | fifo % | remaining % | oracle % | fifo / ours |")
    print("|---|---|---|---|---|---|")
    for part in given.near:
        asked = RequestStream(run.name, 0, Poisson(part / mean), given.slo * alone)
        load = ServingLoad([asked], given.requests, range(given.seeds))
        names = ("fifo", "remaining", "oracle")
        found = simulate_load([served], load, names, False, None, lambda _: None)
        late = [row.figures["missed"] for row in found.rows[1:]]
        times = "" if late[1].mean == 0 else f"{late[0].mean / late[1].mean:.1f}"
        cells = " | ".join(spread(one, 100, ".3f") for one in late)
        print(f"| {part:g} | {part * alone / mean:.2f} | {cells} | {times} |", flush=True)


def main() -> None:
    """Print the tables of all runs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--clock", type=float, help="Hz, of targets without a clock")
    parser.add_argument("--slo", type=float, default=5.0)
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 0.7, 0.9, 1.0, 1.2, 1.6])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch", help="ways to batch, as of `simulate`")
    parser.add_argument("--overlap", action="store_true", help="stages run beside each other")
    parser.add_argument("--near", type=float, nargs="+", help="shares of time that the work with exits takes")
    given = parser.parse_args()
    for run in given.runs:
        if given.near:
            tell_near(run, given)
            continue
        if given.overlap:
            tell_overlap(run, given)
            continue
        if given.batch is not None:
            tell_batches(run, given)
        tell(run, given)


if __name__ == "__main__":
    main()
