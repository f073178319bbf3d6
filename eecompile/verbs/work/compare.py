"""Runs side by side: the first is the baseline that the others are held against."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eecompile.run_files.summary import load_summary
from eecompile.verbs.work.compared_figures import CYCLES, MORE, NEITHER, kind_of, that_matter
from eecompile.verbs.work.gates import Difference, Gate, GateResult
from eecompile.verbs.work.interval_keys import Known, intervals
from eecompile.verbs.work.paired_runs import CLEAR, PairedRun, answers_of, paired
from passes.errors import InputError, did_you_mean
from passes.shown_result import Row, ShownResult, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BETTER, WORSE, SAME, UNCLEAR, NOT_JUDGED = "better", "worse", "same", "unclear", ""
DELIVERED = "model.dynamic.onnx"
Document = dict[str, Any]


@dataclass(frozen=True)
class ComparedFigure:
    """One number of all runs.

    Attributes:
        key: Where it is in ``summary.json``; or ``deepest.…``, ``left_early``, ``files.…``, which are made of
            what is there.
        values: Of each run; ``None`` where it has none.
        within: For each run but the first, whether it and the baseline lie in the intervals around each
            other; ``None`` without intervals.
        verdicts: For each run but the first ``better``, ``worse``, ``same``, ``unclear`` (intervals or a
            paired test do not tell them apart) or nothing: it is not judged.
        name: What people call it, where it is one of those that matter; else empty.
    """

    key: str
    values: tuple[float | None, ...]
    within: tuple[bool | None, ...]
    verdicts: tuple[str, ...]
    name: str = ""

    def difference(self, number: int) -> Difference | None:
        """Return run ``number`` (1 is the first after the baseline) against the baseline, if both have it."""
        a, b = self.values[0], self.values[number]
        return None if a is None or b is None else Difference(self.key, a, b, self.within[number - 1])

    @property
    def differs(self) -> bool:
        """Whether it is not the same in all runs."""
        return len(set(self.values)) > 1


@dataclass(frozen=True, repr=False)
class Comparison(ShownResult):
    """Runs side by side.

    Attributes:
        runs: As they were given; the first is the baseline.
        labels: Network, target and objective of each.
        figures: Every number that any of them has: those that matter, then all in the order of the files.
        paired: Each run but the first against it, image by image.
        notes: What makes them hard to compare: another model, target, data set …
        gates: The gates and their outcome.
    """

    runs: tuple[str, ...]
    labels: tuple[str, ...]
    figures: tuple[ComparedFigure, ...]
    paired: tuple[PairedRun, ...] = ()
    notes: tuple[str, ...] = ()
    gates: tuple[GateResult, ...] = ()

    @property
    def letters(self) -> tuple[str, ...]:
        """What tables call the runs: A is the baseline."""
        return tuple(letter(number) for number in range(len(self.runs)))

    @property
    def passed(self) -> bool:
        """Whether no gate is violated."""
        return not any(result.violated for result in self.gates)

    def _words(self) -> str:
        changed = sum(figure.differs for figure in self.figures)
        gates = f", {sum(r.violated for r in self.gates)} of {len(self.gates)} gates violated"
        others = ", ".join(self.runs[1:]) if len(self.runs) < 4 else f"{len(self.runs) - 1} runs"
        return (
            f"{changed} of {len(self.figures)} figures differ{gates if self.gates else ''}: "
            f"{others} against {self.runs[0]}"
        )

    def _rows(self) -> list[Row]:
        rows: list[Row] = []
        for figure in self.figures:
            for number, run in enumerate(self.runs[1:], start=1):
                found = figure.difference(number)
                rows.append(
                    {
                        "figure": figure.name or figure.key,
                        "key": figure.key,
                        "unit": kind_of(figure.key).unit,
                        "run": run,
                        "baseline": figure.values[0],
                        "value": figure.values[number],
                        "change": None if found is None else found.change,
                        "relative": None if found is None else found.relative,
                        "verdict": figure.verdicts[number - 1],
                    }
                )
        return rows

    def _axes(self) -> tuple[str, str]:
        return "figure", "relative"

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw by how many per cent the figures that matter differ from the baseline, a bar for each run.

        Args:
            axes: Where to; a new figure of pyplot if absent.

        Raises:
            InputError: matplotlib is not installed.
        """
        drawn = new_axes() if axes is None else axes
        shown = [figure for figure in self.figures if figure.name]
        width = 0.8 / (len(self.runs) - 1)
        for number in range(1, len(self.runs)):
            places, heights = [], []
            for place, figure in enumerate(shown):
                found = figure.difference(number)
                if found is not None and found.relative is not None:
                    places.append(place + (number - 1) * width)
                    heights.append(100 * found.relative)
            drawn.barh(places, heights, width, label=f"{letter(number)}: {self.runs[number][-40:]}")
        drawn.set_yticks([place + 0.4 - width / 2 for place in range(len(shown))], [f.name for f in shown])
        drawn.invert_yaxis()
        drawn.set_xlabel(f"change against {self.runs[0][-40:]}, in %")
        drawn.legend()
        return drawn

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as one JSON document."""
        return {
            "schema_version": 2,
            "baseline": self.runs[0],
            "runs": [
                {"run": name, "path": path, "label": label}
                for name, path, label in zip(self.letters, self.runs, self.labels, strict=True)
            ],
            "passed": self.passed,
            "notes": list(self.notes),
            "gates": [
                {"gate": r.gate.text, "run": r.run, "violated": r.violated, **_of_difference(r.difference)}
                for r in self.gates
            ],
            "paired": [item.to_json() for item in self.paired],
            "figures": [
                {
                    "key": figure.key,
                    "name": figure.name or None,
                    **asdict(kind_of(figure.key)),
                    "values": list(figure.values),
                    "against_baseline": [
                        None if (found := figure.difference(number)) is None else _of_difference(found)
                        for number in range(1, len(self.runs))
                    ],
                    "verdicts": list(figure.verdicts),
                }
                for figure in self.figures
            ],
        }


def letter(number: int) -> str:
    """Return what a run is called in tables: A to Z, then R27 and so on."""
    return chr(ord("A") + number) if number < 26 else f"R{number + 1}"


def _of_difference(difference: Difference) -> dict[str, Any]:
    return {
        "key": difference.key,
        "a": difference.a,
        "b": difference.b,
        "change": difference.change,
        "relative": difference.relative,
        "within_intervals": difference.within,
    }


def compare_runs(runs: Sequence[Path], fail_if: Sequence[str] = ()) -> Comparison:
    """Compare the summaries of run directories.

    Args:
        runs: Two or more run directories, or their ``summary.json``; the first is the baseline.
        fail_if: Conditions on each of the others that must not hold, see :meth:`Gate.parse`.

    Raises:
        InputError: Fewer than two runs, not a run directory, a condition that cannot be read, or a key
            without a number.
    """
    if len(runs) < 2:
        raise InputError(
            f"`runs` has {len(runs)} run{'s' * (len(runs) != 1)}: there is nothing to compare",
            "give the baseline and one run or more",
        )
    gates = [Gate.parse(text) for text in fail_if]
    summaries = [load_summary(run) for run in runs]
    documents: list[Document] = [summary.model_dump(mode="json") for summary in summaries]
    answers = [answers_of(run, summary) for run, summary in zip(runs, summaries, strict=True)]
    pairs = tuple(paired(letter(n), answers[0], other) for n, other in enumerate(answers[1:], start=1))
    figures = _figures(documents, [_made(run, doc) for run, doc in zip(runs, documents, strict=True)], pairs)
    results = []
    for number in range(1, len(runs)):
        pair = documents[0], documents[number]
        shared = {f.key: found for f in figures if (found := f.difference(number)) is not None}
        for gate in gates:
            difference = _find(gate, shared, pair, letter(number))
            results.append(GateResult(gate, difference, gate.violated(difference), letter(number)))
    labels = tuple(f"{doc['model']} on {doc['target']}, for {doc['objective']}" for doc in documents)
    return Comparison(
        tuple(map(str, runs)), labels, figures, pairs, tuple(_notes(documents, pairs)), tuple(results)
    )


def _figures(
    documents: Sequence[Document], made: Sequence[Mapping[str, float]], pairs: Sequence[PairedRun]
) -> tuple[ComparedFigure, ...]:
    numbers = [{**_numbers(doc), **more} for doc, more in zip(documents, made, strict=True)]
    spans = [intervals(document) for document in documents]
    same_cycles = [_cycles_of(document) == _cycles_of(documents[0]) for document in documents[1:]]
    keys = dict.fromkeys(key for found in numbers for key in found)
    names = {
        key: name
        for name, key in that_matter([key for key in keys if all(key in found for found in numbers)], keys)
    }

    def figure(key: str) -> ComparedFigure:
        values = tuple(found.get(key) for found in numbers)
        within: list[bool | None] = []
        verdicts: list[str] = []
        for number, value in enumerate(values[1:], start=1):
            if values[0] is None or value is None:
                within.append(None)
                verdicts.append(NOT_JUDGED)
                continue
            known = (values[0], spans[0].get(key)), (value, spans[number].get(key))
            within.append(_within(*known))
            comparable = same_cycles[number - 1] or kind_of(key).unit not in CYCLES
            verdicts.append(
                _verdict(key, values[0], value, within[-1], pairs[number - 1]) if comparable else NOT_JUDGED
            )
        return ComparedFigure(key, values, tuple(within), tuple(verdicts), names.get(key, ""))

    return tuple(map(figure, (*names, *(key for key in keys if key not in names))))


def _verdict(key: str, a: float, b: float, within: bool | None, pair: PairedRun) -> str:
    """Return whether a figure is better than in the baseline; paired answers say more than intervals."""
    better = kind_of(key).better
    change = pair.of(key)
    if better == NEITHER:
        return NOT_JUDGED
    if a == b:
        return SAME
    if change.p_value >= CLEAR if change is not None else within:
        return UNCLEAR
    return BETTER if (b > a) == (better == MORE) else WORSE


def _made(run: Path, document: Document) -> dict[str, float]:
    """Return figures that are made of what is in a run directory."""
    deepest = document["exits"][-1]
    found = {
        f"deepest.{key}": deepest[key]
        for key in ("energy_pj", "latency_s", "latency_cycles")
        if deepest[key] is not None
    }
    if deepest["ratio"] is not None:
        found["left_early"] = 1.0 - deepest["ratio"]
    file = (run if run.is_dir() else run.parent) / DELIVERED
    if file.is_file():
        found["files.dynamic_bytes"] = file.stat().st_size
    return found


def _cycles_of(document: Document) -> tuple[object, ...]:
    """Return what cycles of a run are of."""
    return document["target"], document["target_description"], document["point"]


def _find(
    gate: Gate, shared: Mapping[str, Difference], pair: tuple[Document, Document], name: str
) -> Difference:
    key = _named_exits(gate.key, pair[1])
    if key in shared:
        return shared[key]
    for run, document in zip(("A", name), pair, strict=True):
        if key in _leaves(document) and key not in _numbers(document):
            raise InputError(
                f"`fail_if`: '{gate.key}' has no number in run {run}",
                "was that run made without `data`, or does no test image leave at that exit?",
            )
    raise InputError(
        f"`fail_if`: '{gate.key}' is not a number that both A and {name} have", did_you_mean(key, shared)
    )


def _named_exits(key: str, document: Document) -> str:
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


def _numbers(document: Document) -> dict[str, float]:
    return {
        key: value
        for key, value in _leaves(document).items()
        if isinstance(value, int | float) and not isinstance(value, bool) and key != "schema_version"
    }


def _notes(documents: Sequence[Document], pairs: Sequence[PairedRun]) -> list[str]:
    def told(of: Callable[[Document], object]) -> list[str]:
        return [f"{letter(number)} {of(document)}" for number, document in enumerate(documents)]

    def differ(of: Callable[[Document], object]) -> bool:
        return any(of(document) != of(documents[0]) for document in documents[1:])

    notes = []
    for name in ("model", "target", "objective", "cost_model", "rules", "point"):
        if differ(lambda document, name=name: document[name]):  # type: ignore[misc]
            said = ", ".join(told(lambda document, name=name: document[name] or "does not tell"))  # type: ignore[misc]
            notes.append(f"{name.replace('_', ' ')} differs: {said}")
    if differ(_cycles_of):
        notes.append("cycles of different clocks are no common unit: figures in them are not judged")
    if not differ(lambda doc: doc["target"]) and differ(lambda doc: doc["target_description"]):
        notes.append(f"target {documents[0]['target']} is described otherwise")
    for name in ("schedule", "trainer", "quantize"):
        known = {document.get(name) for document in documents} - {None}
        if len(known) > 1:  # runs from before there was a choice do not tell theirs
            said = ", ".join(told(lambda document, name=name: document.get(name) or "does not tell"))  # type: ignore[misc]
            notes.append(f"{name} differs: {said}")
    if differ(_data_of):
        notes.append(f"data differs: {', '.join(told(_data_of))}; what is expected is of other images")
    if differ(lambda doc: [e["mount"] for e in doc["exits"]]):
        notes.append("the exits sit at different mounts")
    reasons = dict.fromkeys(pair.reason for pair in pairs if pair.reason)
    if all(document["dataset"] is not None for document in documents):
        notes += [f"not paired image by image: {reason}" for reason in reasons]
    return notes


def _data_of(document: Document) -> str:
    return str((document["dataset"] or {}).get("name", "none"))
