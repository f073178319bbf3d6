"""What searches write, and what is looked at of them."""

from __future__ import annotations

from tools.schemas.shapes import (
    ANYTHING,
    FLAG,
    INTEGER,
    NUMBER,
    TEXT,
    Document,
    Shape,
    any_of,
    maybe,
    pair,
    record,
    rows,
    said,
    table,
    versioned,
)  # fmt: skip

_PARAMS = table(any_of(NUMBER, TEXT, FLAG, {"type": "null"}))
_COSTS: dict[str, Shape] = {
    "edp_j_cycles": NUMBER, "energy_pj": NUMBER, "latency_cycles": NUMBER, "macs": NUMBER, "edp_js": NUMBER,
    "latency_s": NUMBER,
}  # fmt: skip
_CLOCKED = ("edp_js", "latency_s")
_WORST: dict[str, Shape] = {"worst_latency_cycles": NUMBER, "worst_latency_s": NUMBER, "memory_bytes": NUMBER}
_EXIT = record(
    {
        "name": TEXT, "mount": TEXT, "head": TEXT, "confidence": TEXT, "threshold": maybe(NUMBER),
        "ratio": NUMBER, "confidence_parameters": table(ANYTHING),
    },
    sometimes=("confidence_parameters",),
)  # fmt: skip
_FIGURES = record({"accuracy_val": NUMBER, **_COSTS, **_WORST}, sometimes=("accuracy_val", *_COSTS, *_WORST))
_BROKEN = record(
    {
        "constraint": TEXT, "reached": maybe(NUMBER), "asked": maybe(NUMBER), "excess": NUMBER,
        "operating_point": maybe(TEXT),
    },
    sometimes=("operating_point", "excess"),
)  # fmt: skip
_INTEGERS = record(
    {
        "quantize": TEXT, "qat_epochs": maybe(INTEGER), "schemes": rows(TEXT), "images": INTEGER,
        "calibration": TEXT, "placement": maybe(TEXT), "bits": table(INTEGER),
    },
    sometimes=("qat_epochs", "schemes", "images", "calibration", "placement", "bits"),
)  # fmt: skip
_POINT_OF_FRONT: dict[str, Shape] = {
    "trial": INTEGER, "point": INTEGER, "accuracy_val": NUMBER, "accuracy": NUMBER,
    "accuracy_ci95": pair(NUMBER), **_COSTS, **_WORST, "exits": rows(_EXIT), "final_head": TEXT,
    "final_ratio": NUMBER, "cost_ratio": NUMBER, "operating_point": maybe(TEXT),
    "on_test": record({"ratios": rows(NUMBER), **_COSTS}, sometimes=_CLOCKED), "integers": _INTEGERS,
    "design": TEXT, "params": _PARAMS, "before": _FIGURES, "summed": _FIGURES, "feasible": FLAG,
    "networks": table(TEXT),
}  # fmt: skip
_RARE = (
    *_CLOCKED,
    "worst_latency_s",
    "operating_point",
    "cost_ratio",
    "final_ratio",
    "networks",
    "summed",
    "on_test",
)
_PREPROCESS = record(
    {
        "rule": TEXT, "mean": rows(NUMBER), "std": rows(NUMBER), "order": TEXT, "layout": TEXT,
        "reverse_channels": FLAG, "shape": rows(INTEGER), "white": maybe(NUMBER),
    }
)  # fmt: skip
_ABLATIONS = record(
    {"quantized": FLAG, "hardware": FLAG, "fixed_heads": FLAG, "one_threshold": FLAG, "genetic": INTEGER}
)
_FRONT: dict[str, Shape] = {
    "objectives": rows(TEXT), "target": TEXT, "target_file": TEXT, "data": TEXT, "seed": INTEGER,
    "preprocess": _PREPROCESS, "preprocess_asked": TEXT, "images_hash": TEXT, "objective": TEXT,
    "compared_by": rows(TEXT), "operating_points": rows(TEXT), "asked": _ABLATIONS, "trials_done": INTEGER,
    "hypervolume": NUMBER,
    "nearest": maybe(record({"trial": INTEGER, "why": rows(_BROKEN)})),
    "points": rows(record(_POINT_OF_FRONT, sometimes=_RARE)),
    "predictor": record({"designs": INTEGER, "rank_correlation": table(NUMBER)}),
}  # fmt: skip
_FRONT_RARE = ("target_file", "predictor")
_SEARCHED_POINT = record(
    {
        "accuracy_val": NUMBER, **_COSTS, **_WORST, "exits": rows(_EXIT), "final_ratio": NUMBER,
        "cost_ratio": NUMBER, "static_accuracy_val": NUMBER, "final_head": TEXT,
        "operating_point": maybe(TEXT),
        "trial": INTEGER,
    },
    sometimes=(*_CLOCKED, *_WORST, "operating_point", "trial", "final_ratio", "cost_ratio"),
)  # fmt: skip
_TRIAL = record(
    {
        "trial": INTEGER, "params": _PARAMS, "predicted": table(NUMBER), "rung": INTEGER, "design": TEXT,
        "supernet": TEXT, "start": TEXT, "points": rows(_SEARCHED_POINT), "why": rows(_BROKEN),
        "violation": NUMBER, "networks": said("How many networks it was the best of.", NUMBER),
        "static": record({"accuracy_val": NUMBER, **_COSTS}, sometimes=_CLOCKED),
        "static_at": table(record(_COSTS, sometimes=_CLOCKED)),
        "times": table(NUMBER), "seconds": NUMBER, "error": TEXT, "hint": TEXT,
    },
    sometimes=(
        "rung", "design", "supernet", "start", "points", "why", "violation", "networks", "static",
        "static_at", "times",
        "seconds", "error", "hint",
    ),
)  # fmt: skip
_TIMES: dict[str, Shape] = {
    "workers": INTEGER, "designs": INTEGER, "seconds": said("By part.", table(NUMBER)), "overhead": NUMBER,
}  # fmt: skip
_QUESTION = table(ANYTHING)
_MOVED: dict[str, Shape] = {
    "was": _FIGURES, "runs": said("Whether the other hardware can run it.", FLAG), "on_front": FLAG,
    "why": said("Why the other hardware cannot run it.", TEXT),
    "planned": record(
        {"from": maybe(rows(TEXT)), "to": maybe(rows(TEXT))},
        "Exits, as mount and head, before and where the design is solved anew; null where nothing keeps all.",
    ),
}  # fmt: skip
_CORNER = record(
    {
        "name": TEXT, "design": TEXT, "figures": table(NUMBER), "exits": said("How many exits it has.",
        INTEGER),
        "refusal": TEXT, "epoch_s": maybe(NUMBER),
    }
)  # fmt: skip
_DRY_RUN: dict[str, Shape] = {
    "size": TEXT, "designs": INTEGER, "objectives": rows(TEXT), "corners": rows(_CORNER), "trials": INTEGER,
    "seconds": said("Of all trainings, least and most.", maybe(pair(NUMBER))), "shared": FLAG,
}  # fmt: skip
_RESULT = {
    **_FRONT, "out": TEXT, "seconds": said("Wall time, s.", NUMBER),
    "times": versioned(_TIMES),
}  # fmt: skip
_COMMON = rows(table(ANYTHING))

DOCUMENTS = (
    Document("search-front", "`front.json` of a search", versioned(_FRONT, sometimes=_FRONT_RARE)),
    Document("search", "`eecompile search --json`", versioned(_RESULT, sometimes=_FRONT_RARE)),
    Document(
        "search-trials",
        "`trials.json` of a search",
        versioned(
            {
                "searched": record(
                    {"question": _QUESTION, "objectives": rows(TEXT), "reference": table(NUMBER),
                    "version": TEXT}
                ),
                "trials": rows(_TRIAL),
            }
        ),
    ),
    Document("search-times", "`times.json` of a search", versioned(_TIMES)),
    Document(
        "search-point",
        "`points/trial_N_K.json` of a search",
        versioned(
            {
                "trial": INTEGER, "point": INTEGER,
                "paths": rows(record({"exit": TEXT, **_COSTS}, sometimes=_CLOCKED)),
                "layers": rows(
                    record(
                        {
                            "name": TEXT, "op_type": TEXT, "core": TEXT, "exit": TEXT, "macs": INTEGER,
                            "bits": record({"weight": maybe(INTEGER), "input": INTEGER, "output": INTEGER}),
                            "latency_cycles": NUMBER, "energy_pj": NUMBER, "utilization": NUMBER,
                        }
                    )
                ),
                "curve": rows(
                    record(
                        {"thresholds": rows(maybe(NUMBER)), "ratios": rows(NUMBER), "accuracy_val": NUMBER,
                        **_COSTS},
                        sometimes=_CLOCKED,
                    )
                ),
                "training": record(
                    {
                        "epochs": INTEGER, "final_epochs": INTEGER, "quantize": TEXT,
                        "qat_epochs": maybe(INTEGER), "inherit": FLAG,
                    }
                ),
            }
        ),
    ),
    Document(
        "search-targets",
        "`targets.json` of a search for several targets",
        versioned(
            {
                "targets": rows(
                    record(
                        {
                            "target": TEXT, "folder": TEXT, "trials_done": INTEGER, "hypervolume": NUMBER,
                            "points": rows(table(any_of(NUMBER, TEXT, {"type": "null"}))),
                        }
                    )
                ),
                "common": _COMMON,
            }
        ),
    ),
    Document(
        "search-several",
        "`eecompile search --target T1,T2 --json`",
        versioned(
            {"targets": table(versioned(_RESULT, sometimes=_FRONT_RARE)), "common": _COMMON}
        ),
    ),
    Document("dry-run", "`eecompile search --dry-run --json`", versioned(_DRY_RUN)),
    Document(
        "dry-run-several",
        "`eecompile search --dry-run --target T1,T2 --json`",
        versioned({"targets": table(versioned(_DRY_RUN))}),
    ),
    Document("joined", "`eecompile search --join --json`", versioned({"study": TEXT, "designs": INTEGER})),
    Document(
        "whatif",
        "`whatif-NAME.json` of a search, `eecompile whatif --json`, which adds `file`",
        versioned(
            {
                **{name: shape for name, shape in _FRONT.items() if name not in ("hypervolume", "points")},
                "hardware": record(
                    {
                        "of": TEXT, "target": TEXT,
                        "changes": rows(record({"path": TEXT, "old": NUMBER, "new": NUMBER})),
                    }
                ),
                "points": rows(
                    record({**_POINT_OF_FRONT, **_MOVED}, sometimes=(*_POINT_OF_FRONT, *_MOVED))
                ),
                "planned": rows(_SEARCHED_POINT), "not_in_cache": rows(INTEGER), "file": TEXT,
            },
            sometimes=(*_FRONT_RARE, "file"),
        ),
    ),
    Document(
        "why",
        "`eecompile why --json`",
        versioned(
            {
                "trial": INTEGER, "design": TEXT, "state": TEXT,
                "reasons": rows(
                    record({"constraint": TEXT, "reached": maybe(NUMBER), "asked": maybe(NUMBER),
                    "what": TEXT})
                ),
                "levers": rows(TEXT),
            }
        ),
    ),
    Document(
        "front",
        "`eecompile front --json`",
        versioned(
            {
                "objectives": rows(TEXT), "reference": table(NUMBER), "compared_by": table(TEXT),
                "warnings": rows(TEXT),
                "fronts": rows(
                    record(
                        {
                            "title": TEXT, "facts": table(TEXT), "designs": INTEGER,
                            "hypervolume_val": maybe(NUMBER), "hypervolume_test": maybe(NUMBER),
                            "points": rows(table(any_of(NUMBER, TEXT, {"type": "null"}))),
                        }
                    )
                ),
                "files": rows(TEXT),
            }
        ),
    ),
    Document(
        "cache",
        "`eecompile cache --json`",
        versioned(
            {
                "folder": TEXT, "bytes": INTEGER, "removed": INTEGER,
                "kinds": table(record({"entries": said("How many.", INTEGER), "bytes": INTEGER})),
                "entries": rows(
                    record({"kind": TEXT, "digest": TEXT, "title": TEXT, "bytes": INTEGER, "used": NUMBER})
                ),
            }
        ),
    ),
)  # fmt: skip
