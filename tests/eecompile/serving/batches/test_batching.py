from __future__ import annotations

import pytest

from eecompile.serving.batches.batching import Batching, batching_of, batchings_of, known_sizes
from passes.errors import InputError


def test_texts_are_read_and_printed_back() -> None:
    read = batchings_of("none,fixed:8,timeout:4,2ms,fluid:16")
    assert read == (
        Batching(),
        Batching("fixed", 8),
        Batching("timeout", 4, 0.002),
        Batching("fluid", 16),
    )
    assert [str(one) for one in read] == ["none", "fixed:8", "timeout:4,2ms", "fluid:16"]
    waits = [batching_of(f"timeout:2,{text}").wait_s for text in ("1.5s", "30us", "2ms")]
    assert waits == pytest.approx([1.5, 30e-6, 0.002])


@pytest.mark.parametrize(
    "text",
    [
     "", "fixd:8", "fixed", "fixed:", "fixed:0", "fixed:x", "fixed:8,2ms", "none:1", "timeout:8",
     "timeout:8,2", "timeout:8,xms", "timeout:8,infs", "timeout:8,-1ms", "fluid:-1", "fluid:2.5"],
)  # fmt: skip
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="batch"):
        batching_of(text)


def test_no_batch_has_a_size_and_only_a_timeout_waits() -> None:
    with pytest.raises(InputError, match="cannot be of 2"):
        Batching("none", 2)
    with pytest.raises(InputError, match="cannot wait"):
        Batching("fixed", 2, 0.1)


@pytest.mark.parametrize(
    ("largest", "sizes"), [(1, ()), (2, (2,)), (8, (2, 4, 8)), (6, (2, 4, 6)), (3, (2, 3))]
)
def test_powers_of_two_and_the_largest_are_looked_at(largest: int, sizes: tuple[int, ...]) -> None:
    assert known_sizes(largest) == (1, *sizes)
