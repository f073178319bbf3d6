"""Two runs side by side, and the gates a continuous-integration job puts on the difference."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eecompile.run_files.summary import load_summary
from eecompile.verbs.work.interval_keys import Known, intervals
from passes.errors import InputError, did_you_mean
from passes.shown_result import Row, ShownResult

_GATE = re.compile(
    r"\s*(?P<key>[A-Za-z_][\w.\-]*)\s*(?P<op><=|>=|<|>)\s*(?P<sign>[+-]?)(?P<number>\d+(\.\d*)?(e[+-]?\d+)?|\.\d+)\s*(?P<percent>%?)\s*",
    re.IGNORECASE,
)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
EXAMPLE = (
    "examples: 'expected.edp_js>+2%' (grew by more than 2 %), 'drop.points>+0.5' (grew by more than 0.5), "
    "'drop.points>1.0' (is above 1.0)"
)


@dataclass(frozen=True)
class Gate:
    """A condition on run B that must not hold.

    Attributes:
        text: As the user wrote it.
        key: Dotted key into ``summary.json``; an exit is named by its name or number.
        op: ``<``, ``>``, ``<=`` or ``>=``.
        limit: What is compared with: a share for a relative change, else in the unit of the value.
        kind: ``relative`` (change over A), ``absolute`` (change) or ``value`` (of run B).
    """

    text: str
    key: str
    op: str
    limit: float
    kind: str

    @classmethod
    def parse(cls, text: str) -> Gate:
        """Parse ``key>+2%``, ``key>+0.5``, ``key<-1`` or ``key>1.0``; raises InputError with examples."""
        match = _GATE.fullmatch(text)
        if match is None:
            raise InputError(f"`fail_if`: cannot read '{text}'", EXAMPLE)
        number, sign = float(match["number"]), match["sign"]
        if match["percent"] and not sign:
            raise InputError(f"`fail_if`: '{text}': a percentage is a change and needs its sign", EXAMPLE)
        limit = -number if sign == "-" else number
        if match["percent"]:
            return cls(text, match["key"], match["op"], limit / 100, "relative")
        return cls(text, match["key"], match["op"], limit, "absolute" if sign else "value")

    def violated(self, difference: Difference) -> bool:
        """Return whether the condition holds for ``difference``, which is then a failure."""
        if self.kind == "value":
            observed = difference.b
        elif self.kind == "absolute":
            observed = difference.change
        else:
            observed = (
                difference.relative
                if difference.relative is not None
                else math.copysign(math.inf, difference.change)
            )
        return _OPERATORS[self.op](observed, self.limit)


@dataclass(frozen=True)
class Difference:
    """One number of both runs.

    Attributes:
        key: Where it is in ``summary.json``.
        a: Of the reference.
        b: Of the run that is judged.
        within: Whether each lies in the interval around the other, so that the models are not good enough to
            tell them apart; ``None`` where they have no intervals.
    """

    key: str
    a: float
    b: float
    within: bool | None = None

    @property
    def change(self) -> float:
        """B minus A."""
        return self.b - self.a

    @property
    def relative(self) -> float | None:
        """Change as a share of A; None where A is zero and B is not."""
        if self.a == 0:
            return 0.0 if self.b == 0 else None
        return self.change / abs(self.a)


@dataclass(frozen=True)
class GateResult:
    """A gate and the numbers it was held against."""

    gate: Gate
    difference: Difference
    violated: bool


@dataclass(frozen=True, repr=False)
class Comparison(ShownResult):
    """Two runs side by side.

    Attributes:
        run_a: The reference.
        run_b: The run that is judged.
        differences: Every number both runs have, in the order of the file.
        only_a: Keys with a number in A alone.
        only_b: Keys with a number in B alone.
        notes: What makes the runs hard to compare: another model, target, data set …
        gates: The gates and their outcome.
    """

    run_a: str
    run_b: str
    differences: tuple[Difference, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    notes: tuple[str, ...]
    gates: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no gate is violated."""
        return not any(result.violated for result in self.gates)

    def _words(self) -> str:
        changed = sum(difference.change != 0 for difference in self.differences)
        gates = f", {sum(r.violated for r in self.gates)} of {len(self.gates)} gates violated"
        return (
            f"{self.run_b} against {self.run_a}: {changed} of {len(self.differences)} figures differ"
            f"{gates if self.gates else ''}"
        )

    def _rows(self) -> list[Row]:
        return [_difference_json(difference) for difference in self.differences]

    def _axes(self) -> tuple[str, str]:
        return "key", "relative"

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as one JSON document."""
        return {
            "schema_version": 1,
            "run_a": self.run_a,
            "run_b": self.run_b,
            "passed": self.passed,
            "notes": list(self.notes),
            "gates": [
                {"gate": r.gate.text, "violated": r.violated, **_difference_json(r.difference)}
                for r in self.gates
            ],
            "differences": [_difference_json(d) for d in self.differences],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
        }


def _difference_json(difference: Difference) -> dict[str, Any]:
    return {
        "key": difference.key,
        "a": difference.a,
        "b": difference.b,
        "change": difference.change,
        "relative": difference.relative,
        "within_intervals": difference.within,
    }


def compare_runs(run_a: Path, run_b: Path, fail_if: Sequence[str] = ()) -> Comparison:
    """Compare the summaries of two run directories.

    Args:
        run_a: The reference: a run directory, or its ``summary.json``.
        run_b: The run that is judged.
        fail_if: Conditions on B that must not hold, see :meth:`Gate.parse`.

    Raises:
        InputError: Not a run directory, a condition that cannot be read, or a key without a number.
    """
    gates = [Gate.parse(text) for text in fail_if]
    documents = [load_summary(run).model_dump(mode="json") for run in (run_a, run_b)]
    a, b = (_numbers(document) for document in documents)
    spans_a, spans_b = (intervals(document) for document in documents)
    shared = {
        key: Difference(key, a[key], b[key], _within((a[key], spans_a.get(key)), (b[key], spans_b.get(key))))
        for key in a
        if key in b
    }
    results = []
    for gate in gates:
        difference = _find(gate, shared, documents)
        results.append(GateResult(gate, difference, gate.violated(difference)))
    return Comparison(
        str(run_a),
        str(run_b),
        tuple(shared.values()),
        tuple(key for key in a if key not in b),
        tuple(key for key in b if key not in a),
        tuple(_notes(*documents)),
        tuple(results),
    )


def _find(gate: Gate, shared: dict[str, Difference], documents: list[dict[str, Any]]) -> Difference:
    key = _named_exits(gate.key, documents[1])
    if key in shared:
        return shared[key]
    for letter, document in zip("AB", documents, strict=True):
        if key in _leaves(document) and key not in _numbers(document):
            raise InputError(
                f"`fail_if`: '{gate.key}' has no number in run {letter}",
                "was that run made without `data`, or does no test image leave at that exit?",
            )
    raise InputError(f"`fail_if`: '{gate.key}' is not a number both runs have", did_you_mean(key, shared))


def _named_exits(key: str, document: dict[str, Any]) -> str:
    """Turn ``exits.0.ratio`` into ``exits.exit_0.ratio``."""
    match = re.fullmatch(r"exits\.(\d+)\.(.+)", key)
    if match and int(match[1]) < len(document["exits"]):
        return f"exits.{document['exits'][int(match[1])]['name']}.{match[2]}"
    return key


def _leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        named = all(isinstance(entry, dict) and "name" in entry for entry in value)
        items = [(entry["name"] if named else str(index), entry) for index, entry in enumerate(value)]
    else:
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, entry in items:
        found.update(_leaves(entry, f"{prefix}.{key}" if prefix else key))
    return found


def _within(a: Known, b: Known) -> bool | None:
    """Return whether each of two figures lies in the interval of the other; ``None`` without intervals."""
    (first, around_first), (second, around_second) = a, b
    if around_first is None or around_second is None:
        return None
    return around_first[0] <= second <= around_first[1] and around_second[0] <= first <= around_second[1]


def _numbers(document: dict[str, Any]) -> dict[str, float]:
    return {
        key: value
        for key, value in _leaves(document).items()
        if isinstance(value, int | float) and not isinstance(value, bool) and key != "schema_version"
    }


def _notes(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    names = ("model", "target", "objective", "cost_model", "rules")
    notes = [f"{name} differs: {a[name]} and {b[name]}" for name in names if a[name] != b[name]]
    told = [document.get("target_description") for document in (a, b)]
    if a["target"] == b["target"] and told[0] != told[1]:
        notes.append(f"target {a['target']} is described otherwise")
    for name in ("schedule", "trainer"):
        told = [document.get(name) for document in (a, b)]
        if None not in told and told[0] != told[1]:  # runs from before there was a choice do not tell theirs
            notes.append(f"{name} differs: {told[0]} and {told[1]}")
    data_a, data_b = ((document["dataset"] or {}).get("name", "none") for document in (a, b))
    if data_a != data_b:
        notes.append(f"data differs: {data_a} and {data_b}")
    mounts_a, mounts_b = ([e["mount"] for e in document["exits"]] for document in (a, b))
    if mounts_a != mounts_b:
        notes.append("the exits sit at different mounts")
    return notes
