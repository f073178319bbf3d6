"""What there is to choose from: targets with their support tables, passes with their rules."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, get_type_hints

from eecompile.run.accelerator import open_target
from passes.option_text import print_value
from passes.registry import TABLE, pass_class
from passes.shown_result import Row, ShownResult
from targets.contract.registry import target_table
from targets.contract.support import support_table
from targets.description.architecture import OperatingPoint
from targets.evaluation.intervals import ErrorBars
from targets.schedule.freedom import MODES


@dataclass(frozen=True)
class PassOption:
    """One option of a pass, as in its text form."""

    name: str
    type: str
    default: str


@dataclass(frozen=True)
class PassInfo:
    """One pass.

    Attributes:
        name: As in the text form of a pipeline.
        summary: One sentence.
        rules: The numbered rules it applies.
        notes: What else its documentation says.
        options: Its options.
    """

    name: str
    summary: str
    rules: tuple[str, ...]
    notes: str
    options: tuple[PassOption, ...]


@dataclass(frozen=True, repr=False)
class PassList(ShownResult):
    """Some passes, in the order in which they usually run."""

    passes: tuple[PassInfo, ...]
    detailed: bool

    def _words(self) -> str:
        return f"{len(self.passes)} passes: {', '.join(entry.name for entry in self.passes)}"

    def _rows(self) -> list[Row]:
        return [
            {"pass": entry.name, "rules": len(entry.rules), "summary": entry.summary} for entry in self.passes
        ]

    def _axes(self) -> tuple[str, str]:
        return "pass", "rules"

    def to_json(self) -> dict[str, Any]:
        """Return the list as one JSON document."""
        return {"schema_version": 1, "passes": [asdict(entry) for entry in self.passes]}


def list_passes(name: str | None = None) -> PassList:
    """Return all passes, or the one called ``name``; raises InputError for an unknown name."""
    names = list(TABLE) if name is None else [name]
    return PassList(tuple(_pass(entry) for entry in names), name is not None)


def _pass(name: str) -> PassInfo:
    cls = pass_class(name)
    text = inspect.getdoc(cls) or ""
    summary, _, rest = text.partition("\n")
    rules: list[str] = []
    notes: list[str] = []
    for line in rest.splitlines():
        if re.match(r"\d+\. ", line):
            rules.append(line.partition(". ")[2].strip())
        elif rules and line.startswith("   "):
            rules[-1] += f" {line.strip()}"
        else:
            notes.append(line)
    hints = get_type_hints(cls)
    options = tuple(
        PassOption(item.name, _type_name(hints[item.name]), _default(item))
        for item in dataclasses.fields(cls)  # type: ignore[arg-type]
    )
    return PassInfo(
        name, _plain(summary), tuple(_plain(r) for r in rules), _plain("\n".join(notes).strip()), options
    )


def _plain(text: str) -> str:
    return text.replace("``", "'")


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace(", ...", " …")


def _default(item: dataclasses.Field[Any]) -> str:
    if item.default is dataclasses.MISSING:
        return "required"
    return print_value(item.default)


@dataclass(frozen=True)
class CoreInfo:
    """One core of a target: kind, quantization schemes (its usual one first), and the operators it runs."""

    name: str
    kind: str
    schemes: tuple[str, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class SupportRule:
    """One row of the support table: an operator on a core, and the rules a layer must meet there."""

    op_type: str
    core: str
    rules: tuple[str, ...]


@dataclass(frozen=True)
class FigureInfo:
    """One number of the hardware description, how it is known, and its source."""

    path: str
    value: float
    known: str
    source: str


@dataclass(frozen=True)
class PointInfo:
    """One operating point: clock in Hz, supply in V if known, energy over that at the first point."""

    name: str
    clock_hz: float
    voltage_v: float | None
    energy_scale: float


@dataclass(frozen=True)
class TargetInfo:
    """One target.

    Attributes:
        name: As in ``target``.
        summary: One sentence.
        clock_hz: Clock, None where none is known.
        operating_points: Clocks it can run at, the default first; none where no clock is known.
        cores: Its cores.
        cost_models: Name -> source, known error and the error bars of its figures; the first is the default.
        schedules: Modes of a schedule -> what each is, with the first cost model; the first is the default.
        support: What runs where, under which rules.
        figures: Every number of the hardware description.
    """

    name: str
    summary: str
    clock_hz: float | None
    operating_points: tuple[PointInfo, ...]
    cores: tuple[CoreInfo, ...]
    cost_models: dict[str, dict[str, Any]]
    schedules: dict[str, str]
    support: tuple[SupportRule, ...]
    figures: tuple[FigureInfo, ...]


@dataclass(frozen=True, repr=False)
class TargetList(ShownResult):
    """Some targets, by name."""

    targets: tuple[TargetInfo, ...]
    detailed: bool

    def _words(self) -> str:
        return f"{len(self.targets)} targets: {', '.join(entry.name for entry in self.targets)}"

    def _rows(self) -> list[Row]:
        return [
            {
                "target": entry.name,
                "cores": len(entry.cores),
                "clock_hz": entry.clock_hz,
                "summary": entry.summary,
            }
            for entry in self.targets
        ]

    def _axes(self) -> tuple[str, str]:
        return "target", "cores"

    def to_json(self) -> dict[str, Any]:
        """Return the list as one JSON document."""
        return {"schema_version": 1, "targets": [asdict(entry) for entry in self.targets]}


def list_targets(name: str | None = None) -> TargetList:
    """Return all targets, or the one called ``name``; raises InputError for an unknown name."""
    names = list(target_table()) if name is None else [name]
    return TargetList(tuple(_target(entry) for entry in names), name is not None)


def _target(name: str) -> TargetInfo:
    target, _ = open_target(name, "", None)
    cores = tuple(
        CoreInfo(core.name, core.kind, target.scheme_names(core.name), tuple(target.support(core.name)))
        for core in target.arch.cores
    )
    models = {
        key: {
            "source": model.source,
            "known_error": model.known_error,
            **ErrorBars.of(replace(target, cost_model=key)).to_json(),
        }
        for key, model in target.cost_models.items()
    }
    figures = target.arch.figures().items()
    return TargetInfo(
        name,
        (inspect.getdoc(type(target)) or "").partition("\n")[0],
        target.arch.clock_hz,
        tuple(_point(point) for point in target.arch.operating_points),
        cores,
        models,
        {mode: MODES[mode] for mode in target.schedules},
        tuple(SupportRule(row.op_type, row.core, row.sentences) for row in support_table(target)),
        tuple(FigureInfo(path, figure.value, figure.known, figure.source) for path, figure in figures),
    )


def _point(point: OperatingPoint) -> PointInfo:
    voltage_v = None if point.voltage_v is None else point.voltage_v.value
    return PointInfo(point.name, point.clock_hz.value, voltage_v, point.scale)
