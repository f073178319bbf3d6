from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from eecompile.cache.key import Key
from eecompile.cache.store import VARIABLE, CacheStore, usual_folder
from passes.errors import InputError

# Forked off a process without threads: a fork of this one would inherit the locks that others' hold.
SERVER = multiprocessing.get_context("forkserver")


def key(number: int, kind: str = "costs") -> Key:
    return Key.of(kind, {"number": number}, f"number {number}")


def file_of(store: CacheStore) -> Path:
    (found,) = store.folder.glob("*/*/*.entry")
    return found


def test_what_was_written_is_read_and_nothing_else(tmp_path: Path) -> None:
    store = CacheStore(tmp_path / "cache")
    assert store.read(key(1)) is None and store.entries() == []
    store.write(key(1), b"\x00one\n")
    assert store.read(key(1)) == b"\x00one\n"
    assert store.read(key(2)) is None and store.read(key(1, "answers")) is None
    store.write(key(1), b"")
    assert store.read(key(1)) == b""
    assert [(e.kind, e.digest, e.title) for e in store.entries()] == [("costs", key(1).digest, "number 1")]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:-2] + b"xx",
        lambda _: b"",
        lambda _: b"eecompile cache 1\n",
        lambda _: b'eecompile cache 1\n"text"\ncontent',
        lambda data: data.replace(b"cache 1", b"cache 2"),
        lambda data: data.replace(key(1).digest.encode(), key(2).digest.encode()),
    ],
    ids=["cut", "longer", "changed", "empty", "no head", "odd head", "other version", "another's"],
)
def test_an_entry_that_is_damaged_is_made_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    store = CacheStore(tmp_path)
    store.write(key(1), b"content")
    path = file_of(store)
    path.write_bytes(damage(path.read_bytes()))
    assert store.read(key(1)) is None and not path.exists()
    assert store.get(key(1), lambda: b"again") == b"again"
    assert store.get(key(1), lambda: pytest.fail("it is there")) == b"again"


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    store = CacheStore(tmp_path, most_bytes=3_000)
    for number in range(3):
        store.write(key(number), bytes(700))
    for number, age in ((0, 10), (1, 30), (2, 20)):
        path = store.folder / "costs" / key(number).digest[:2] / f"{key(number).digest}.entry"
        os.utime(path, (time.time() - age,) * 2)
    assert store.read(key(1)) is not None  # used just now
    store.write(key(3), bytes(700))
    assert [store.read(key(n)) is not None for n in range(4)] == [True, True, False, True]
    assert store.entries()[0].title == "number 3"
    assert store.shrink(0) == 3 and store.entries() == []


def test_an_entry_that_is_too_large_is_there_alone(tmp_path: Path) -> None:
    store = CacheStore(tmp_path, most_bytes=100)
    store.write(key(1), bytes(50))
    store.write(key(2), bytes(500))
    assert store.read(key(1)) is None and store.read(key(2)) == bytes(500)


def test_many_small_entries_are_bounded_too(tmp_path: Path) -> None:
    store = CacheStore(tmp_path, most_bytes=20_000)
    for number in range(100):
        store.write(key(number), bytes(200))
    total = sum(entry.bytes for entry in store.entries())
    assert 10_000 < total < 20_000 * (1 + 1 / 32)


def _make_slowly(folder: Path, made: Path) -> None:
    def make() -> bytes:
        time.sleep(0.2)
        with made.open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        return b"made"

    assert CacheStore(folder).get(key(1), make) == b"made"


def _make_forever(folder: Path, begun: Path) -> None:
    with CacheStore(folder).making(key(1)):
        begun.write_text("begun")
        time.sleep(60)


def test_two_processes_make_an_entry_once(tmp_path: Path) -> None:
    made = tmp_path / "made"
    both = [SERVER.Process(target=_make_slowly, args=(tmp_path / "cache", made)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert len(made.read_text().splitlines()) == 1


def test_a_process_that_is_killed_keeps_nobody_waiting(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    process = SERVER.Process(target=_make_forever, args=(tmp_path / "cache", begun))
    process.start()
    while not begun.exists():
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    store = CacheStore(tmp_path / "cache")
    assert store.get(key(1), lambda: b"made") == b"made"
    left = tmp_path / "cache" / "costs" / key(1).digest[:2] / f".{key(1).digest}.entry.killed"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    store.shrink(0)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, not a folder"):
        CacheStore(tmp_path / "file")
    with pytest.raises(InputError, match="cannot write to the cache"):
        CacheStore(tmp_path / "file" / "below").write(key(1), b"")
    assert CacheStore(tmp_path / "file" / "below").read(key(1)) is None


def test_where_it_is_if_nobody_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert usual_folder() == tmp_path
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert usual_folder().name == "eecompile"


def test_trainings_that_are_not_over_are_listed_and_bounded(tmp_path: Path) -> None:
    store = CacheStore(tmp_path, most_bytes=5_000)
    for number, age in ((1, 30), (2, 10)):
        folder = store.training(key(number, "supernet")) / "joint"
        folder.mkdir(parents=True)
        (folder / "epoch.pt").write_bytes(bytes(2_000))
        for path in (folder, folder / "epoch.pt"):
            os.utime(path, (time.time() - age,) * 2)
    found = {entry.digest: entry for entry in store.entries()}
    assert {entry.kind for entry in found.values()} == {"training"} and len(found) == 2
    assert found[key(1, "supernet").digest].bytes >= 2_000
    store.write(key(3), bytes(1_500))
    assert [entry.kind for entry in store.entries()] == ["costs", "training"], "the older one went"
    assert store.training(key(2, "supernet")).exists()
    assert store.shrink(0) == 2 and store.entries() == []


def _write_many(folder: Path, first: int) -> None:
    store = CacheStore(folder, most_bytes=40_000)
    for number in range(first, first + 100):
        store.write(key(number), bytes(1_000))


def test_processes_that_write_at_once_keep_the_bound_together(tmp_path: Path) -> None:
    writers = [SERVER.Process(target=_write_many, args=(tmp_path, 100 * k)) for k in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    total = sum(entry.bytes for entry in CacheStore(tmp_path).entries())
    assert 20_000 < total < 40_000 + 3 * (40_000 // 64 + 1_300), "each may be ahead by what it has not seen"
