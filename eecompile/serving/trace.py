"""A window of what ran, for https://ui.perfetto.dev."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eecompile.serving.crowd import Crowd
from eecompile.serving.outcome import ServingOutcome
from passes.files import write_atomic
from targets.schedule.view.lanes import lanes_of

# Events of a window: more make a file that a browser opens slowly.
MOST = 20_000


def write_window(path: Path, names: Sequence[str], crowd: Crowd, outcome: ServingOutcome) -> None:
    """Write the first stages that ran, and from arrival to answer each request they served.

    A process for the accelerator, with a track for each stage of those that run at once, and one for the
    requests of each network; times are in microseconds.

    Args:
        path: Where to.
        names: Of the networks.
        crowd: What was served.
        outcome: With what ran, see `ServingOutcome.ran`.
    """
    ran = outcome.ran[:MOST]
    events: list[dict[str, Any]] = [
        _named(0, "accelerator"),
        *(_named(n + 1, f"requests: {x}") for n, x in enumerate(names)),
    ]
    lanes = lanes_of((one.begin_s, one.end_s) for one in ran)
    events += [
        {
            "ph": "M",
            "pid": 0,
            "tid": lane,
            "name": "thread_name",
            "args": {"name": f"stages at once: {lane + 1}"},
        }
        for lane in range(max(lanes, default=0) + 1)
    ]
    for lane, stage in zip(lanes, ran, strict=True):
        events.append(
            {
                "ph": "X", "pid": 0, "tid": lane, "name": f"{names[stage.model]} stage {stage.stage}",
                "ts": 1e6 * stage.begin_s, "dur": 1e6 * (stage.end_s - stage.begin_s),
                "args": {"requests": list(stage.requests)},
            }
        )  # fmt: skip
    requests = crowd.requests
    for one in sorted({one for stage in ran for one in stage.requests}):
        begin, end = float(requests.arrival_s[one]), float(outcome.finish_s[one])
        common = {
            "cat": "request",
            "id": one,
            "pid": int(requests.model[one]) + 1,
            "tid": 0,
            "name": f"request {one}",
        }
        late = bool(end > requests.deadline_s[one])
        events.append(
            {
                "ph": "b",
                "ts": 1e6 * begin,
                "args": {"stages": int(requests.stages[one]), "late": late},
                **common,
            }
        )
        events.append({"ph": "e", "ts": 1e6 * end, **common})
    write_atomic(path, json.dumps({"traceEvents": events}).encode())


def _named(process: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}}
