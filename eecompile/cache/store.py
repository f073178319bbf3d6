"""A content-addressed store in a folder: entries are whole and checked, or not there.

An entry is one file: a line that says what it is, a line of JSON with the checksum of the rest, and the rest.
It is written beside its place and moved there, so that a process that is killed leaves no half; one that was
cut short or changed later is found by its checksum, removed, and made again. Processes share the folder:
while one makes an entry, others that want it wait (:meth:`Store.making`); a lock is the operating system's
and ends with the process that holds it. The least recently used entries go once there are more bytes than
allowed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from eecompile.cache.key import Key
from passes.errors import InputError
from passes.files import write_atomic

MAGIC = b"eecompile cache 1\n"
MOST_BYTES = 4 * 2**30
VARIABLE = "EECOMPILE_CACHE"
"""Environment variable that names the folder where nobody else does."""
_SUFFIX = ".entry"
TRAINING = "training"
"""Where trainings keep their state, and the kind that they are listed as."""
# A store is looked through once a share of its bytes was written: it may be larger by so much for a while.
_LOOKS = 64
# A file that nobody has touched for so long is what a killed process left.
_STALE_SECONDS = 24 * 3600


def usual_folder() -> Path:
    """Return where the cache is if nobody says where."""
    told = os.environ.get(VARIABLE)
    return Path(told) if told else user_cache_path("eecompile", appauthor=False)


@dataclass(frozen=True)
class CacheEntry:
    """One entry, without its content.

    Attributes:
        kind: What it is.
        digest: What tells it from others.
        title: What a person is told it is.
        bytes: Size of its file.
        used: When it was last read or written, seconds since 1970.
    """

    kind: str
    digest: str
    title: str
    bytes: int
    used: float


@dataclass(frozen=True)
class _Kept:
    """What takes room: the file of an entry, or the folder of a training."""

    path: Path
    bytes: int
    used: float

    def remove(self) -> None:
        if self.path.suffix == _SUFFIX:
            self.path.unlink(missing_ok=True)
        else:
            shutil.rmtree(self.path, ignore_errors=True)


class CacheStore:
    """The entries in a folder.

    Args:
        folder: Where; made when something is written.
        most_bytes: How many bytes its files may have together; one entry may be larger, alone.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self._unseen = 0  # bytes that may be written before all files are looked at again
        if folder.exists() and not folder.is_dir():
            raise InputError(f"the cache {folder} is a file, not a folder", "name another folder")

    def read(self, key: Key) -> bytes | None:
        """Return the content of an entry, ``None`` if there is none; one that is damaged is removed."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(
                f"cannot read the cache {path}: {error.strerror}", "name another folder with `cache`"
            ) from None
        content = _content(data, key)
        if content is None:
            path.unlink(missing_ok=True)
            return None
        _touch(path)
        return content

    def write(self, key: Key, content: bytes) -> None:
        """Keep the content of an entry; the least recently used ones go if it is too much.

        Raises:
            InputError: The folder cannot be written.
        """
        path = self._path(key)
        self._make_folder(path.parent)
        head = {
            "kind": key.kind,
            "digest": key.digest,
            "title": key.title,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        data = MAGIC + json.dumps(head).encode() + b"\n" + content
        write_atomic(path, data)
        _touch(path)
        self._unseen -= len(data)
        if self._unseen < 0:
            self._unseen = self.most_bytes // _LOOKS
            self._shrink(self.most_bytes, spare=path)

    def get(self, key: Key, make: Callable[[], bytes]) -> bytes:
        """Return the content of an entry, made by ``make`` if it is not there; others that want it wait."""
        found = self.read(key)
        if found is not None:
            return found
        with self.making(key):
            found = self.read(key)
            if found is None:
                found = make()
                self.write(key, found)
        return found

    @contextmanager
    def making(self, key: Key, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Be the only process that makes an entry; call ``waits`` and wait if another one does."""
        path = self._path(key).with_suffix(".lock")
        self._make_folder(path.parent)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except TimeoutError:
            waits()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def entries(self) -> list[CacheEntry]:
        """Return all entries, the most recently used first; nothing is read but their first lines.

        Trainings that are not over are listed, too.
        """
        found = []
        for item in self._files():
            kind, title = TRAINING, "not over"
            if item.path.suffix == _SUFFIX:
                try:
                    with item.path.open("rb") as stream:
                        head = _head(stream.readline(), stream.readline())
                except OSError:
                    continue  # gone in between
                kind, title = item.path.parent.parent.name, head.get("title", "") if head else "damaged"
            found.append(CacheEntry(kind, item.path.stem, title, item.bytes, item.used))
        return found[::-1]

    def training(self, key: Key) -> Path:
        """Return the folder where the training that makes an entry keeps its state until it is over."""
        return self.folder / TRAINING / key.digest

    def shrink(self, most_bytes: int) -> int:
        """Remove the least recently used entries until there are at most so many bytes; return how many went.

        What killed processes left goes, too.
        """
        self._clean()
        return self._shrink(most_bytes)

    def _shrink(self, most_bytes: int, spare: Path | None = None) -> int:
        files = self._files()
        total = sum(item.bytes for item in files)
        gone = 0
        for item in files:
            if total <= most_bytes:
                break
            if item.path != spare:
                item.remove()
                total -= item.bytes
                gone += 1
        return gone

    def _files(self) -> list[_Kept]:
        """Return the files of all entries and the folders of trainings, the least recently used first."""
        found = []
        for path in (*self.folder.glob(f"*/*/*{_SUFFIX}"), *self.folder.glob(f"{TRAINING}/*")):
            try:
                within = path.rglob("*") if path.is_dir() else [path]
                files = [file.stat() for file in within if file.is_file()]
                sizes, times = [file.st_size for file in files], [file.st_mtime_ns for file in files]
                found.append(_Kept(path, sum(sizes), max(times, default=0)))
            except FileNotFoundError:
                continue  # gone in between
        return sorted(found, key=lambda item: (item.used, item.path.name))

    def _clean(self) -> None:
        """Remove locks that nobody holds, and files of writers that were killed.

        A process that was about to take such a lock may then make what another one makes, too: both write
        the same.
        """
        for path in self.folder.glob("*/*/*.lock"):
            with suppress(TimeoutError, OSError), FileLock(path, timeout=0):
                path.unlink(missing_ok=True)
        for path in self.folder.glob(f"*/*/.*{_SUFFIX}.*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Find out whether entries can be written; raises InputError."""
        self._make_folder(self.folder)
        if not os.access(self.folder, os.W_OK):
            raise InputError(f"cannot write to the cache {self.folder}", "name another folder with `cache`")

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot write to the cache {self.folder}: {error.strerror}",
                "name another folder with `cache`",
            ) from None

    def _path(self, key: Key) -> Path:
        return self.folder / key.kind / key.digest[:2] / f"{key.digest}{_SUFFIX}"


def _touch(path: Path) -> None:
    """Note that an entry was used now, finer than a file system's own clock (4 ms on Linux)."""
    now = time.time_ns()
    with suppress(OSError):  # of a folder that may only be read, or an entry that is gone already
        os.utime(path, ns=(now, now))


def _head(magic: bytes, line: bytes) -> dict[str, str] | None:
    if magic != MAGIC:
        return None
    try:
        head = json.loads(line)
    except ValueError:
        return None
    return head if isinstance(head, dict) else None


def _content(data: bytes, key: Key) -> bytes | None:
    """Return what an entry holds; ``None`` if it is damaged or another one's."""
    start = data.find(b"\n", len(MAGIC)) + 1
    head = _head(data[: len(MAGIC)], data[len(MAGIC) : start]) if start else None
    if head is None or head.get("digest") != key.digest:
        return None
    content = data[start:]
    return content if hashlib.sha256(content).hexdigest() == head.get("sha256") else None
