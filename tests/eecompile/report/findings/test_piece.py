from __future__ import annotations

import pytest

from eecompile.report.findings.piece import Advice, Trial


@pytest.mark.parametrize(
    ("trial", "typed"),
    [
        (Trial("run", "", (("max_drop", "2"),)), "--max-drop 2"),
        (Trial("retune", "RUN", (("max_drop", "2"),)), "eecompile retune RUN --max-drop 2"),
        (Trial("cost", "my net.onnx", (("breakdown", ""),)), "eecompile cost 'my net.onnx' --breakdown"),
        (Trial("run", "", (("exits", "a,$b"),)), "--exits 'a,$b'"),
        (Trial("search"), "eecompile search"),
    ],
)
def test_parameters_are_typed_as_flags_and_words_as_a_shell_reads_them(trial: Trial, typed: str) -> None:
    assert " ".join(trial.words) == typed


def test_there_may_be_nothing_to_type() -> None:
    assert Advice("3 %", "waiting", "a core waits", "look at it").trial is None
