"""A run split between a device and a server: plans for all speeds of the link, and the files of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import Split
from eecompile.data.in_memory import ImageSource
from eecompile.exits.thresholds import Limit, Observed
from eecompile.run_files.samples import SplitSamples
from eecompile.runtime.split.records import Band
from eecompile.runtime.split.v2_client import Address, request_bytes
from eecompile.split import server_times
from eecompile.split.choosing import Plan, SplitQuestion, Terms, best_plan, exit_sets
from eecompile.split.device_costs import CutPlace, DeviceCosts, device_costs
from eecompile.split.envelope import best_lines, lower_envelope
from eecompile.split.figures import PlanFigures, plan_figures
from eecompile.split.link import SplitLink
from eecompile.split.offers import Behind, behind, offers_of
from eecompile.split.parts import CutParts, labels_of
from eecompile.split.plan_files import write_split
from eecompile.split.radios import Radio
from eecompile.split.reading import SplitRun, read_run
from passes.errors import NoSolutionError
from passes.progress import counting
from passes.shown_result import ShownResult
from passes.state import state_of


@dataclass(frozen=True)
class SplitAsked:
    """What is asked of a split.

    Attributes:
        rates: Slowest and fastest bit/s of the link.
        rtt_s: Seconds there and back.
        losses: Shares of segments that are lost; a table for each.
        objective: ``latency`` or ``energy``.
        max_drop: Points that may be lost; those of the run if ``None``.
        server_target: Target of the server; or
        server_time_s: seconds of the whole network there; measured on this machine if both are ``None``.
        radio: Of the device.
        idle_w: Its watts while it waits.
        clock_hz: Of a device without a clock.
        data: Where the images of the run lie now.
        out: Folder for ``device`` and ``server``.
    """

    rates: tuple[float, float]
    rtt_s: float
    losses: tuple[float, ...]
    objective: str
    max_drop: float | None
    server_target: str | None
    server_time_s: float | None
    radio: Radio
    idle_w: float
    clock_hz: float | None
    data: ImageSource | None
    out: Path


@dataclass(frozen=True)
class PlanRow:
    """A plan in a band of link speeds.

    Attributes:
        plan: Number of the plan in ``plans.json``.
        loss: Share of segments lost.
        low_bit_per_s: Slowest link for which it is the best; 0: however slow.
        high_bit_per_s: Fastest one; ``None``: however fast.
        exits: Early exits on the device.
        thresholds: Theirs.
        sends: What is sent, in words; empty: nothing.
        cut: Where; empty: nowhere.
        shown_bit_per_s: Speed of the figures: the geometric middle of the band within what was asked.
        val: Expected objective there on val, in s or J.
        test: What it comes to there on test.
    """

    plan: int
    loss: float
    low_bit_per_s: float
    high_bit_per_s: float | None
    exits: tuple[str, ...]
    thresholds: tuple[float, ...]
    sends: str
    cut: str
    shown_bit_per_s: float
    val: float
    test: PlanFigures


@dataclass(frozen=True, repr=False)
class SplitResult(ShownResult):
    """What splitting a run comes to.

    Attributes:
        run: Name of the run.
        target: Of the device.
        objective: ``latency`` or ``energy``.
        rates: Slowest and fastest bit/s that were asked for.
        rtt_s: Seconds there and back.
        max_drop: Points.
        server: How the server's time is known.
        radio: Name and source of the radio's power.
        rows: Bands, by loss and from slow to fast.
        plans: How many plans were written.
        offers: How many ways to send were compared.
        out: Folder of ``device`` and ``server``.
    """

    run: str
    target: str
    objective: str
    rates: tuple[float, float]
    rtt_s: float
    max_drop: float
    server: str
    radio: str
    rows: list[PlanRow]
    plans: int
    offers: int
    out: Path

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {"schema_version": 1, **asdict(self), "out": str(self.out)}

    def _words(self) -> str:
        ways = {row.cut or "all on the device" for row in self.rows}
        return f"{self.run} split for {self.objective}: {', '.join(sorted(ways))}; in {self.out}"

    def _rows(self) -> Sequence[dict[str, Any]]:
        return [
            {
                "loss": row.loss,
                "low_bit_per_s": row.low_bit_per_s,
                "high_bit_per_s": row.high_bit_per_s,
                "exits": ",".join(row.exits),
                "sends": row.sends,
                "latency_s": row.test.latency_s,
                "energy_j": row.test.energy_j,
                "accuracy": row.test.accuracy,
            }
            for row in self.rows
        ]

    def _axes(self) -> tuple[str, str]:
        return ("low_bit_per_s", "latency_s")


@dataclass(frozen=True)
class ReadySplit:
    """All that a split is chosen among, and what it is judged by.

    Attributes:
        run: The run.
        costs: Of the device.
        question: On val.
        parts: Both sides of a cut.
        server: How the server's time is known.
        limit: Of the drop.
    """

    run: SplitRun
    costs: DeviceCosts
    question: SplitQuestion
    parts: Callable[[CutPlace], CutParts]
    server: str
    limit: Limit


def split_run(folder: Path, asked: SplitAsked, progress: Callable[[str], None]) -> SplitResult:
    """Choose plans on val, judge them on test, and write both sides.

    Args:
        folder: A run directory.
        asked: What is asked.
        progress: Called with a line per step.

    Raises:
        InputError: No run with images, other images, a target without a clock.
        NoSolutionError: No plan keeps the accuracy.
    """
    return split_ready(prepare(folder, asked, progress), asked, progress)


def split_ready(ready: ReadySplit, asked: SplitAsked, progress: Callable[[str], None]) -> SplitResult:
    """Do what `split_run` does behind `prepare`."""
    tables = [(loss, plans_of(ready, asked, loss, progress)) for loss in asked.losses]
    # The last plan is always there: whatever the link does, the device can answer.
    alone = alone_plan(ready.question, terms_of(asked, asked.losses[0]))
    kept: dict[Plan, None] = {}
    bands: list[tuple[float, Plan, float, float]] = []
    for loss, plans in tables:
        lines = [alone, *(plan for plan in plans if plan != alone)]
        for piece in lower_envelope(lines):
            bands.append((loss, lines[piece.number], piece.low, piece.high))
            kept[lines[piece.number]] = None
    listed = [*(plan for plan in kept if plan != alone), alone]
    table = [Band(loss, low, high, listed.index(plan)) for loss, plan, low, high in bands]
    progress("answering test images")
    rows = _rows(ready, asked, listed, table)
    progress(f"writing {asked.out}")
    told = {"objective": asked.objective, "rtt_s": asked.rtt_s, "max_drop": ready.limit.max_drop}
    write_split(asked.out, ready.run, ready.costs, listed, ready.question.offers, table, told)
    return SplitResult(
        ready.run.folder.resolve().name, ready.run.summary.target, asked.objective, asked.rates, asked.rtt_s,
        ready.limit.max_drop, ready.server, f"{asked.radio.name}: {asked.radio.source}", rows, len(listed),
        len(ready.question.offers), asked.out,
    )  # fmt: skip


def prepare(folder: Path, asked: SplitAsked, progress: Callable[[str], None]) -> ReadySplit:
    """Read a run, fit codecs on its training images, and answer val behind each; raises as `split_run`."""
    progress(f"reading {folder}")
    run = read_run(folder, asked.data)
    costs = device_costs(folder, run.alone, run.summary, asked.clock_hz, _final_reads(run.graph))
    known: dict[str, CutParts] = {}

    def parts(place: CutPlace) -> CutParts:
        if place.tensor not in known:
            known[place.tensor] = CutParts.of(run.alone, place.tensor, run.symbolic)
        return known[place.tensor]

    server_s, words = _server(run, costs, parts, asked)
    progress("fitting what may be sent")
    with counting("cuts", len(costs.cuts)) as count:
        offers = offers_of(costs, parts, run.dataset.train, run.preprocess, server_s, lambda _: count.add())
    progress(f"answering val behind {len(offers)} ways to send")
    val = run.dataset.val
    with counting("images", len(val) * len(offers)) as count:
        found = behind(offers, parts, val, run.preprocess, count.add)
    most = run.summary.max_drop if asked.max_drop is None else asked.max_drop
    limit = Limit(most, run.summary.optimistic)
    question = SplitQuestion(
        costs, _seen(run, run.samples.val), run.samples.val.label.astype("int64"), offers, found, limit,
        exit_sets(state_of(run.graph).exits[:-1]), _alone_label(run, val),
    )  # fmt: skip
    return ReadySplit(run, costs, question, parts, words, limit)


def terms_of(asked: SplitAsked, loss: float) -> Terms:
    """Return what sending costs at a loss."""
    head = len(request_bytes(Address("000.000.000.000", 8000, "server"), b"", "00"))
    return Terms(SplitLink(asked.rtt_s, loss), asked.radio, asked.idle_w, head, asked.objective)


def plans_of(
    ready: ReadySplit,
    asked: SplitAsked,
    loss: float,
    progress: Callable[[str], None] = lambda _: None,
    offers: Sequence[int | None] | None = None,
) -> list[Plan]:
    """Return the plans that are best somewhere in the band of rates, at a loss.

    Raises:
        NoSolutionError: None keeps the accuracy.
    """
    terms = terms_of(asked, loss)
    slow, fast = (1 / rate for rate in asked.rates)

    def solve(bit_s: float) -> Plan:
        progress(f"choosing at {1e-6 / bit_s:.4g} Mbit/s, {100 * loss:g} % lost")
        found = best_plan(ready.question, terms, bit_s, offers)
        if found is None:
            raise _none(ready)
        return found

    return best_lines(solve, fast, slow)


def alone_plan(question: SplitQuestion, terms: Terms) -> Plan:
    """Return the best plan that sends nothing, whatever it loses if none keeps the limit."""
    found = best_plan(question, terms, 0.0, [None])
    if found is None:
        found = best_plan(replace(question, limit=Limit(100.0, True)), terms, 0.0, [None])
    assert found is not None
    return found


def _none(ready: ReadySplit) -> NoSolutionError:
    return NoSolutionError(
        f"no plan keeps {ready.limit}",
        "allow a larger `max_drop`",
    )


def _server(
    run: SplitRun, costs: DeviceCosts, parts: Callable[[CutPlace], CutParts], asked: SplitAsked
) -> tuple[server_times.ServerTime, str]:
    if asked.server_target is not None:
        seconds = server_times.scheduled(run.alone, run.alone_float, asked.server_target)
        return seconds, f"schedule on {asked.server_target}"
    if asked.server_time_s is not None:
        told = server_times.told(asked.server_time_s, costs)
        return told, f"{1e3 * asked.server_time_s:g} ms for the whole network, by MACs"
    return server_times.measured(parts), "measured here with onnxruntime, one thread"


def _final_reads(graph: gs.Graph) -> tuple[int, ...]:
    """Return the numbers of the early exits that the final one reads, directly or through others."""
    exits = state_of(graph).exits
    numbers = {item.name: number for number, item in enumerate(exits)}
    found, item = [], exits[-1]
    while item.reads:
        found.append(numbers[item.reads])
        item = exits[found[-1]]
    return tuple(reversed(found))


def _alone_label(run: SplitRun, split: Split) -> NDArray[np.int64] | None:
    """Return the answers of a final exit that takes over none; ``None`` where that is the run's own."""
    if run.alone is run.graph:
        return None
    parts = CutParts.of(run.alone, run.alone.inputs[0].name, run.symbolic)
    return labels_of(parts, split, run.preprocess)


def _seen(run: SplitRun, answers: SplitSamples) -> Observed:
    rules = tuple(item.confidence for item in state_of(run.graph).exits[:-1])
    return Observed(answers.confidence, answers.correct, rules, answers.static == answers.label)


def judged(
    ready: ReadySplit, asked: SplitAsked, plans: Sequence[Plan], loss: float, rates: Sequence[float]
) -> list[PlanFigures]:
    """Return what plans come to on test, each at a rate in bit/s, with offers really answered there."""
    question, run = ready.question, ready.run
    used = sorted({plan.offer for plan in plans if plan.offer is not None})
    with counting("images", len(run.dataset.test) * len(used)) as count:
        found = behind(
            [question.offers[n] for n in used], ready.parts, run.dataset.test, run.preprocess, count.add
        )
    on_test: dict[int | None, Behind] = dict(zip(used, found, strict=True))
    seen = _seen(run, run.samples.test)
    labels = run.samples.test.label.astype("int64")
    offers: dict[int, Behind] = {n: b for n, b in on_test.items() if n is not None}
    everywhere = [offers.get(n, question.behind[n]) for n in range(len(question.offers))]
    alone = _alone_label(run, run.dataset.test)
    tested = replace(question, seen=seen, labels=labels, behind=everywhere, alone_label=alone)
    terms = terms_of(asked, loss)
    return [
        plan_figures(
            plan, terms, ready.costs, None if plan.offer is None else question.offers[plan.offer],
            tested.observed(plan.exits, plan.offer), on_test.get(plan.offer), 1 / rate,
        )
        for plan, rate in zip(plans, rates, strict=True)
    ]  # fmt: skip


def _rows(
    ready: ReadySplit, asked: SplitAsked, plans: Sequence[Plan], bands: Sequence[Band]
) -> list[PlanRow]:
    names = [item.name for item in state_of(ready.run.graph).exits]
    slow, fast = asked.rates
    rows = []
    for loss in asked.losses:
        shown = []
        for band in reversed([band for band in bands if band.loss == loss]):
            low, high = 1 / band.high_bit_s, math.inf if band.low_bit_s == 0 else 1 / band.low_bit_s
            begin, end = max(low, slow), min(high, fast)
            if begin < end or (slow == fast and low <= slow <= high):
                shown.append((band, low, high, math.sqrt(begin * end)))
        figures = judged(ready, asked, [plans[b.plan] for b, *_ in shown], loss, [r for *_, r in shown])
        for (band, low, high, rate), test in zip(shown, figures, strict=True):
            plan = plans[band.plan]
            offer = None if plan.offer is None else ready.question.offers[plan.offer]
            rows.append(
                PlanRow(
                    band.plan,
                    loss,
                    low,
                    None if math.isinf(high) else high,
                    tuple(names[k] for k in plan.exits),
                    plan.thresholds,
                    "" if offer is None else offer.codec.words,
                    "" if offer is None else offer.place.name,
                    rate,
                    plan.fixed + plan.slope / rate,
                    test,
                )
            )
    return rows
