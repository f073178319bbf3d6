"""What verbs answer about runs under load."""

from __future__ import annotations

from tools.schemas.shapes import INTEGER, NUMBER, TEXT, Document, Shape, maybe, record, rows, said, versioned

_SPREAD: Shape = {
    "type": "array",
    "prefixItems": [NUMBER, maybe(NUMBER), maybe(NUMBER)],
    "items": False,
    "minItems": 3,
}
_OVER_SEEDS = "; mean over seeds, low and high end of its 95 % interval (null of one seed)"
_FIGURES = {
    "mean_s": "latency from arrival to answer, s",
    "p50_s": "its median, s",
    "p95_s": "its 95th percentile, s",
    "p99_s": "its 99th percentile, s",
    "missed": "share of requests behind their deadline",
    "agreement": "share of answers that are those of the final exit; with --adapt or --drift",
    "agreement_last": "the same of the last quarter of the requests",
    "free_labels": "requests that left early and ran on to the final exit, per request",
    "moves": "how often thresholds moved",
    "throughput": "requests per second from the first arrival to the last answer",
    "utilisation": "share of time in which the accelerator worked",
    "energy_j": "energy per request, J",
    "fairness": "Jain's index of slowdowns, 0 to 1",
    "interruptions": "interruptions per request",
    "loads": "how often weights were brought, per request",
    "spills": "how often an interrupted request was moved off chip for lack of room, per request",
    "refused": "how often one went on while others waited, for lack of room to leave it, per request",
    "peak_memory": "the most that interrupted requests had in the memories at a time, bytes",
    "accuracy": "share of right answers",
}
_WATCHED = ("agreement", "agreement_last", "free_labels", "moves")
_SEEN = ("mean_s", "p50_s", "p95_s", "p99_s", "missed", "accuracy")
_STREAM = record(
    {
        "name": said("of it", TEXT),
        "network": said("name of its network", TEXT),
        "rate": said("requests per second on average", NUMBER),
        "slo_s": said("from arrival to deadline, s", NUMBER),
        "priority": said("of its requests", NUMBER),
    }
)
_ROW = record(
    {
        "form": said(
            "static (without exits), exits, floor (thresholds give way) or adapt (they follow images)", TEXT
        ),
        "policy": said("who was next", TEXT),
        "batch": said("how requests ran together, as `--batch` reads it", TEXT),
        "figures": said(
            "figures by name",
            record(
                {name: said(words + _OVER_SEEDS, _SPREAD) for name, words in _FIGURES.items()},
                sometimes=("accuracy", *_WATCHED),
            ),
        ),
        "streams": said(
            "figures of the requests of each stream, in their order",
            rows(
                record(
                    {name: said(_FIGURES[name] + _OVER_SEEDS, _SPREAD) for name in _SEEN},
                    sometimes=("accuracy",),
                )
            ),
        ),
        "capacity": said(
            f"highest rate with at most 1 % late of each stream, 1/s{_OVER_SEEDS}; null if not asked for",
            maybe(_SPREAD),
        ),
        "cores": said(
            f"share of time in which a core, link or port was in use{_OVER_SEEDS}; empty without --overlap",
            {"type": "object", "additionalProperties": _SPREAD},
        ),
        "rungs": said(
            f"share of time on each rung of the ladders{_OVER_SEEDS}; empty without a floor", rows(_SPREAD)
        ),
    }
)
_RUNG = record(
    {
        "network": said("name of the run directory", TEXT),
        "thresholds": said("one per early exit", rows(NUMBER)),
        "accuracy_val": said("share of right answers on val", NUMBER),
        "bounded_val": said("accuracy without exits less the bound on the drop, as run has it", NUMBER),
        "expected_s": said("time of an image alone, mean of val, s", NUMBER),
    }
)
_BATCH_COST = record(
    {
        "network": said("name of its run", TEXT),
        "form": said("static or exits", TEXT),
        "image_s": said("of each stage: time of a batch of 1, 2, … over its size, s", rows(rows(NUMBER))),
        "image_j": said("of each stage: energy of a batch of 1, 2, … over its size, J", rows(rows(NUMBER))),
    }
)

_NUMBERS = {"type": "array", "prefixItems": [NUMBER, NUMBER], "items": False, "minItems": 2}
_POLICY_DETAIL = record(
    {
        "form": said("static, exits, floor or adapt, as of the rows", TEXT),
        "policy": said("who was next", TEXT),
        "batch": said("who ran together", TEXT),
        "tail": said("share of requests that take longer, and than how many seconds", rows(_NUMBERS)),
        "exits": said("of each network, the share of requests that leave at each exit", rows(rows(NUMBER))),
        "curve": said("requests per second, and share that is late then", rows(_NUMBERS)),
    }
)
_SHOWN_STAGE = record(
    {
        "begin_s": said("when it began, s", NUMBER),
        "end_s": said("when it ended, s", NUMBER),
        "network": said("number of its network", INTEGER),
        "stage": said("number of the stage", INTEGER),
        "requests": said("numbers of the requests", rows(INTEGER)),
    }
)
_SHOWN_REQUEST = record(
    {
        "number": said("by arrival", INTEGER),
        "network": said("number of its network", INTEGER),
        "arrival_s": said("when it came, s", NUMBER),
        "deadline_s": said("when it was due, s; null: never", maybe(NUMBER)),
        "finish_s": said("when it was answered, s", NUMBER),
    }
)
_DETAIL = record(
    {
        "seed": said("the seed whose requests these are", INTEGER),
        "rows": said("each way to serve", rows(_POLICY_DETAIL)),
        "stages": said("a window of what ran by the last of them", rows(_SHOWN_STAGE)),
        "requests": said("that had these stages", rows(_SHOWN_REQUEST)),
    }
)

DOCUMENTS = (
    Document(
        "serve",
        "`eecompile serve --json`, one line when it is ready",
        versioned(
            {
                "url": said("of HTTP, without a path", TEXT),
                "grpc": said("host and port of gRPC; null: not spoken", maybe(TEXT)),
                "models": said("names of the models", rows(TEXT)),
                "policy": said("who is next", TEXT),
                "batching": said("who runs together", TEXT),
                "pid": said("number of the process", INTEGER),
            }
        ),
    ),
    Document(
        "simulate",
        "`eecompile simulate --json`",
        versioned(
            {
                "networks": said("names of the run directories", rows(TEXT)),
                "streams": said("who asks them", rows(_STREAM)),
                "rate": said("requests per second on average, of all streams", NUMBER),
                "static_load": said("share of time in which the networks without exits would work", NUMBER),
                "bound": said("mean service time without exits over that with them, one by one", NUMBER),
                "batch_bound": said("the same with exits in the batches that cost least per image", NUMBER),
                "core_bound": said(
                    "how many times the rate without exits, one by one, exits serve at most beside each "
                    "other and in batches; null without --overlap",
                    maybe(NUMBER),
                ),
                "busiest": said("the core, link or port that is always in use then", maybe(TEXT)),
                "batch_costs": said(
                    "what an image takes in batches; empty where none were asked for", rows(_BATCH_COST)
                ),
                "requests": said("requests of each seed, on average", INTEGER),
                "seeds": said("the seeds", rows(INTEGER)),
                "rows": said("the network without exits first, then the policies", rows(_ROW)),
                "notes": said("what is known of the memories that networks share", rows(TEXT)),
                "ladders": said(
                    "thresholds that give way, rungs of each network; empty without a floor",
                    rows(rows(_RUNG)),
                ),
                "detail": said("what a page shows beside; null where none was asked for", maybe(_DETAIL)),
            }
        ),
    ),
)
