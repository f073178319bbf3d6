"""What the fit is written to: description, sets of parameters, validation, the page of results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from passes.errors import InputError
from passes.files import write_atomic
from tools.gap9.calibration import Fits, left_out
from tools.gap9.errors import ENERGY, LATENCY, Compare
from tools.gap9.measured import SOURCE

FOLDER = Path(__file__).parents[2] / "targets" / "gap9"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "gap9.md"
COMMAND = "python -m tools.calibrate_gap9"
COST_MODEL = "plinio"
NOTE = (
    "All four networks and a log of layers of EfficientNet-Lite0 entered the fit; left_out is what a fit "
    "without the network says. Which effects the model has was settled with all of them in sight."
)

_PART = re.compile(r"\s*-? *name: (\S+)")
_FIGURE = re.compile(r"(?P<start>\s*(?P<key>\w+): \{value: )(?P<value>[^,]+)(?P<end>,.*)")


def with_numbers(description: str, numbers: Mapping[str, float]) -> str:
    """Return the text of a description with ``numbers`` in it, by part and key.

    Raises:
        InputError: The text has no such figure.
    """
    part, missing, lines = "", dict(numbers), []
    for line in description.split("\n"):
        named, figure = _PART.match(line), _FIGURE.match(line)
        part = named[1] if named else part
        if figure and f"{part}.{figure['key']}" in numbers:
            value = missing.pop(f"{part}.{figure['key']}")
            lines.append(f"{figure['start']}{value!r}{figure['end']}")
        else:
            lines.append(line)
    if missing:
        raise InputError(f"the description has no figure '{min(missing)}'")
    return "\n".join(lines)


def parameter_sets_text(fits: Fits) -> str:
    """Return ``parameter_sets.yaml``."""
    lines = [
        "# Numbers of GAP9 fitted without one of the measurements each, in place of those of hardware.yaml.",
        f"# Written by `{COMMAND} --write`.",
        "sets:",
    ]
    for name, numbers in fits.without.items():
        lines.append(f'  "{left_out(name)}":')
        lines += [f"    {key}: {value!r}" for key, value in numbers.items()]
    return "\n".join(lines) + "\n"


def validation_text(found: Sequence[Compare]) -> str:
    """Return ``validation.yaml``."""
    lines = [f"# Written by `{COMMAND} --write`.", f'command: "{COMMAND}"', "networks:"]
    for name, point in dict.fromkeys((one.network, one.point) for one in found):
        here = {one.quantity: one for one in found if (one.network, one.point) == (name, point)}
        lines += [
            f'  - network: "{name} (MLPerf Tiny)"',
            f'    point: "{point}"',
            f"    cost_model: {COST_MODEL}",
            f'    source: "{SOURCE}"',
            "    fitted: true",
            f"    latency_cycles: {_figures(here[LATENCY])}",
            f"    energy_pj: {_figures(here[ENERGY])}",
        ]
    lines.append(f'note: "{NOTE}"')
    return "\n".join(lines) + "\n"


def _figures(one: Compare) -> str:
    parts = (("measured", one.measured), ("predicted", one.predicted), ("left_out", one.left_out))
    return "{" + ", ".join(f"{name}: {round(value)}" for name, value in parts) + "}"


def write_fit(fits: Fits) -> list[Path]:
    """Write the fitted numbers into ``hardware.yaml`` and ``parameter_sets.yaml``."""
    hardware, sets = FOLDER / "hardware.yaml", FOLDER / "parameter_sets.yaml"
    write_atomic(hardware, with_numbers(hardware.read_text(encoding="utf-8"), fits.all).encode())
    write_atomic(sets, parameter_sets_text(fits).encode())
    return [hardware, sets]


def write_results(found: Sequence[Compare], page: str) -> list[Path]:
    """Write ``validation.yaml`` and the page of results."""
    validation = FOLDER / "validation.yaml"
    write_atomic(validation, validation_text(found).encode())
    write_atomic(PAGE, page.encode())
    return [validation, PAGE]
