from __future__ import annotations

from eecompile.report.findings.piece import Advice


def test_there_may_be_nothing_to_type() -> None:
    assert Advice("3 %", "waiting", "a core waits", "look at it").option == ""
