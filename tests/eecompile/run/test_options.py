from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eecompile.run.options import RunOptions, check_seed
from passes.errors import InputError


@pytest.mark.parametrize(
    ("values", "told"),
    [
        *(({"max_drop": value}, "`max_drop`") for value in (-0.1, 100.1, float("nan"), float("inf"))),
        *(({"min_gain": value}, "`min_gain`") for value in (-1.0, 101.0, float("nan"))),
        *(({"seed": value}, "`seed`") for value in (-1, 2**32)),
        *(({"max_latency_p95": value}, "`max_latency_p95`") for value in (0.0, -1.0, float("nan"))),
        *(({"max_worst_latency": value}, "`max_worst_latency`") for value in (0.0, float("inf"))),
        *(({"max_final_ratio": value}, "`max_final_ratio`") for value in (-0.1, 1.1, float("nan"))),
        *(({"max_cost_ratio": value}, "`max_cost_ratio`") for value in (-0.1, 1.1)),
        ({"max_latency": 1.0, "max_worst_latency": 1.0}, "`max_latency` takes an operating point"),
        *(({"guarantee": value}, "`guarantee`") for value in (0.0, 1.0, -0.1, float("nan"))),
        ({"guarantee": 0.1, "optimistic": True}, "`guarantee` and `optimistic` contradict"),
        ({"guarantee": 0.1, "max_drop": 0.0}, "no number of images can prove"),
        ({"head": "liner"}, "unknown head 'liner'"),
        ({"confidence": "margn"}, "unknown confidence rule 'margn'"),
        ({"confidence": "gate{temperature=2}"}, "confidence rule 'gate' has no parameter"),
    ],
)
def test_values_outside_their_range_are_refused_by_name(values: dict[str, object], told: str) -> None:
    with pytest.raises(InputError) as caught:
        RunOptions(Path("net.onnx"), **values)  # type: ignore[arg-type]
    assert caught.value.message.startswith(told) and caught.value.hint


@pytest.mark.parametrize(
    ("values", "told", "said"),
    [
        ({}, {"max_drop"}, "and `max_drop` chooses anew"),
        ({"guarantee": 0.1}, {"guarantee"}, "and `guarantee` chooses anew"),
        ({"confidence": "margin"}, {"confidence"}, "and `confidence` chooses anew"),
        ({"placement": "mixed"}, {"optimistic", "placement"}, "and `optimistic` chooses anew"),
        ({"train": "joint"}, {"train"}, "`train` changes the logits"),
        ({"recycle": True}, {"recycle"}, "`recycle` changes the logits"),
    ],
)
def test_kept_thresholds_go_with_nothing_that_chooses_others(
    values: dict[str, Any], told: set[str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        RunOptions(Path("net.onnx"), keep_thresholds=True, told=frozenset(told), **values)
    RunOptions(Path("net.onnx"), told=frozenset(told), **values)


def test_where_max_drop_says_which_schemes_are_taken_thresholds_may_be_kept() -> None:
    told = frozenset({"max_drop", "placement"})
    assert RunOptions(Path("net.onnx"), keep_thresholds=True, placement="mixed", told=told).keep_thresholds


@pytest.mark.parametrize(
    "values", [{"max_drop": 0.0}, {"max_drop": 100.0}, {"min_gain": 0.0}, {"min_gain": 100.0}]
)
def test_the_ends_of_a_range_are_in_it(values: dict[str, float]) -> None:
    options = RunOptions(Path("net.onnx"), **values)  # type: ignore[arg-type]
    assert values.items() <= vars(options).items()


def test_a_seed_is_given_back() -> None:
    assert [check_seed(seed) for seed in (0, 2**32 - 1)] == [0, 2**32 - 1]
