"""The verb `serve`: runs behind a server."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eecompile.verbs.given.lists import numbers
from eecompile.verbs.progress import Progress, silent
from passes.errors import InputError

if TYPE_CHECKING:
    from eecompile.server.running import RunningServer

HOST, PORT, MAX_QUEUE = "127.0.0.1", 8080, 1024


def serve(
    runs: Path | str | Sequence[Path | str],
    policy: str = "fifo",
    batch: str = "none",
    slo: float | None = None,
    priority: Sequence[float] | None = None,
    host: str = HOST,
    port: int = PORT,
    grpc_port: int | None = None,
    max_body: int | None = None,
    max_queue: int = MAX_QUEUE,
    threads: int = 1,
    progress: Progress = silent,
) -> RunningServer:
    """Answer images over the Open Inference Protocol, version 2, stage by stage.

    What comes back serves already, in threads of its own: use it with ``with``, which ends it, or call its
    ``wait``, which returns after SIGTERM or SIGINT. Ended either way it finishes what it took.

    Args:
        runs: Run directories (or others that `eecompile.server.kinds` knows); each is a model by its name.
        policy: Who is next, as `simulate` knows them; see docs/serving.md.
        batch: With whom: ``none``, ``timeout:8,2ms`` or ``fluid:8``.
        slo: Seconds from arrival to deadline, for policies that look at it; absent: no deadline.
        priority: Of each run's requests; all alike if absent. A request may bring its own.
        host: Address to listen on.
        port: For HTTP; 0: any that is free.
        grpc_port: For gRPC, which is not spoken if absent; 0: any that is free.
        max_body: Bytes of a request at most; 16 MiB if absent.
        max_queue: Images that may be in at once; whoever brings more is told when to come again.
        threads: Of onnxruntime, for one stage.
        progress: Called with one line of text per step.

    Raises:
        InputError: No such run, a damaged one, a policy or batches that are none, an address that is taken,
            or a package that is not installed.

    Examples:
        >>> from eecompile import api
        >>> with api.serve("tiny-run", port=0) as server:
        ...     server.models
        ('tiny-run',)
    """
    from eecompile.serving.batches.batching import batching_of
    from eecompile.serving.policies import policy_named

    try:
        from eecompile.server.limits import Limits
        from eecompile.server.running import RunningServer, ServerOptions
    except ModuleNotFoundError as error:
        raise InputError(
            f"`serve` needs {error.name}, which is not installed", "pip install 'eecompile[serve]'"
        ) from None

    folders = [Path(runs)] if isinstance(runs, str | Path) else [Path(one) for one in runs]
    levels = (1.0,) * len(folders) if priority is None else numbers("priority", priority, "(9, 1)")
    if not folders:
        raise InputError("there is no run to serve", "name a run directory")
    if len(levels) != len(folders):
        raise InputError(
            f"`priority` has {len(levels)} for {len(folders)} runs", "one for each run, in their order"
        )
    for name, value in (("slo", slo), ("max_body", max_body), ("max_queue", max_queue), ("threads", threads)):
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"`{name}` cannot be {value}", "a number above 0")
    for name, value in (("port", port), ("grpc_port", grpc_port)):
        if value is not None and not 0 <= value < 2**16:
            raise InputError(f"`{name}` cannot be {value}", "0 to 65535")
    chosen, batching = policy_named(policy), batching_of(batch)
    if chosen.needs_truth:
        raise InputError(f"policy '{policy}' asks for what only a simulation knows", "name another policy")
    if batching.kind == "fixed":
        raise InputError(
            f"batches of {batch} wait for ever for a request that does not come",
            f"timeout:{batching.size},2ms",
        )
    limits = Limits() if max_body is None else Limits(body_bytes=max_body)
    options = ServerOptions(host, port, grpc_port, chosen, batching, slo, max_queue, threads, limits)
    return RunningServer(list(zip(folders, levels, strict=True)), options, progress)
