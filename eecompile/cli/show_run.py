"""What each verb prints when nobody asked for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from eecompile.cli.terminal import bullets, line, table
from eecompile.wording import by_form, error_bars, headline, measured, quantities

if TYPE_CHECKING:  # a verb loads only what it works with
    from eecompile.exits.removed import RemovedExit
    from eecompile.run.main import RunResult
    from eecompile.run_files.summary import Costs, SavingInterval, Summary
    from eecompile.verbs.report import WrittenReport
    from eecompile.verbs.work.doctor import Diagnosis
    from eecompile.verbs.work.export import ExportResult
    from eecompile.verbs.work.export_models import ServableResult
    from eecompile.verbs.work.listing import PassList
    from eecompile.verbs.work.optimize import OptResult
    from passes.state import Decline

SHOWN_DECLINES = 12


def run_result(out: Console, result: RunResult) -> None:
    """Print the headline, the exits and where the files are."""
    summary = result.summary
    line(out, headline.headline(summary))
    if summary.study is not None:
        line(out, headline.from_study(summary))
    out.print()
    _exits(out, summary)
    for sentence in error_bars.of_run(summary):
        line(out, sentence)
    if summary.proxies:
        line(out, headline.by_macs(summary))
    if summary.guarantee is not None:
        line(out, headline.promise(summary.guarantee))
    out.print()
    _points(out, summary)
    _spread(out, summary)
    _forms(out, summary)
    bullets(
        out,
        "Exits that are not in the files",
        ((_candidate(e), e.reason) for e in summary.removed_exits),
    )
    bullets(out, "Warnings", (("", text) for text in summary.warnings))
    if said := measured.sentence(result.info.get("measured")):
        line(out, said)
    line(out, f"Files: {result.out}")
    line(out, f"Report: {result.out / 'report.html'}")


def _points(out: Console, summary: Summary) -> None:
    """Print the deepest path at every operating point, where there are several."""
    if len(summary.operating_points) < 2:
        return
    rows = [
        (
            f"{found.name} (shown)" if found.name == summary.point else found.name,
            quantities.quantity(found.clock_hz, "Hz"),
            quantities.quantity(found.total.latency_s, "s"),
            quantities.energy(found.total.energy_pj),
            quantities.quantity(found.total.edp_js, "J·s"),
        )
        for found in summary.operating_points
    ]
    columns = ("operating point", "clock", "latency", "energy", "EDP")
    table(out, "Operating points: the deepest path at each", columns, rows, columns[1:])


def _spread(out: Console, summary: Summary) -> None:
    """Print what is saved at least and at most by other models of the chip, by why they differ."""
    if summary.saving is None or not summary.saving_causes:
        return
    rows = [
        (cause.cause, ", ".join(row.name for row in cause.alternatives), *_saved(cause.interval))
        for cause in summary.saving_causes
    ]
    rows.append(("all", "", *_saved(summary.saving_interval)))
    headings = ("cause", "models", "EDP saved", "energy saved", "latency saved")
    title = "Savings by other models of the chip, in %"
    table(out, title, headings, rows, headings[2:], bold_last=1)
    failed = (row for cause in summary.saving_causes for row in cause.alternatives if row.reason)
    bullets(out, "Models that cannot cost the network", ((row.name, str(row.reason)) for row in failed))


def _forms(out: Console, summary: Summary) -> None:
    """Print what quantization does to each exit on test images."""
    if summary.quantization is None:
        return
    found = summary.quantization
    title = f"Quantized by {by_form.quantized(found)}; all test images, thresholds of the files"
    table(out, title, by_form.HEADINGS, by_form.cells(found, "test"), by_form.HEADINGS[2:])


def _saved(found: SavingInterval | None) -> tuple[str, str, str]:
    if found is None:
        return (quantities.ABSENT,) * 3
    edp, energy, latency = (quantities.interval(s, 100) for s in (found.edp, found.energy, found.latency))
    return edp, energy, latency


def _candidate(removed: RemovedExit) -> str:
    return quantities.shortened(removed.name, 40)


def _exits(out: Console, summary: Summary) -> None:
    static = summary.static

    def costs(row: Costs) -> tuple[str, ...]:
        share = quantities.percent(quantities.ratio(row.edp_j_cycles, static.edp_j_cycles), 0)
        return (quantities.quantity(row.macs), *headline.with_bars(row), share)

    columns = ["exit", "mount", "MACs", "latency", "energy", "EDP"]
    rows = [(e.name, quantities.shortened(e.mount_name or e.mount, 20), *costs(e)) for e in summary.exits]
    if summary.expected is None:
        rows.append(("static", "", *costs(static)))
        table(out, "Exits (EDP as a share of static)", columns, rows, columns[2:], bold_last=1)
        return
    columns += ["ratio", "accuracy"]
    rows = [
        (*row, quantities.percent(e.ratio, 0), quantities.percent(e.accuracy))
        for row, e in zip(rows, summary.exits, strict=True)
    ]
    rows.append(
        ("expected", "", *costs(summary.expected), "100 %", quantities.percent(summary.expected.accuracy))
    )
    others = [("static" if summary.pruned is None else "static, as given", static)]
    if summary.static_trained is not None:
        others.append(("static, trained", summary.static_trained))
    if summary.pruned is not None:
        others.append(("static, pruned", summary.pruned))
    for name, row in others:
        rows.append((name, "", *costs(row), "", quantities.percent(row.accuracy_quant)))
    title = "Exits (EDP as a share of static; accuracy of the images that leave there"
    title += "; expected with speculation)" if summary.expected.speculation else ")"
    table(out, title, columns, rows, columns[2:], bold_last=1 + len(others))


def optimized(out: Console, result: OptResult) -> None:
    """Print one row per pass, what was declined and what was written."""
    verified = any(step.check is not None for step in result.steps)
    columns = ["pass", "changed", "nodes", "ms"] + (["outputs", "max diff", "SQNR"] if verified else [])
    rows = []
    for step in result.steps:
        nodes = f"{step.nodes_before} → {step.nodes_after}"
        row = [step.text, "yes" if step.changed else "no", nodes, f"{step.seconds * 1e3:.1f}"]
        if step.check is not None:
            difference, sqnr = step.check.max_difference, step.check.sqnr_db
            row.append(step.check.verdict)
            row.append(quantities.ABSENT if difference is None else f"{difference:.2g}")
            row.append(quantities.ABSENT if sqnr is None else f"{sqnr:.1f} dB")
        rows.append(row)
    table(out, "Passes", columns, rows, ("nodes", "ms", "max diff", "SQNR"))
    _declined(out, result.declined)
    bullets(out, "Notes", (("", note) for note in result.notes))
    if result.stages:
        line(out, f"Stages: {result.stages[0].parent} ({len(result.stages)} files)")
    if result.out is not None:
        line(out, f"Written: {result.out}")


def _declined(out: Console, declined: tuple[Decline, ...]) -> None:
    shown = declined[:SHOWN_DECLINES]
    rows = [(d.pass_name, quantities.shortened(d.subject), d.reason) for d in shown]
    more = f" ({len(shown)} of {len(declined)}; all with --json)" if len(declined) > len(shown) else ""
    table(out, f"Left alone, and why{more}", ("pass", "node or tensor", "reason"), rows)


def written_report(out: Console, answer: WrittenReport) -> None:
    """Print where the report is, and its tables and plots."""
    line(out, f"Report: {answer.report}")
    if answer.exported:
        line(out, f"Exported: {len(answer.exported)} files in {answer.exported[0].parent}")


def exported(out: Console, result: ExportResult) -> None:
    """Print what was written, where, and what it takes."""
    line(out, f"{result.folder}: {', '.join(result.files)}")
    line(out, f"Exits {', '.join(result.exits)}; rounding {result.rounding}")
    line(
        out,
        f"{result.constant_bytes} bytes of constants, {result.buffer_bytes} bytes of buffers, no allocation",
    )


def servable(out: Console, result: ServableResult) -> None:
    """Print what was written, where, and what clients call it."""
    line(out, f"{result.folder}: {', '.join(result.files)}")
    line(out, f"Model '{result.model}', exits {', '.join(result.exits)}")


def pass_list(out: Console, result: PassList) -> None:
    """Print all passes with their options, or one with its rules."""
    if not result.detailed:
        rows = [(p.name, p.summary, ", ".join(o.name for o in p.options)) for p in result.passes]
        table(out, "Passes, in the order they usually run", ("pass", "what it does", "options"), rows)
        line(out, "`eecompile passes NAME` lists the rules of one.")
        return
    entry = result.passes[0]
    line(out, entry.name, "bold")
    line(out, entry.summary)
    out.print()
    bullets(out, "Rules", ((f"{number}", rule) for number, rule in enumerate(entry.rules, start=1)))
    if entry.notes:
        line(out, entry.notes)
        out.print()
    rows = [(o.name, o.type, o.default) for o in entry.options]
    table(out, "Options", ("option", "type", "default"), rows)


def diagnosis(out: Console, result: Diagnosis) -> None:
    """Print one row per finding, and what to do about those that are not ok."""
    rows = [(f.status, f.name, f.detail) for f in result.findings]
    table(out, "This machine", ("", "what", "found"), rows)
    bullets(out, "What to do", ((f.name, f.fix) for f in result.findings if f.fix))
    line(out, "Ready." if result.healthy else "The main job cannot run here.")
