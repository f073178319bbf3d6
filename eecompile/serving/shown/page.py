"""A page about runs under load that asks for nothing outside itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eecompile.report.charts import PALETTE_SIZE, Part, stacked
from eecompile.report.pages import page_templates
from eecompile.serving.batches.batching import known_sizes
from eecompile.serving.shown.curves import load_chart, tail_chart, window_gantt
from eecompile.serving.shown.detail import ServingDetail

# Of cores, links and ports, the busiest are shown.
MOST_CORES = 8


def page(document: Mapping[str, Any], detail: ServingDetail, cores: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        document: What `simulate --json` answers.
        detail: What was looked at beside it.
        cores: Names of cores, links and ports in the order in which they are shown.
    """
    return (
        page_templates("eecompile.serving.shown")
        .get_template("page.html.j2")
        .render(
            run={"schedule": None},  # the style sheet of the report asks for it
            found=document,
            seed=detail.seed,
            spread=spread,
            names=[str(row) for row in detail.rows],
            sizes=_sizes(document["batch_costs"]),
            cores=cores[:MOST_CORES],
            colours=[f"c{number % PALETTE_SIZE}" for number in range(len(document["rows"]))],
            tail=tail_chart(detail, [one["slo_s"] for one in document["streams"]]),
            load=load_chart(detail),
            exits=_exits(detail, document["networks"]),
            rungs=_rungs(document["rows"], detail),
            window=window_gantt(detail, document["networks"]),
        )
    )


def spread(value: Sequence[float | None], scale: float = 1.0) -> str:
    """Return a mean and half of its interval, by four and by three digits."""
    mean, _, high = value
    assert mean is not None
    text = f"{scale * mean:.4g}"
    return text if high is None else f"{text} ± {scale * (high - mean):.3g}"


def _sizes(costs: Sequence[Mapping[str, Any]]) -> Sequence[int]:
    """Return the batches whose costs are shown."""
    return known_sizes(len(costs[0]["image_s"][0])) if costs else []


def _exits(detail: ServingDetail, networks: Sequence[str]) -> list[tuple[str, tuple[Part, ...]]]:
    """Return the bars of where requests leave: of the last way of each form that has exits."""
    last = {row.form: row for row in detail.rows if row.form != "static"}
    return [
        (
            name if len(last) == 1 else f"{name}: {row}",
            _bar(shares, "exit"),
        )
        for row in last.values()
        for name, shares in zip(networks, row.exits, strict=True)
    ]


def _rungs(rows: Sequence[Mapping[str, Any]], detail: ServingDetail) -> list[tuple[str, tuple[Part, ...]]]:
    """Return the bar of the time at each rung, where thresholds gave way."""
    return [
        (str(way), _bar([share[0] for share in row["rungs"]], "rung"))
        for row, way in zip(rows, detail.rows, strict=True)
        if row.get("rungs")
    ]


def _bar(shares: Sequence[float], what: str) -> tuple[Part, ...]:
    values = {
        f"{what} {number}": (share, f"c{number % PALETTE_SIZE}", f"{100 * share:.1f} %")
        for number, share in enumerate(shares)
    }
    return stacked(values, 1.0)
