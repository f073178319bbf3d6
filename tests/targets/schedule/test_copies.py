from __future__ import annotations

from targets.schedule.copies import Copies, Copy
from targets.schedule.regions import Region

WHOLE, TOP, BOTTOM = Region(0, 4, 0, 8), Region(0, 4, 0, 4), Region(0, 4, 4, 8)


def copy(store: str, piece: Region, ready: int, fixed: bool = False) -> Copy:
    return Copy(store, piece, ready, ready, piece, fixed)


def test_tensors_are_ready_piece_by_piece_and_weights_are_none_of_them() -> None:
    copies = Copies({"x"})
    copies.settle("w", copy("outer", WHOLE, 0, fixed=True))
    copies.add("x", copy("a", TOP, 10))
    copies.add("x", copy("a", BOTTOM, 30))
    copies.add("x", copy("b", TOP, 25))
    assert list(copies.ready()) == [("x", 10, 30)]
    assert copies.pieces("x") == (TOP, BOTTOM)
    assert [c.store for c in copies.of_piece("x", TOP)] == ["a", "b"]
    assert [c.store for c in copies.of_piece("w", WHOLE)] == ["outer"]


def test_what_is_removed_is_no_longer_there() -> None:
    copies = Copies({"x"})
    first, second = copy("a", WHOLE, 10), copy("b", WHOLE, 20)
    copies.add("x", first)
    copies.add("x", second)
    copies.remove("x", first)
    assert list(copies.of("x")) == [second] and list(copies.ready()) == [("x", 20, 20)]
    copies.remove("x", second)
    assert not list(copies.of("x")) and not list(copies.ready())
    assert copies.pieces("x") == ()


def test_copies_grow_apart_and_share_what_was_settled() -> None:
    copies = Copies({"x", "y"})
    copies.settle("w", copy("outer", WHOLE, 0, fixed=True))
    copies.add("x", copy("a", WHOLE, 1))
    twin = copies.copy()
    twin.add("y", copy("b", WHOLE, 2))
    copies.remove("x", next(copies.of("x")))
    assert [name for name, *_ in twin.ready()] == ["x", "y"]
    assert list(copies.ready()) == []
    assert twin.of_piece("w", WHOLE) == copies.of_piece("w", WHOLE)


def test_the_last_use_is_the_latest_and_never_before_it_is_there() -> None:
    copies = Copies({"x"})
    held = copy("a", WHOLE, 10)
    copies.add("x", held)
    assert copies.last_use(held) == 10
    for end in (40, 20):
        copies.touch(held, end)
    assert copies.last_use(held) == 40
