"""What `split` prints when nobody asked for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from eecompile.cli.terminal import line, table

if TYPE_CHECKING:  # a verb loads only what it works with
    from eecompile.split.splitting import PlanRow, SplitResult


def split_plans(out: Console, found: SplitResult) -> None:
    """Print a row for each band of link speeds, then where all lies."""
    slow, fast = (_rate(rate) for rate in found.rates)
    band = slow if found.rates[0] == found.rates[1] else f"{slow} to {fast}"
    line(
        out,
        f"{found.run} on {found.target}: least {found.objective}, {band}, round trip "
        f"{1e3 * found.rtt_s:.4g} ms, at most {found.max_drop:g} points lost; {found.offers} ways to send",
    )
    line(out, f"Server: {found.server}. Radio {found.radio}")
    lossy = len({row.loss for row in found.rows}) > 1
    columns = (
        "link", "leaves at", "sends", "ms", "p99 ms", "mJ", "sent %", "bytes", "entropy", "right %", "drop",
    )  # fmt: skip
    rows = [_cells(row, lossy) for row in found.rows]
    images = found.rows[0].test.images if found.rows else 0
    shown = ", ".join(_rate(row.shown_bit_per_s) for row in found.rows)
    table(
        out,
        f"The best plan by speed of the link, chosen on val; figures of {images} test images at {shown}",
        columns,
        rows,
        columns[3:],
    )
    line(out, f"Written to {found.out}: device/ ({found.plans} plans) and server/")


def _cells(row: PlanRow, lossy: bool) -> tuple[str, ...]:
    test = row.test
    leaves = [f"{name} {100 * share:.0f} %" for name, share in zip(row.exits, test.leaves, strict=False)]
    drop = test.drop
    return (
        (f"{100 * row.loss:g} % lost, " if lossy else "") + _band(row),
        ", ".join(leaves) or "no exit",
        f"{row.cut}: {row.sends}" if row.cut else "nothing",
        f"{1e3 * test.latency_s:.4g}",
        f"{1e3 * test.p99_s:.4g}",
        f"{1e3 * test.energy_j:.3g}",
        f"{100 * test.sent:.0f}",
        f"{test.payload_bytes:.0f}" if test.sent else "",
        "" if test.entropy_bytes is None else f"{test.entropy_bytes:.0f}",
        f"{100 * test.accuracy:.1f}",
        f"{drop.points:.1f} [{drop.lo95:.1f}, {drop.hi95:.1f}]",
    )


def _band(row: PlanRow) -> str:
    low, high = row.low_bit_per_s, row.high_bit_per_s
    if high is None:
        return f"from {_rate(low)}" if low else "any speed"
    return f"{1e-6 * low:.4g} to {_rate(high)}" if low else f"up to {_rate(high)}"


def _rate(bit_per_s: float) -> str:
    return f"{1e-6 * bit_per_s:.4g} Mbit/s"
