from __future__ import annotations

import numpy as np
import pytest

from eecompile.search.study.predictor import LEAST_TOLD, WORTH, WorthPredictor, rank_correlation
from eecompile.search.study.proposals import Params, Value

GENES: dict[str, tuple[Value, ...]] = {"width": (4, 8, 16, 32), "family": ("a", "b"), "fixed": (1,)}


def params_of(width: int, family: str) -> Params:
    return {"width": width, "family": family, "fixed": 1}


def worth(params: Params) -> float:
    return float(params["width"]) + (100.0 if params["family"] == "b" else 0.0)


ALL = [params_of(width, family) for width in (4, 8, 16, 32) for family in "ab"]


def told(count: int) -> WorthPredictor:
    predictor = WorthPredictor(GENES, seed=1)
    for params in ALL[:count]:
        predictor.tell(params, {WORTH: worth(params), "accuracy_val": 1 / worth(params)}, {})
    return predictor


def test_of_few_candidates_nothing_is_predicted() -> None:
    predictor = told(LEAST_TOLD - 1)
    assert predictor.predict(ALL) == [{}] * len(ALL) and predictor.choose(ALL) == 0
    assert predictor.report == {"designs": 0, "rank_correlation": {}}
    assert told(LEAST_TOLD).predict([]) == []


def test_what_was_told_is_what_it_predicts_from() -> None:
    predictor = told(6)
    found = predictor.predict(ALL)
    assert [one[WORTH] for one in found[:6]] == pytest.approx([worth(params) for params in ALL[:6]])
    assert found[7][WORTH] > 100 > found[6][WORTH], "also of what it has not seen"
    assert found[7]["accuracy_val"] < found[6]["accuracy_val"]
    assert predictor.choose([ALL[6], ALL[7], ALL[0]]) == 1
    assert found == told(6).predict(ALL), "the same of the same seed"


def test_facts_are_seen() -> None:
    predictor = WorthPredictor({"name": tuple("abcdefgh")}, lambda params: [float(ord(str(params["name"])))])
    for name in "abdegh":
        predictor.tell({"name": name}, {WORTH: float(ord(name) > ord("d"))}, {})
    low, high = predictor.predict([{"name": "c"}, {"name": "f"}])
    assert low[WORTH] < 0.5 < high[WORTH]


def test_genes_that_do_not_count_may_be_absent() -> None:
    predictor = WorthPredictor({**GENES, "depth": (1, 2)})
    for params in ALL:
        predictor.tell({**params, **({"depth": 2} if params["family"] == "b" else {})}, {WORTH: 1.0}, {})
    assert predictor.predict([ALL[0]]) == [{WORTH: 1.0}]


def test_only_what_was_predicted_before_and_is_fully_trained_is_judged() -> None:
    predictor = told(6)
    for number, (expected, came) in enumerate([(1.0, 3.0), (2.0, 1.0), (3.0, 9.0), (4.0, 8.0)]):
        predictor.tell(ALL[number], {WORTH: came}, {WORTH: expected})
    predictor.tell(ALL[5], {WORTH: 0.0}, {WORTH: 9.0}, trained=0.5)
    assert predictor.report == {"designs": 4, "rank_correlation": {WORTH: pytest.approx(0.6)}}


def test_a_candidate_that_was_trained_less_says_less_of_others() -> None:
    predictor = WorthPredictor({"width": tuple(range(20))})
    for width in range(10):
        predictor.tell({"width": width}, {WORTH: 1.0 if width % 2 else 0.0}, {}, 1.0 if width % 2 else 0.5)
    assert predictor.predict([{"width": 4}])[0][WORTH] > 0.6


def test_rank_correlation_is_that_of_spearman() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(5):
        first, second = rng.integers(0, 6, 12), rng.integers(0, 6, 12)  # with ties
        assert rank_correlation(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert rank_correlation([1, 2, 3], [2, 4, 9]) == pytest.approx(1)
    assert rank_correlation([1, 2], [1, 2]) is None and rank_correlation([1, 1, 1], [1, 2, 3]) is None
