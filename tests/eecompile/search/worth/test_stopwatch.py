from __future__ import annotations

import pytest

from eecompile.search.worth.stopwatch import Stopwatch


def test_each_second_counts_once_for_the_innermost_part(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    watch = Stopwatch()
    now[0] += 1  # of nothing
    with watch.on("outer"):
        now[0] += 2
        with watch.on("inner"):
            now[0] += 4
        with pytest.raises(ValueError, match="broken"), watch.on("inner"):
            now[0] += 8
            raise ValueError("broken")
        now[0] += 16
        assert watch.take() == {"outer": 18.0, "inner": 12.0}
        now[0] += 32
    now[0] += 64
    assert watch.take() == {"outer": 32.0}
    assert watch.take() == {}
