"""A server that notes what each stage took of its core, and what of it HTTP took meanwhile.

    python -m tools.experiments.logged_server RUN

It serves RUN as `eecompile serve` does, first come, first served, one image at a time, and prints where as a
line of JSON. For each line on stdin, a path, it writes there what it has noted since the last one, and
answers with a line. Times are of threads, by the clocks that the system keeps for them: a thread that waits,
or whose core runs another one, has none.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from eecompile import api
from eecompile.server.contract import Answered, GoesOn, Known
from eecompile.server.engine import StageEngine
from eecompile.server.jobs import RequestJob
from eecompile.server.run_model import RunModel


class Log:
    """What was noted; all in seconds.

    Attributes:
        stages: Of each stage that ran, in their order: its number, its time, and the time of HTTP and of the
            thread of stages until it began.
        writes: Of each answer, the time of HTTP from where it was there to where it was sent; right where no
            other request is in.
    """

    def __init__(self) -> None:
        self.stages: list[tuple[float, ...]] = []
        self.writes: list[float] = []
        self._there = 0.0
        self._http: int | None = None

    def find_http(self) -> None:
        """Look up the clock of the thread of HTTP."""
        (thread,) = (one for one in threading.enumerate() if one.name == "http")
        assert thread.ident is not None
        self._http = time.pthread_getcpuclockid(thread.ident)

    def http_s(self) -> float:
        """Return what that thread took so far; 0 where it is not known yet."""
        return 0.0 if self._http is None else time.clock_gettime(self._http)

    def listen(self) -> None:
        """Be told by the parts of the server."""
        run_stage, finish, send = RunModel.run_stage, StageEngine._finish, RequestResponseCycle.send
        log = self

        def noted_stage(self: RunModel, stage: int, images: Sequence[Known]) -> Sequence[Answered | GoesOn]:
            http = log.http_s()
            begin = time.thread_time()
            found = run_stage(self, stage, images)
            log.stages.append((stage, time.thread_time() - begin, http, begin))
            return found

        def noted_finish(self: StageEngine, job: RequestJob) -> None:
            log._there = log.http_s()
            finish(self, job)

        async def noted_send(self: RequestResponseCycle, message: Any) -> None:
            await send(self, message)
            if message["type"] == "http.response.body":
                log.writes.append(time.thread_time() - log._there)

        # The classes themselves: the server makes its parts, and has no place for such a log.
        RunModel.run_stage = noted_stage  # type: ignore[method-assign]
        StageEngine._finish = noted_finish  # type: ignore[method-assign]
        RequestResponseCycle.send = noted_send  # type: ignore[method-assign]

    def write(self, path: Path) -> None:
        """Write what was noted, and begin anew."""
        stages, writes = self.stages, self.writes
        self.stages, self.writes = [], []
        np.savez(path, stages=np.array(stages).reshape(-1, 4), writes=np.array(writes))


def main() -> None:
    """Serve until stdin ends."""
    log = Log()
    log.listen()
    with api.serve(Path(sys.argv[1]), port=0, max_queue=1_000_000) as server:
        log.find_http()
        gc.collect()
        gc.freeze()  # as the command does
        print(json.dumps({"url": server.url, "model": server.models[0]}), flush=True)
        for line in sys.stdin:
            log.write(Path(line.strip()))
            print("written", flush=True)


if __name__ == "__main__":
    main()
