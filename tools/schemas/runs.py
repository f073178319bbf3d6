"""What runs, their pages and comparisons, quantization and viewers get."""

from __future__ import annotations

from typing import Any

from eecompile.run_files.summary import Summary
from tools.schemas.shapes import (
    ANYTHING,
    FLAG,
    INTEGER,
    NUMBER,
    TEXT,
    Document,
    Shape,
    any_of,
    described,
    maybe,
    pair,
    record,
    rows,
    said,
    table,
    versioned,
)  # fmt: skip
from tools.schemas.words import WORDS

_OPEN: Shape = {"type": "object"}
"""What differs by how it came about: its keys are told by their values."""


def _summary() -> Shape:
    """Return the shape of ``summary.json``, from the classes that write it.

    Keys that have a default came later, or may do without: files of before are of this version, too.
    """
    found = Summary.model_json_schema(mode="serialization")
    read = Summary.model_json_schema(mode="validation")
    places = {"": (found, read)} | {k: (v, read["$defs"].get(k, {})) for k, v in found["$defs"].items()}
    for place, as_read in places.values():
        place.pop("title", None)
        if "properties" not in place:
            continue
        for name, shape in place["properties"].items():
            shape.pop("title", None)
            shape.pop("default", None)
            place["properties"][name] = described(shape, WORDS[name])
        place["required"] = ["schema_version"] if place is found else []
        place["required"] += as_read.get("required", [])
        place["additionalProperties"] = False
    found["properties"]["schema_version"] = {"const": 1, "description": WORDS["schema_version"]}
    found.pop("description", None)
    return found


def _answer_of_run() -> Shape:
    """Return the shape of what `run --json` answers: the summary, and two keys more."""
    found = _summary()
    found["properties"] |= {"out": described(TEXT, WORDS["out"]), "passed": described(FLAG, WORDS["passed"])}
    found["required"] += ["out", "passed"]
    return found


_RUN_INFO: dict[str, Shape] = {
    "command": TEXT, "options": said("Options of the run by name, as `run --replay` takes them.", _OPEN),
    "told": rows(TEXT), "in_memory": rows(TEXT), "rules": maybe(TEXT), "schedule": said("Its mode.", TEXT),
    "seeds": table(INTEGER), "versions": table(maybe(TEXT)), "machine": table(TEXT), "model_sha256": TEXT,
    "target_sha256": maybe(TEXT), "data_sha256": table(TEXT),
    "static_cycles_by_cost_model": table(maybe(NUMBER)),
    "preprocess": record(
        {
            "rule": TEXT, "mean": rows(NUMBER), "std": rows(NUMBER), "order": TEXT, "layout": TEXT,
            "reverse_channels": FLAG, "shape": maybe(rows(INTEGER)), "white": maybe(NUMBER),
        }
    ),
    "preprocess_tried": rows(rows(any_of(TEXT, NUMBER))), "from_cache": rows(TEXT),
    "pruning": maybe(said("What was pruned, by the goal that was asked for.", _OPEN)),
    "training": said("How heads or the network were trained, by the trainer.", _OPEN),
    "calibration": said("How integers were found, by the way of quantizing.", _OPEN),
    "front": rows(
        record(
            {
                "thresholds": rows(maybe(NUMBER)), "val_drop": NUMBER, "val_cost": NUMBER,
                "val_ratios": rows(NUMBER), "test_drop": NUMBER, "test_cost": NUMBER,
                "test_ratios": rows(NUMBER),
            }
        )
    ),
    "agreement": record(
        {
            "images": INTEGER, "dynamic_prediction": INTEGER, "dynamic_exit": INTEGER,
            "stages_prediction": INTEGER, "stages_exit": INTEGER,
        }
    ),
    "measured": said("Times on the processor of this machine, by form of the network, ms.", _OPEN),
    "confidence": rows(
        record(
            {
                "exit": TEXT, "rule": TEXT, "parameters": table(ANYTHING), "temperature_val": maybe(NUMBER),
                "calibration_error_val": maybe(pair(NUMBER)), "calibration_error_test": maybe(pair(NUMBER)),
                "calibration_error_gate_val": NUMBER, "calibration_error_gate_test": NUMBER,
            },
            sometimes=("calibration_error_gate_val", "calibration_error_gate_test"),
        )
    ),
    "recycled": rows(maybe(NUMBER)), "seconds": said("By step, s.", table(NUMBER)),
}  # fmt: skip
_WITH_IMAGES = (
    "preprocess", "preprocess_tried", "from_cache", "pruning", "training", "calibration", "front",
    "agreement",
    "measured", "confidence", "recycled", "static_cycles_by_cost_model",
)  # fmt: skip

_DIFFERENCE: dict[str, Shape] = {
    "key": TEXT, "a": NUMBER, "b": NUMBER, "change": NUMBER, "relative": maybe(NUMBER),
    "within_intervals": maybe(FLAG),
}  # fmt: skip
_COMPARED = versioned(
    {
        "run_a": TEXT, "run_b": TEXT, "passed": FLAG, "notes": rows(TEXT),
        "gates": rows(record({"gate": TEXT, "violated": FLAG, **_DIFFERENCE})),
        "differences": rows(record(_DIFFERENCE)), "only_a": rows(TEXT), "only_b": rows(TEXT),
    }
)  # fmt: skip
_CHANGE = maybe(
    record(
        {
            "points": said("Second minus first, points.", NUMBER), "lo95": NUMBER, "hi95": NUMBER,
            "gained": INTEGER, "lost": INTEGER, "p_value": said("Of McNemar's exact test.", NUMBER),
        }
    )
)  # fmt: skip
_COMPARED_2 = versioned(
    {
        "baseline": TEXT,
        "runs": said("Baseline first.", rows(record({"run": TEXT, "path": TEXT, "label": TEXT}))),
        "passed": FLAG, "notes": rows(TEXT),
        "gates": rows(record({"gate": TEXT, "run": TEXT, "violated": FLAG, **_DIFFERENCE})),
        "paired": rows(
            record(
                {
                    "run": TEXT, "images": INTEGER, "with_exits": _CHANGE, "without_exits": _CHANGE,
                    "reason": maybe(TEXT),
                }
            )
        ),
        "figures": rows(
            record(
                {
                    "key": TEXT, "name": maybe(TEXT), "unit": TEXT, "better": INTEGER,
                    "values": rows(maybe(NUMBER)), "against_baseline": rows(maybe(record(_DIFFERENCE))),
                    "verdicts": rows(TEXT),
                }
            )
        ),
    },
    version=2,
)  # fmt: skip

_ACCURACY = record(
    {
        "images": INTEGER, "accuracy_float": NUMBER, "float_ci95": pair(NUMBER), "accuracy_quant": NUMBER,
        "quant_ci95": pair(NUMBER), "drop": NUMBER, "drop_ci95": pair(NUMBER),
    }
)  # fmt: skip
_OF_EXIT = rows(record({"name": TEXT, "val": _ACCURACY, "test": _ACCURACY}))
_NOISE = record({"sqnr_db": maybe(NUMBER), "divergence": NUMBER})
_QUANTIZED: dict[str, Shape] = {
    "model": TEXT, "target": TEXT, "objective": TEXT, "data": TEXT, "seed": INTEGER,
    "preprocess": said("Name of the rule.", TEXT), "schemes": rows(TEXT),
    "calibration": record(
        {
            "calibration": TEXT, "images": INTEGER, "rounding": said("By layer.", table(TEXT)),
            "equalization": maybe(said("Of channels around depthwise layers.", _OPEN)),
        }
    ),
    "keep_float": rows(TEXT), "max_drop": maybe(NUMBER), "quantize": TEXT, "requantize": FLAG,
    "qat_epochs": maybe(INTEGER), "exits": _OF_EXIT, "exits_calibrated": _OF_EXIT,
    "training": said("How it was trained for its integers; empty where it was not.", _OPEN),
    "sensitivity": rows(record({"layer": TEXT, "only": _NOISE, "without": _NOISE})),
    "sensitivity_images": INTEGER,
    "suggested": record({"keep_float": rows(TEXT), "share_of_noise": NUMBER}),
    "tried": rows(record({"keep_float": rows(TEXT), "drop_on_val": NUMBER})), "notes": rows(TEXT),
    "placement": maybe(TEXT), "bits": table(INTEGER),
    "front": rows(table(any_of(NUMBER, TEXT, FLAG, {"type": "null"}))), "out": TEXT,
}  # fmt: skip
_MAPPINGS: dict[str, Shape] = {
    "objective": TEXT, "val_images": INTEGER, "float_accuracy": rows(NUMBER),
    "choices": table(rows(record({"scheme": TEXT, "cost": NUMBER, "loss": NUMBER}))),
    "points": rows(
        record(
            {
                "name": TEXT, "schemes": said("By layer.", table(TEXT)), "value": NUMBER,
                "latency_cycles": NUMBER, "energy_pj": NUMBER, "loss_nats": maybe(NUMBER),
                "accuracy_val": rows(NUMBER), "predicted_cost": maybe(NUMBER),
                "predicted_loss": maybe(NUMBER),
                "front": said("No other mapping is cheaper and as good.", FLAG), "taken": FLAG,
            }
        )
    ),
}  # fmt: skip

_COLOUR: Shape = {"type": "string", "pattern": "^#[0-9a-f]{6}$"}
_OVERLAY = {
    "type": "object", "minProperties": 1, "maxProperties": 1,
    "additionalProperties": record(
        {
            "name": said("What the viewer calls the data set.", TEXT),
            "results": said(
                "Id of a node (its name) -> what is shown there.",
                table(
                    record(
                        {
                            "value": said("A figure, or words.", any_of(NUMBER, TEXT)),
                            "bgColor": said("Colour of the node.", _COLOUR),
                        },
                        sometimes=("bgColor",),
                    )
                ),
            ),
            "gradient": said(
                "Colours between the least (0) and the highest (1) figure.",
                rows(record({"stop": said("From 0 to 1.", NUMBER), "bgColor": said("Colour there.",
                _COLOUR)})),
            ),
        },
        "Of the graph of this name.",
        sometimes=("gradient",),
    ),
}  # fmt: skip
_TRACE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "traceEvents": rows(
            {
                "type": "object",
                "properties": {
                    "ph": {"enum": ["M", "X", "C", "i"]},
                    "name": TEXT,
                    "ts": NUMBER,
                    "dur": NUMBER,
                },
                "required": ["ph", "name"],
            }
        ),
        "otherData": said(
            "What a reader cannot tell from the events: utilization, capacities, energies.", _OPEN
        ),
    },
    "required": ["traceEvents", "otherData"],
    "additionalProperties": False,
}

DOCUMENTS = (
    Document("summary", "`summary.json` of a run", _summary()),
    Document("run", "`eecompile run --json`, `eecompile retune --json`", _answer_of_run()),
    Document("run-info", "`run.json` of a run", versioned(_RUN_INFO, sometimes=_WITH_IMAGES)),
    Document(
        "report", "`eecompile report --json`", versioned({"report": TEXT, "exported": rows(TEXT)})
    ),
    Document("compare", "`eecompile compare --json`", _COMPARED_2, version=2),
    Document("compare", "`eecompile compare --json` before that compared more than two runs", _COMPARED),
    Document("quantize", "`quantize.json`, `eecompile quantize --json`", versioned(_QUANTIZED)),
    Document("mappings", "`front.json` of `eecompile quantize --frontier`", versioned(_MAPPINGS)),
    Document(
        "overlay", "`overlay.json`, `overlay/`, `eecompile cost --overlay`", _OVERLAY,
        note="The form is Model Explorer's, which has no place for a version; more it does not take from us.",
    ),
    Document(
        "trace", "`schedule.trace.json`, `eecompile cost --trace`, `points/*.trace.json`", _TRACE,
        note="The form is that of Chrome traces, which has no place for a version; events hold more keys.",
    ),
)  # fmt: skip
