"""Tasks in forked processes: bounded in time and memory, their words and exits kept, their writing watched.

A fork starts with everything imported, so that a thousand command lines take seconds.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUT = "out"
_PRIVATE = ("home", "tmp")
_SAID, _WRITTEN = "said.txt", "written.txt"
_WALL_PER_CPU = 10  # other processes may hold the machine
_NEVER_RETURNED = 99
# Audit events of Python that change what is on disk, and which of their arguments are paths.
_CHANGES = {
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.truncate": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Limits:
    """What one process may take: CPU seconds (ten times as many on the clock), and MiB of memory."""

    seconds: int = 10
    mebibytes: int = 6144


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit code; negative: the signal that ended it.
        hung: It was ended by its limit of time.
        said: What it wrote on stdout and stderr.
        outside: Paths it wrote to outside ``out`` of its folder.
        seconds: From its start to its end.
    """

    code: int
    hung: bool
    said: str
    outside: tuple[str, ...]
    seconds: float

    @property
    def crashed(self) -> bool:
        """Whether it ended as no verb may: by a signal, with another code than 0, 1, 2, or with a trace."""
        return not self.hung and (self.code not in {0, 1, 2} or "Traceback (most recent call" in self.said)


@dataclass(frozen=True)
class Task:
    """What a process does in a folder of its own.

    Attributes:
        name: For whoever started it.
        folder: Its working folder; it may write to ``out`` in it.
        run: Called in it.
    """

    name: str
    folder: Path
    run: Callable[[], None]


def run_all(tasks: Iterable[Task], limits: Limits, jobs: int = 1) -> Iterator[tuple[Task, Ended]]:
    """Run tasks, ``jobs`` at once, and yield each with how it ended, as they end."""
    running: dict[int, _Running] = {}
    gc.freeze()  # else every child copies the pages of all objects when it collects
    for task in tasks:
        while len(running) >= jobs:
            yield _next(running)
        _prepare(task.folder)
        before = _files(task.folder)
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if not child:
            _be_child(task, limits)
        running[os.pidfd_open(child)] = _Running(task, child, before, time.monotonic())
    while running:
        yield _next(running)


@dataclass(frozen=True)
class _Running:
    task: Task
    child: int
    before: frozenset[tuple[str, int]]
    start: float


def _prepare(folder: Path) -> None:
    for name in (OUT, *_PRIVATE):
        (folder / name).mkdir(exist_ok=True)
    for name in (_SAID, _WRITTEN):
        (folder / name).write_bytes(b"")


def _next(running: dict[int, _Running]) -> tuple[Task, Ended]:
    """Wait for one of these processes, and no other of this program, to end."""
    handle = select.select(list(running), [], [])[0][0]
    done = running.pop(handle)
    os.close(handle)
    _, status = os.waitpid(done.child, 0)
    seconds = time.monotonic() - done.start
    folder = done.task.folder
    said = (folder / _SAID).read_text(encoding="utf-8", errors="replace")
    outside = set((folder / _WRITTEN).read_text(encoding="utf-8", errors="replace").splitlines())
    outside |= {name for name, _ in _files(folder) ^ done.before}
    code = os.waitstatus_to_exitcode(status)
    hung = -code in {signal.SIGXCPU, signal.SIGALRM}
    return done.task, Ended(code, hung, said, tuple(sorted(outside)), seconds)


def _files(folder: Path) -> frozenset[tuple[str, int]]:
    """Return the files of a folder outside ``out`` and when they changed, without those of this module."""
    found = set()
    for path in folder.rglob("*"):
        place = path.relative_to(folder)
        if place.parts[0] != OUT and str(place) not in {_SAID, _WRITTEN}:
            found.add((str(place), path.lstat().st_mtime_ns if path.is_file() else 0))
    return frozenset(found)


def _be_child(task: Task, limits: Limits) -> None:
    """Do the task and leave without returning: what the parent has open is not ours to end."""
    code = _NEVER_RETURNED
    try:
        _confine(task.folder.resolve(), limits)
        task.run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _confine(folder: Path, limits: Limits) -> None:
    for kind in (signal.SIGALRM, signal.SIGXCPU):
        signal.signal(kind, signal.SIG_DFL)
    signal.alarm(limits.seconds * _WALL_PER_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds, limits.seconds + 1))
    size = limits.mebibytes << 20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    os.environ |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "COLUMNS": "120"}
    tempfile.tempdir = None
    sys.dont_write_bytecode = True
    said = os.open(_SAID, os.O_WRONLY)
    written = os.open(_WRITTEN, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(said, stream)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    faulthandler.enable(sys.stderr)
    sys.addaudithook(_watch(folder, written))


def _watch(folder: Path, written: int) -> Callable[[str, tuple[Any, ...]], None]:
    """Return a hook that notes every path that Python writes to outside ``out`` and the private folders."""
    allowed = (os.devnull, *(str(folder / name) for name in (OUT, *_PRIVATE)))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            paths = arguments[:1] if isinstance(arguments[2], int) and arguments[2] & _WRITES else ()
        else:
            paths = tuple(arguments[index] for index in _CHANGES.get(event, ()))
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - a hook that opens nothing itself
                if not any(whole == good or whole.startswith(good + os.sep) for good in allowed):
                    os.write(written, f"{whole}\n".encode(errors="replace"))

    return hook
