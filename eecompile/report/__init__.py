"""``report.html``: one self-contained page about a run, made from the files of its directory."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from eecompile.report import (
    answers,
    charts,
    explore,
    gantt,
    images,
    provenance,
    pruned,
    training_curves,
    usage,
)
from eecompile.report.findings import average, costliest, idle_cores, paying_back
from eecompile.report.pages import page_environment
from eecompile.report.reading import RunFiles, read_run
from eecompile.wording import by_form, error_bars, headline, measured, quantities

__all__ = ["render", "write"]

REPORT_NAME = "report.html"


def render(run_dir: Path) -> str:
    """Return the page for ``run_dir``: HTML that asks for nothing outside itself.

    Raises:
        InputError: No run directory, or a damaged file in it.
    """
    return _templates().get_template("report.html.j2").render(_context(read_run(run_dir)))


@cache
def _templates() -> jinja2.Environment:
    """Return the templates, which take half a second to compile."""
    environment = page_environment(jinja2.PackageLoader("eecompile", "report"))
    environment.filters.update(
        interval=quantities.interval,
        edp=headline.edp,
        time=headline.time,
        time_span=headline.time_span,
        energy_span=quantities.energy_span,
    )
    return environment


def write(run_dir: Path, out: Path | None = None) -> Path:
    """Write the page of ``run_dir``, as ``report.html`` in it or to ``out``; returns the path.

    Raises:
        InputError: No run directory, a damaged file in it, or a place that cannot be written to.
    """
    from passes.files import write_atomic

    path = out if out is not None else run_dir / REPORT_NAME
    write_atomic(path, render(run_dir).encode())
    return path


def _context(run: RunFiles) -> dict[str, Any]:
    colours = charts.core_colours(run.layers)
    samples = run.samples if run.summary.dataset else None
    schedules = sorted(gantt.gantt_charts(run.events, run.schedule), key=lambda c: -len(c[-1].bars))
    return {
        "run": run,
        "summary": run.summary,
        "headline": headline.headline(run.summary),
        "from_study": headline.from_study(run.summary),
        "power_note": headline.power_note(run.summary),
        "error_bars": error_bars.of_run(run.summary),
        "static": run.summary.static,
        "ratio": quantities.ratio,
        "signed": quantities.signed,
        "by_form": by_form,
        "ratio_parts": charts.ratio_parts(run.summary),
        "colours": colours,
        "energy_parts": charts.energy_by_core(run.layers, colours),
        "by_energy": charts.by_energy(run.layers),
        "order": charts.order(run.layers),
        "costs_per_image": average.image_costs(run.summary),
        "saved_by_model": average.by_cost_model(run.summary),
        "advice": (
            *paying_back.paying_back(run.summary),
            *costliest.costliest(run),
            *idle_cores.idle_cores(run.summary, run.schedule),
        ),
        "cycle_parts": charts.cycle_parts,
        "cycle_scale": charts.cycle_scale(run.layers),
        "energy_scale": max((layer.energy_pj for layer in run.layers), default=0.0),
        "schedules": schedules,
        "usage": usage,
        "curve": charts.curve_chart(run.summary),
        "explore": explore.explorer(run.summary, samples),
        "images": () if samples is None else images.exit_images(run.summary, samples),
        "answers": () if samples is None else answers.exit_answers(run.summary, samples),
        "training_curves": training_curves.training_curves(run.info),
        "pruning": pruned.facts(run.info),
        "measured": provenance.measured(run),
        "on_processor": measured.sentence(run.info.get("measured")),
        "agreement": provenance.agreement(run),
        "provenance": provenance.facts(run),
        "knowledge": provenance.knowledge(run),
    }
