"""What each costly step of a run has found out, as a bundle, and back.

A bundle holds what the step changed in the evidence, so that a run that takes it goes on as if the step had
been done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eecompile.cache.bundle import Bundle
from eecompile.exits.answers import Answers
from eecompile.run.evidence import Baseline, Evidence, Pruned
from eecompile.run.pruning import with_exits_as_asked
from passes.confidence import ConfidenceRule, rule_with
from passes.exits.chain import set_rules
from passes.state import copy_graph, state_of

Told = Mapping[str, Any]


@dataclass(frozen=True)
class StepKeeper:
    """How a step is kept.

    Attributes:
        save: From the evidence behind the step.
        load: Into the evidence before it.
    """

    save: Callable[[Evidence], Bundle]
    load: Callable[[Evidence, Bundle], None]


def _save_pruned(evidence: Evidence) -> Bundle:
    if evidence.pruned is None:
        raise ValueError("nothing was pruned")
    return Bundle({"plain": evidence.prepared.plain}, told={"info": evidence.pruned.info})


def _load_pruned(evidence: Evidence, found: Bundle) -> None:
    evidence.pruned = Pruned(evidence.prepared.plain, dict(found.told["info"]))
    graph = copy_graph(found.graphs["plain"])
    evidence.prepared = with_exits_as_asked(graph, evidence.prepared, evidence.options)


def _save_trained(evidence: Evidence) -> Bundle:
    prepared = evidence.prepared
    return Bundle({"plain": prepared.plain, "graph": prepared.graph}, told={"training": evidence.training})


def _load_trained(evidence: Evidence, found: Bundle) -> None:
    graphs = found.graphs
    evidence.prepared = replace(evidence.prepared, plain=graphs["plain"], graph=graphs["graph"])
    evidence.training = dict(found.told["training"])


def _save_quantized(evidence: Evidence) -> Bundle:
    graphs = {"quantized": evidence.quantized, "lowered": evidence.lowered}
    if evidence.calibrated is not None:
        graphs["calibrated"] = evidence.calibrated
    if evidence.baseline is not None:
        base = evidence.baseline
        graphs |= {"static_quantized": base.quantized, "static_lowered": base.lowered}
    return Bundle(graphs, told={"calibration": evidence.calibration})


def _load_quantized(evidence: Evidence, found: Bundle) -> None:
    graphs = found.graphs
    evidence.quantized, evidence.lowered = graphs["quantized"], graphs["lowered"]
    evidence.calibrated = graphs.get("calibrated")
    evidence.baseline = None
    if "static_lowered" in graphs:
        evidence.baseline = Baseline(graphs["static_quantized"], graphs["static_lowered"])
    evidence.calibration = dict(found.told["calibration"])


_ANSWERS = ("val", "float_test", "quant_test", "lowered_test")


def _save_answers(evidence: Evidence) -> Bundle:
    named = {name: getattr(evidence, name) for name in _ANSWERS}
    names = {id(answers): name for name, answers in named.items()}
    seen = {}
    for form, pair in evidence.seen.items():
        for split, answers in zip(("val", "test"), pair, strict=True):
            name = names.setdefault(id(answers), f"{form}_{split}")
            named[name] = answers
            seen[f"{form}.{split}"] = name
    arrays = {"val": evidence.val.labels, "test": evidence.lowered_test.labels}
    for name, answers in named.items():
        arrays |= {f"{name}.{number}": logits for number, logits in enumerate(answers.logits)}
        if answers.static is not None:
            arrays[f"{name}.static"] = answers.static
    exits = state_of(evidence.lowered).exits
    told = {
        "forms": list(evidence.seen),
        "seen": seen,
        "notes": {name: answers.note for name, answers in named.items()},
        "rules": [[item.confidence.name, item.confidence.parameters] for item in exits],
        "carried": [[*pair, weight] for pair, weight in evidence.val.carried.items()],
    }
    return Bundle({}, arrays, told)


def _load_answers(evidence: Evidence, found: Bundle) -> None:
    rules = [rule_with(name, parameters) for name, parameters in found.told["rules"]]
    forms = (evidence.prepared.graph, evidence.quantized, evidence.lowered, evidence.calibrated)
    for graph in filter(None, forms):
        set_rules(graph, rules)
    named = {name: _answers(name, found, rules) for name in found.told["notes"]}
    for name in _ANSWERS:
        setattr(evidence, name, named[name])
    seen = found.told["seen"]
    evidence.seen = {
        form: (named[seen[f"{form}.val"]], named[seen[f"{form}.test"]]) for form in found.told["forms"]
    }


def _answers(name: str, found: Bundle, rules: Sequence[ConfidenceRule]) -> Answers:
    arrays = found.arrays
    return Answers(
        tuple(arrays[f"{name}.{number}"] for number in range(len(rules))),
        arrays["val" if name.endswith("val") else "test"],
        tuple(rules[:-1]),
        found.told["notes"][name],
        arrays.get(f"{name}.static"),
        {(int(one), int(other)): float(weight) for one, other, weight in found.told["carried"]},
    )


PARTS: Mapping[str, StepKeeper] = {
    "prune": StepKeeper(_save_pruned, _load_pruned),
    "train": StepKeeper(_save_trained, _load_trained),
    "quantize": StepKeeper(_save_quantized, _load_quantized),
    "evaluate": StepKeeper(_save_answers, _load_answers),
}
"""Name of a step -> how it is kept; what is not here is done anew each time."""
