from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.log import Log


@given(st.lists(st.integers()), st.lists(st.integers()), st.lists(st.integers()))
def test_copies_share_what_was_before_and_grow_apart(
    before: list[int], one: list[int], other: list[int]
) -> None:
    log: Log[int] = Log()
    for item in before:
        log.append(item)
    twin = log.copy()
    for item in one:
        log.append(item)
    for item in other:
        twin.append(item)
    assert list(log) == [*before, *one]
    assert list(twin) == [*before, *other]
    assert list(twin.newest_first()) == list(twin)[::-1]


def test_a_long_log_can_be_dropped() -> None:
    log: Log[int] = Log()
    for item in range(200_000):
        log.append(item)
    assert sum(1 for _ in log) == 200_000
    del log  # a chain of that length must not be taken apart by recursion
