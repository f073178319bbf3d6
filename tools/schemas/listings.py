"""What verbs answer that look at networks, targets, passes and the installation."""

from __future__ import annotations

from tools.schemas.costs import INTERVALS
from tools.schemas.shapes import (
    ANYTHING,
    FLAG,
    INTEGER,
    NUMBER,
    TEXT,
    Document,
    any_of,
    maybe,
    record,
    rows,
    said,
    table,
    versioned,
)  # fmt: skip

_SHAPE = rows(INTEGER)
_DECLINE = record({"pass_name": TEXT, "subject": TEXT, "reason": TEXT})
_EXIT = record(
    {
        "name": TEXT, "mount": TEXT, "output": TEXT, "threshold": maybe(NUMBER), "confidence": TEXT,
        "head": TEXT, "confidence_parameters": table(ANYTHING), "apart": FLAG, "reads": TEXT,
    },
    sometimes=("confidence_parameters", "apart", "reads"),
)  # fmt: skip
_CHECK = record(
    {
        "verdict": TEXT, "outputs": rows(TEXT), "max_difference": maybe(NUMBER), "sqnr_db": maybe(NUMBER),
        "detail": TEXT,
    }
)  # fmt: skip

DOCUMENTS = (
    Document(
        "inspect",
        "`eecompile inspect --json`",
        versioned(
            {
                "model": TEXT, "target": TEXT, "input_shape": _SHAPE, "inputs": table(_SHAPE),
                "outputs": table(_SHAPE), "classes": maybe(INTEGER), "weights": FLAG,
                "nodes_in_file": INTEGER,
                "nodes": rows(
                    record(
                        {
                            "name": TEXT, "op_type": TEXT, "origin": rows(TEXT), "layer": TEXT, "core": TEXT,
                            "weight_bits": maybe(INTEGER), "activation_bits": maybe(INTEGER),
                            "input_shapes": rows(_SHAPE), "output_shapes": rows(_SHAPE),
                            "reasons": rows(TEXT),
                        }
                    )
                ),
                "absorbed": rows(TEXT), "exits": rows(_EXIT), "exits_from": TEXT,
                "mounts": rows(
                    record(
                        {
                            "tensor": TEXT, "name": TEXT, "ok": FLAG, "reason": TEXT, "macs": INTEGER,
                            "macs_fraction": NUMBER, "rank": maybe(INTEGER),
                        }
                    )
                ),
                "declined": rows(_DECLINE), "notes": rows(TEXT),
            }
        ),
    ),
    Document(
        "opt",
        "`eecompile opt --json`",
        versioned(
            {
                "model": TEXT, "passed": FLAG,
                "passes": rows(
                    record(
                        {
                            "text": TEXT, "changed": FLAG, "nodes_before": INTEGER, "nodes_after": INTEGER,
                            "seconds": said("Wall time, s.", NUMBER), "check": maybe(_CHECK),
                        }
                    )
                ),
                "declined": rows(_DECLINE), "out": maybe(TEXT), "stages": rows(TEXT), "notes": rows(TEXT),
            }
        ),
    ),
    Document(
        "targets",
        "`eecompile targets --json`",
        versioned(
            {
                "targets": rows(
                    record(
                        {
                            "name": TEXT, "summary": TEXT, "clock_hz": maybe(NUMBER),
                            "operating_points": rows(
                                record(
                                    {
                                        "name": TEXT, "clock_hz": NUMBER, "voltage_v": maybe(NUMBER),
                                        "energy_scale": NUMBER,
                                    }
                                )
                            ),
                            "cores": rows(
                                record({"name": TEXT, "kind": TEXT, "schemes": rows(TEXT),
                                "operators": rows(TEXT)})
                            ),
                            "cost_models": table(
                                record(
                                    {
                                        "source": TEXT, "known_error": TEXT, "validation": TEXT,
                                        "intervals": INTERVALS,
                                    }
                                )
                            ),
                            "schedules": table(TEXT),
                            "support": rows(record({"op_type": TEXT, "core": TEXT, "rules": rows(TEXT)})),
                            "figures": rows(
                                record(
                                    {
                                        "path": TEXT, "value": any_of(NUMBER, TEXT, {"type": "null"}),
                                        "known": TEXT, "source": TEXT,
                                    }
                                )
                            ),
                        }
                    )
                )
            }
        ),
    ),
    Document(
        "passes",
        "`eecompile passes --json`",
        versioned(
            {
                "passes": rows(
                    record(
                        {
                            "name": TEXT, "summary": TEXT, "rules": rows(TEXT), "notes": TEXT,
                            "options": rows(
                                record({"name": TEXT, "type": TEXT, "default": maybe(TEXT)})
                            ),
                        }
                    )
                )
            }
        ),
    ),
    Document(
        "export",
        "`eecompile export --json`",
        versioned(
            {
                "folder": TEXT, "files": rows(TEXT), "exits": rows(TEXT),
                "form": said("the form written", TEXT), "model": said("name, as clients call it", TEXT),
                "rounding": TEXT, "constant_bytes": INTEGER, "buffer_bytes": INTEGER,
            },
            sometimes=("form", "model", "rounding", "constant_bytes", "buffer_bytes"),
        ),
    ),
    Document(
        "doctor",
        "`eecompile doctor --json`",
        versioned(
            {
                "healthy": FLAG,
                "findings": rows(record({"name": TEXT, "status": TEXT, "detail": TEXT, "fix": TEXT})),
            }
        ),
    ),
)  # fmt: skip
