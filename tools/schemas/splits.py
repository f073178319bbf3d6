"""What the verb answers that splits a run between a device and a server."""

from __future__ import annotations

from tools.schemas.shapes import INTEGER, NUMBER, TEXT, Document, Shape, maybe, record, rows, said, versioned

_PAIR: Shape = {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}
_TEST = record(
    {
        "latency_s": said("expected latency of an image, s", NUMBER),
        "p99_s": said("99 of 100 images take no longer, s", NUMBER),
        "energy_j": said("expected energy of the device for an image, J", NUMBER),
        "sent": said("share of images that are sent, 0 to 1", NUMBER),
        "payload_bytes": said("mean payload of those, measured, bytes; 0 if none is sent", NUMBER),
        "entropy_bytes": said(
            "empirical entropy of what is sent, per image of all, bytes; null: nothing, or floats",
            maybe(NUMBER),
        ),
        "leaves": said("share of images that leave at each exit of the plan, then behind them", rows(NUMBER)),
        "accuracy": said("share of right answers, 0 to 1", NUMBER),
        "accuracy_ci95": said("its 95 % Wilson interval", _PAIR),
        "drop": said(
            "accuracy lost against the network without exits on the device, points, paired",
            record(
                {
                    "points": said("points lost", NUMBER),
                    "lo95": said("low end of its 95 % bootstrap interval", NUMBER),
                    "hi95": said("high end", NUMBER),
                }
            ),
        ),
        "images": said("how many test images", INTEGER),
    }
)
_ROW = record(
    {
        "plan": said("number of the plan in device/plans.json", INTEGER),
        "loss": said("share of segments lost, 0 to 1", NUMBER),
        "low_bit_per_s": said("slowest link for which the plan is best, bit/s; 0: however slow", NUMBER),
        "high_bit_per_s": said("fastest one, bit/s; null: however fast", maybe(NUMBER)),
        "exits": said("early exits on the device", rows(TEXT)),
        "thresholds": said("one for each", rows(NUMBER)),
        "sends": said("how features are sent, in words; empty: nothing is sent", TEXT),
        "cut": said("where the network is cut; empty: nowhere", TEXT),
        "shown_bit_per_s": said("speed that the figures are of, bit/s", NUMBER),
        "val": said("expected objective there on val, s or J", NUMBER),
        "test": said("what the plan comes to there on test", _TEST),
    }
)

DOCUMENTS = (
    Document(
        "split",
        "`eecompile split --json`",
        versioned(
            {
                "run": said("name of the run directory", TEXT),
                "target": said("target of the device", TEXT),
                "objective": said("what is least: latency or energy", TEXT),
                "rates": said("slowest and fastest link that was asked for, bit/s", _PAIR),
                "rtt_s": said("round trip, s", NUMBER),
                "max_drop": said("points that may be lost on val", NUMBER),
                "server": said("how the server's time is known", TEXT),
                "radio": said("radio of the device, and where its figures stand", TEXT),
                "rows": said("bands of link speeds, by loss, from slow to fast", rows(_ROW)),
                "plans": said("how many plans were written", INTEGER),
                "offers": said("how many ways to send were compared on val", INTEGER),
                "out": said("folder of device/ and server/", TEXT),
            }
        ),
    ),
)
