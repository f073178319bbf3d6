"""Tables of a front: what they hold of it."""

from __future__ import annotations

from eecompile.quantization.mapping.scheme_front import SchemeFront, SchemePoint
from eecompile.quantization.mapping.scheme_search import SchemeChoice
from eecompile.quantization.mapping.scheme_tables import front_json, front_rows
from targets.evaluation.paths import Cost
from targets.objective import EDP, LATENCY


def point(name: str, scheme: str, cycles: int, loss: float) -> SchemePoint:
    return SchemePoint(name, {"conv_0": scheme}, Cost.at_clock(1, cycles, 2.0, None), loss, (0.9, 0.8), -0.5)


USUAL, NARROW = point("usual", "int8-channel", 20, 0.1), point("", "int4-channel", 10, 0.3)
FRONT = SchemeFront(
    USUAL,
    (NARROW, USUAL),
    (NARROW, USUAL),
    {"conv_0": (SchemeChoice("int4-channel", -0.5, 0.2),)},
    (0.95, 0.9),
    7,
)


def test_files_hold_what_was_measured_and_what_was_foretold() -> None:
    told = front_json(FRONT, EDP, taken=NARROW)
    assert (told["objective"], told["val_images"], told["float_accuracy"]) == ("edp", 7, [0.95, 0.9])
    assert told["choices"] == {"conv_0": [{"scheme": "int4-channel", "cost": -0.5, "loss": 0.2}]}
    assert [entry["taken"] for entry in told["points"]] == [True, False]
    first = told["points"][0]
    assert (first["value"], first["latency_cycles"], first["energy_pj"]) == (20.0, 10, 2.0)
    assert (first["loss_nats"], first["accuracy_val"], first["predicted_cost"]) == (0.3, [0.9, 0.8], -0.5)
    assert front_json(FRONT, LATENCY)["points"][0]["value"] == 10


def test_rows_say_what_differs_from_the_usual() -> None:
    rows = front_rows(FRONT, USUAL.schemes, {0: 0.5})
    assert [row["changed"] for row in rows] == ["conv_0=int4-channel", ""]
    assert [row["accuracy_test"] for row in rows] == [0.5, None]
    assert [(row["mapping"], row["accuracy_val"], row["front"]) for row in rows] == [
        ("", 0.8, True),
        ("usual", 0.8, True),
    ]
