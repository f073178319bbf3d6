"""A server that runs: started, waited for, stopped with nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette

from eecompile.server.connection import connection_kind
from eecompile.server.engine import StageEngine
from eecompile.server.inference import Inference
from eecompile.server.limits import Limits
from eecompile.server.metrics import Metrics, Notices, Say
from eecompile.server.repository import Repository
from eecompile.server.rest import rest_app
from eecompile.serving.batches.batching import Batching
from eecompile.serving.dispatch import ONE_BY_ONE
from eecompile.serving.policies import Policy, policy_named
from passes.errors import InputError

INTERRUPTED = 130
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The system may give a signal to any thread, and Python handles it when the main one runs: so that looks up.
_GLANCE_S = 0.3
_IDLE_S = 75
# What was taken is answered by then; a client that does not read its answer is not waited for any longer.
_LAST_WORDS_S = 5


@dataclass(frozen=True)
class ServerOptions:
    """How a server runs.

    Attributes:
        host: Address to listen on.
        port: For HTTP; 0: any that is free.
        grpc_port: For gRPC; ``None``: not spoken.
        policy: Who is next.
        batching: With whom.
        slo_s: Seconds from arrival to deadline; ``None``: no deadline.
        max_queue: Images that are in at most.
        threads: Of onnxruntime.
        limits: Of bodies.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int | None = None
    policy: Policy = field(default_factory=lambda: policy_named("fifo"))
    batching: Batching = ONE_BY_ONE
    slo_s: float | None = None
    max_queue: int = 1024
    threads: int = 1
    limits: Limits = field(default_factory=Limits)


class RunningServer:
    """A server; made, it is ready. Use it with ``with``, or `wait`.

    Attributes:
        url: Of HTTP, without a path.
        grpc_url: Host and port of gRPC; ``None`` where it is not spoken.
        models: Their names.
    """

    def __init__(self, folders: Sequence[tuple[Path, float]], options: ServerOptions, say: Say) -> None:
        """Load, measure and begin to serve.

        Args:
            folders: Directories of the models, with the priority of each.
            options: How it runs.
            say: Is told of starting, stopping, and once of each kind of refusal.

        Raises:
            InputError: A directory that cannot be served, an address that is taken, or gRPC without its
                package.
        """
        self._options, self._say = options, say
        self._start_rpc = None if options.grpc_port is None else _rpc_starter()
        listener = _listener(options.host, options.port)
        self._metrics = metrics = Metrics(Notices(say))
        self._engine = StageEngine(options.policy, options.batching, options.max_queue, metrics)
        try:
            repository = Repository(self._engine, options.threads, metrics.follow)
            for folder, priority in folders:
                say(f"loading {folder}")
                repository.add(folder, priority)
            metrics.show_queue(lambda: self._engine.waiting)
            self._inference = Inference(repository, self._engine, metrics, options.slo_s)
            self._started: Future[str | None] = Future()
            self._http = _Http(rest_app(self._inference, options.limits), options.limits)
            self._over: SimpleQueue[Exception | None] = SimpleQueue()
            self._closing, self._signals = threading.Lock(), 0
            self._thread = threading.Thread(target=self._speak, args=(listener,), name="http", daemon=True)
            self._thread.start()
            self.grpc_url = self._started.result()
        except BaseException:
            listener.close()
            self._engine.close()
            raise
        self.models = tuple(repository.entries)
        self.url = f"http://{_place(options.host, listener.getsockname()[1])}"
        also = f", gRPC at {self.grpc_url}" if self.grpc_url else ""
        say(f"serving {', '.join(self.models)} at {self.url}/v2{also}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def to_json(self) -> dict[str, Any]:
        """Return where it serves what."""
        return {
            "schema_version": 1, "url": self.url, "grpc": self.grpc_url, "models": list(self.models),
            "policy": self._options.policy.name, "batching": str(self._options.batching), "pid": os.getpid(),
        }  # fmt: skip

    def wait(self) -> None:
        """Serve until SIGTERM or SIGINT, then stop as `stop` does; a second one ends the process at once.

        To be called by the main thread, which alone is told of signals.
        """
        before = {number: signal.signal(number, self._asked_to_stop) for number in _SIGNALS}
        try:
            if error := self._when_over():
                raise error
            self.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Take no more requests, finish all that were taken, and end; again: nothing."""
        with self._closing:
            if not self._thread.is_alive():
                return
            self._engine.refuse()
            self._say(f"stopping: {self._engine.waiting} images to finish; no more are taken")
            while not self._engine.drain(_GLANCE_S):
                pass
            self._http.should_exit = True
            while self._thread.is_alive():
                self._thread.join(_GLANCE_S)
            self._engine.close()
            self._say(f"stopped: {self._engine.taken} requests were taken, {self._metrics.summary()}")

    def _when_over(self) -> Exception | None:
        while True:
            with contextlib.suppress(Empty):
                return self._over.get(timeout=_GLANCE_S)

    def _asked_to_stop(self, _: int, __: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(INTERRUPTED)
        self._over.put(None)

    def _speak(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listener))
        except Exception as error:
            if self._started.done():
                self._over.put(error)
            else:
                self._started.set_exception(error)

    async def _serve(self, listener: socket.socket) -> None:
        rpc, rpc_place, options = None, None, self._options
        if self._start_rpc is not None and options.grpc_port is not None:
            asked = _place(options.host, options.grpc_port)
            try:
                rpc, port = await self._start_rpc(self._inference, asked, options.limits.body_bytes)
            except RuntimeError:
                raise InputError(f"cannot listen on {asked}", "choose another `grpc_port`") from None
            rpc_place = _place(options.host, port)
        self._http.when_up = lambda: self._started.set_result(rpc_place)
        await self._http.serve(sockets=[listener])
        if rpc is not None:
            await rpc.stop(_LAST_WORDS_S)


class _Http(uvicorn.Server):
    when_up: Callable[[], None]

    def __init__(self, app: Starlette, limits: Limits) -> None:
        super().__init__(
            uvicorn.Config(
                app, http=connection_kind(limits.patience_s), ws="none", loop="asyncio", lifespan="off",
                log_config=None, log_level="critical", access_log=False, proxy_headers=False,
                server_header=False, timeout_keep_alive=_IDLE_S, timeout_graceful_shutdown=_LAST_WORDS_S,
            )
        )  # fmt: skip

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.when_up()


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, so that its port is known before anybody is told of it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
        except OSError:
            found.close()
            raise
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen on {_place(host, port)}: {error}", "choose another `host` or `port`"
        ) from None
    return found


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _rpc_starter() -> Callable[[Inference, str, int], Awaitable[tuple[Any, int]]]:
    try:
        from eecompile.server.rpc import start_rpc
    except ModuleNotFoundError as error:
        raise InputError(
            f"gRPC needs {error.name}, which is not installed", "pip install 'eecompile[grpc]'"
        ) from None
    return start_rpc
