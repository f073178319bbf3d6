"""Counts are seen by whoever watches, and by nobody else."""

from __future__ import annotations

import threading

import pytest

from passes.progress import DetailLine, StageLine, counting, each, watching


def test_without_a_watcher_counting_is_free_of_consequence() -> None:
    with counting("images", 3) as count:
        count.add(2)
    assert count.done == 2
    assert list(each([1, 2], "images")) == [1, 2]


def test_counts_are_open_while_they_are_counted_the_outermost_first() -> None:
    with watching() as counts:
        with counting("designs", 4, done=1) as outer:
            seen = []
            for _ in each("ab", "images"):
                seen.append([(count.what, count.total, count.done) for count in counts])
                outer.add()
        assert seen == [
            [("designs", 4, 1), ("images", 2, 0)],
            [("designs", 4, 2), ("images", 2, 1)],
        ]
        assert list(counts) == []
    with watching() as again, counting("x"):
        assert [count.what for count in again] == ["x"]


def test_a_count_of_the_same_is_part_of_the_one_that_is_open() -> None:
    with watching() as counts, counting("images", 10):
        for _ in each(range(4), "images"):
            assert len(counts) == 1
        assert counts[0].done == 4


def test_what_is_left_in_the_middle_is_closed() -> None:
    with watching() as counts:
        for item in each(range(9), "rounds"):
            if item == 2:
                break
        assert list(counts) == []
        with pytest.raises(ZeroDivisionError), counting("a"), counting("b"):
            raise ZeroDivisionError
        assert list(counts) == []


def test_the_length_is_found_out_or_given() -> None:
    with watching() as counts:
        assert [counts[0].total for _ in each([1], "items")] == [1]
        assert [counts[0].total for _ in each(iter([1]), "items")] == [None]
        assert [counts[0].total for _ in each(iter([1]), "items", 7)] == [7]


def test_threads_add_to_one_count() -> None:
    with watching(), counting("steps", 8000) as count:

        def work() -> None:
            for _ in range(2000):
                count.add()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert count.done == 8000


def test_a_line_that_is_a_stage_is_a_line() -> None:
    assert StageLine("train") == "train" and f"{DetailLine('epoch 1')}!" == "epoch 1!"
