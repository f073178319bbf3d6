"""What `compare` prints when nobody asked for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from eecompile.cli.comparison.units import change_text, plus, value_text
from eecompile.cli.terminal import bullets, line, table
from eecompile.wording import quantities

if TYPE_CHECKING:  # a verb loads only what it works with
    from eecompile.exits.statistics import PairedChange
    from eecompile.verbs.work.compare import ComparedFigure, Comparison
    from eecompile.verbs.work.gates import GateResult
    from eecompile.verbs.work.paired_runs import PairedRun

STYLES = {"better": "green", "worse": "red", "unclear": "yellow"}
UNCLEAR = (
    "unclear: not told apart, by a paired test on the same images (accuracies) or because each figure lies "
    "in the interval around the other. Errors that runs have in common cancel in savings."
)


def comparison(out: Console, result: Comparison, every_key: bool = False) -> None:
    """Print the runs, what makes them hard to compare, the figures that matter, and the gates.

    Args:
        out: Where to.
        result: What was compared.
        every_key: Print each figure that any run has.
    """
    for name, run, label in zip(result.letters, result.runs, result.labels, strict=True):
        line(out, f"{name}  {run}: {label}{' (baseline)' if name == 'A' else ''}", "bold")
    out.print()
    bullets(out, "Compare with care", (("", note) for note in result.notes))
    shown = [figure for figure in result.figures if every_key or figure.name]
    columns = ["figure", "A"]
    for name in result.letters[1:]:
        columns += [name, f"{name} to A"]
    rows = [_row(figure, every_key) for figure in shown]
    title = "Every figure" if every_key else "The figures that matter"
    changes = columns[3::2]
    table(out, title, columns, rows, columns[1:], style=_style, beside=changes)
    differ = sum(figure.differs for figure in result.figures)
    more = "" if every_key else "; all with `all_figures`"
    line(out, f"{differ} of {len(result.figures)} figures differ{more}.")
    if any(verdict == "unclear" for figure in shown for verdict in figure.verdicts):
        line(out, UNCLEAR)
    out.print()
    pairs = [row for pair in result.paired for row in _paired(pair)]
    title = "Accuracies image by image, on the same test images (McNemar's exact test)"
    columns = ["pair", "exits", "images", "change in points", "gained", "lost", "p", "verdict"]
    table(out, title, columns, pairs, columns[2:-1], style=_style)
    if len([pair for pair in result.paired if pair.with_exits is not None]) > 1:
        line(out, "Each p-value is of one pair alone: of 20 runs that are alike, one will look different.")
    told = [("violated" if r.violated else "passed", gate_line(r)) for r in result.gates]
    if told:
        out.print()
    bullets(out, "Gates", told)


def _row(figure: ComparedFigure, every_key: bool) -> list[str]:
    from eecompile.verbs.work.compared_figures import kind_of

    unit = kind_of(figure.key).unit
    cells = [figure.key if every_key else figure.name, value_text(unit, figure.values[0])]
    for number, verdict in enumerate(figure.verdicts, start=1):
        found = figure.difference(number)
        change = quantities.ABSENT if found is None else change_text(unit, found)
        cells += [value_text(unit, figure.values[number]), f"{change} {verdict}".rstrip()]
    return cells


def _style(cell: str) -> str:
    return STYLES.get(cell.rpartition(" ")[2], "")


def _paired(pair: PairedRun) -> list[tuple[str, ...]]:
    """Return what the images say that both runs answered, a row for each network."""
    return [
        (
            f"{pair.run} to A",
            name,
            f"{pair.images:,}",
            f"{plus(change.points, 2)} {quantities.interval((change.lo95, change.hi95), places=2)}",
            str(change.gained),
            str(change.lost),
            f"{change.p_value:.2g}",
            _verdict(change),
        )
        for name, change in (("with", pair.with_exits), ("without", pair.without_exits))
        if change is not None
    ]


def _verdict(change: PairedChange) -> str:
    from eecompile.verbs.work.paired_runs import CLEAR

    if change.gained == change.lost == 0:
        return "same"
    if change.p_value >= CLEAR:
        return "unclear"
    return "better" if change.points > 0 else "worse"


def gate_line(result: GateResult) -> str:
    """Return a gate and the numbers it was held against, on one line."""
    found = result.difference
    relative = quantities.ABSENT if found.relative is None else f"{found.relative * 100:+.2f} %"
    numbers = f"{found.a:.6g} → {found.b:.6g} (change {found.change:+.4g}, {relative})"
    return f"{result.run}: {result.gate.text}: {numbers}"
