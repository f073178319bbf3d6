"""``front.html``: fronts over each other on one page that asks for nothing outside itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from eecompile.report.charts import PALETTE_SIZE
from eecompile.report.pages import hash_of_script, json_in_script, page_templates
from eecompile.search.shown.axes import axes_of, measures_of
from eecompile.search.shown.front import ShownFront, ShownPoint
from eecompile.search.shown.measures import COSTS
from eecompile.search.shown.picture import front_picture
from eecompile.search.shown.point_facts import point_facts
from eecompile.search.shown.volumes import Measures, common_reference, growth, volumes
from eecompile.search.worth.part_costs import LATENCY

SCRIPTS = ("plot.js", "page.js")


def page(fronts: Sequence[ShownFront]) -> str:
    """Return the page.

    Args:
        fronts: One at least; the first one says what is on the axes.
    """
    environment = page_templates("eecompile.search.shown")
    script = _script()
    across, up = axes_of(fronts)
    known = measures_of(fronts)
    reference = common_reference(fronts, fronts[0].objectives, known)
    css = [f"c{number % PALETTE_SIZE}" for number in range(len(fronts))]
    shown = [
        [
            point_facts(front, point, f"{number}-{place}", css[number], known)
            for place, point in enumerate(front.points)
        ]
        for number, front in enumerate(fronts)
    ]
    return environment.get_template("page.html.j2").render(
        run={"schedule": None},  # the style sheet of the report asks for it
        fronts=list(zip(fronts, css, shown, strict=True)),
        measures={
            name: m for name, m in known.items() if any(m.key in p.figures for f in fronts for p in f.points)
        },
        several_points=len({p.facts.get("operating_point") for f in fronts for p in f.points} - {None}) > 1,
        costs=[known[name].words for name in COSTS],
        volumes=[volumes(front, reference, known) for front in fronts],
        reference=[(known[name].words, known[name].text(value)) for name, value in reference.items()],
        warnings=warnings(fronts),
        picture=front_picture(fronts, across, up, known),
        data=_json(fronts, css, reference, (across, up), known),
        script=script,
        script_hash=hash_of_script(script),
    )


def warnings(fronts: Sequence[ShownFront]) -> list[str]:
    """Return what keeps fronts from being compared as they are."""
    found = []
    facts = [dict(front.facts) for front in fronts]
    for label, by, what in (
        ("target", "target", "costs are not of one accelerator"),
        ("data", "images, hash", "accuracies are not of the same images"),
    ):
        if len({told.get(by, told.get(label)) for told in facts} - {None}) > 1:
            names = ", ".join(sorted({told.get(label, "") for told in facts}))
            found.append(f"These fronts differ in {label} ({names}): {what}.")
    if len({front.objectives for front in fronts}) > 1:
        found.append(
            "These fronts were searched for different objectives; volumes are of those of the first."
        )
    latency = measures_of(fronts)[LATENCY]
    timeless = [f.title for f in fronts if f.points and not any(latency.key in p.figures for p in f.points)]
    if timeless:
        found.append(f"Times are in seconds, and no clock is known of {', '.join(timeless)}.")
    return found


def _script() -> str:
    folder = resources.files("eecompile.search.shown")
    parts = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


def _json(
    fronts: Sequence[ShownFront],
    css: Sequence[str],
    reference: Mapping[str, float],
    axes: tuple[str, str],
    measures: Measures,
) -> str:
    """Return what the script reads, safe within a script element."""
    document = {
        "x": axes[0],
        "y": axes[1],
        "costs": list(COSTS),
        "measures": {
            name: {"words": m.words, "unit": m.unit, "rises": m.rises} for name, m in measures.items()
        },
        "fronts": [
            {
                "title": front.title,
                "css": css[number],
                "points": [_point(point, measures) for point in front.points],
                "designs": [
                    {
                        "trial": design.trial,
                        "statics": [_figures(values, measures) for values in design.statics],
                        "points": [_figures(values, measures) for values in design.points],
                    }
                    for design in front.designs
                ],
                "growth": growth(front, reference, measures),
            }
            for number, front in enumerate(fronts)
        ],
    }
    return json_in_script(document)


def _point(point: ShownPoint, measures: Measures) -> dict[str, Any]:
    known = {} if point.files is None else point.files.known
    return {
        "name": point.name,
        "figures": _figures(point.figures, measures),
        "ci95": [100 * bound for bound in point.facts.get("accuracy_ci95", ())],
        "static": _figures(point.static, measures),
        "against": point.against,
        "exits": [
            {"name": item["name"], "head": item["head"], "mount": item["mount"], "ratio": item["ratio"]}
            for item in point.facts.get("exits", ())
        ],
        "final": point.facts.get("final_ratio", 1.0),
        "paths": [_figures(path, measures) for path in known.get("paths", ())],
        "curve": [
            {"thresholds": at["thresholds"], "ratios": at["ratios"], "figures": _figures(at, measures)}
            for at in known.get("curve", ())
        ],
    }


def _figures(values: Mapping[str, Any], measures: Measures) -> dict[str, float]:
    """Return figures by name, in the units of the page, to seven digits."""
    return {name: float(f"{values[m.key] * m.factor:.7g}") for name, m in measures.items() if m.key in values}
