"""What serving under load comes to, for whoever asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from eecompile.serving.batches.batching import way_told
from eecompile.serving.batches.gain import BatchCost
from eecompile.serving.figures import Interval
from eecompile.serving.shown.detail import ServingDetail
from passes.shown_result import ShownResult


@dataclass(frozen=True)
class ServedRow:
    """A policy: means over seeds with 95 % intervals.

    Attributes:
        form: ``static`` or ``exits``: without and with early exits; ``floor``: with exits whose thresholds
            give way under overload; ``adapt``: whose thresholds follow what images have become.
        policy: Its name.
        batch: How requests ran together, as `Batching` writes it.
        figures: Of `ServingFigures`: latencies in seconds, energy in joules per request.
        streams: The same of the requests of each stream, as far as a stream has them.
        capacity: Highest rate, requests per second, at which at most 1 % are late of each stream;
            ``None`` if not asked for.
        rungs: Share of time in which each rung of the ladders held; empty where thresholds do not give way.
        cores: Share of time in which each core, link and port was in use, by its name; empty where stages do
            not run beside each other.
    """

    form: str
    policy: str
    batch: str
    figures: dict[str, Interval]
    streams: list[dict[str, Interval]]
    capacity: Interval | None
    rungs: list[Interval] = field(default_factory=list)
    cores: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class ServedRung:
    """Thresholds of a network that give way.

    Attributes:
        network: Its name.
        thresholds: One per early exit.
        accuracy_val: Share of right answers on val.
        bounded_val: What of it is promised, as `run` bounds the drop.
        expected_s: Seconds of an image alone, mean of val.
    """

    network: str
    thresholds: list[float]
    accuracy_val: float
    bounded_val: float
    expected_s: float


@dataclass(frozen=True)
class ServedStream:
    """A stream that was served.

    Attributes:
        name: Of it.
        network: Name of its network.
        rate: Requests per second on average.
        slo_s: Seconds from arrival to deadline.
        priority: Of its requests.
    """

    name: str
    network: str
    rate: float
    slo_s: float
    priority: float


@dataclass(frozen=True, repr=False)
class SimulationResult(ShownResult):
    """What serving comes to.

    Attributes:
        networks: Names of the runs.
        streams: Who asks them.
        rate: Requests per second that arrive on average, of all streams.
        static_load: Share of time in which the static networks alone would work.
        bound: Mean service time of static over that of early exits: how many times the rate of static
            they can serve at most, in whatever order, one by one.
        batch_bound: The same where each stage runs in the batches that cost least per image.
        core_bound: How many times the rate of static, one by one, exits can serve at most where stages run
            beside each other and in batches: the busiest core, link or port is always in use then; ``None``:
            they run one at a time.
        busiest: Name of that core, link or port.
        batch_costs: What an image takes in batches of each network; empty where none were asked for.
        requests: Of each seed, on average.
        seeds: The seeds.
        rows: Static first.
        notes: What is known of the memories that networks share.
        detail: What a page shows beside, where one was asked for.
        ladders: Rungs of each network, those of the run first; empty where thresholds do not give way.
    """

    networks: list[str]
    streams: list[ServedStream]
    rate: float
    static_load: float
    bound: float
    batch_bound: float
    batch_costs: list[BatchCost]
    requests: int
    seeds: list[int]
    rows: list[ServedRow]
    notes: list[str]
    detail: ServingDetail | None = None
    ladders: list[list[ServedRung]] = field(default_factory=list)
    core_bound: float | None = None
    busiest: str | None = None

    @property
    def cores(self) -> list[str]:
        """Names of cores, links and ports, first those that come near the busiest of any way to serve."""
        most: dict[str, float] = {}
        for row in self.rows:
            busiest = max((share.mean for share in row.cores.values()), default=0.0) or 1.0
            for name, share in row.cores.items():
                most[name] = max(most.get(name, 0.0), share.mean / busiest)
        return sorted(most, key=lambda name: (-most[name], name))

    def to_json(self) -> dict[str, Any]:
        """Return all of it; intervals are ``[mean, low, high]``."""
        document = asdict(self)
        for row, found in zip(document["rows"], self.rows, strict=True):
            row["figures"] = {name: _three(value) for name, value in found.figures.items()}
            row["streams"] = [{name: _three(value) for name, value in of.items()} for of in found.streams]
            row["cores"] = {name: _three(value) for name, value in found.cores.items()}
            row["rungs"] = [_three(value) for value in found.rungs]
            row["capacity"] = None if found.capacity is None else _three(found.capacity)
        return {"schema_version": 1, **document}

    def _words(self) -> str:
        best = min(self.rows, key=lambda row: row.figures["missed"].mean)
        return (
            f"{', '.join(self.networks)} at {self.rate:.4g} requests/s: fewest late by {best.form}, "
            f"{way_told(best.policy, best.batch)}: "
            f"{100 * best.figures['missed'].mean:.2f} %, p99 {1e3 * best.figures['p99_s'].mean:.4g} ms"
        )

    def _rows(self) -> Sequence[dict[str, Any]]:
        return [
            {"form": row.form, "policy": row.policy, "batch": row.batch}
            | {name: value.mean for name, value in row.figures.items()}
            | {"capacity": None if row.capacity is None else row.capacity.mean}
            for row in self.rows
        ]

    def _axes(self) -> tuple[str, str]:
        return ("policy", "p99_s")


def _three(value: Interval) -> list[float | None]:
    return [value.mean, value.low, value.high]
