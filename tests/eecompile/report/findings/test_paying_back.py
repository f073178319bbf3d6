from __future__ import annotations

import copy
from typing import Any

import pytest

from eecompile.report.findings.paying_back import paying_back
from eecompile.run_files.summary import Summary
from tests.eecompile.fabricated_run import summary
from tests.eecompile.report.findings.asked_for import check_trials, typed


def made(shares: list[float | None], ratios: list[float] | None = None, **changes: Any) -> Summary:
    document = copy.deepcopy(summary(ratios is not None or "with_data" not in changes))
    changes.pop("with_data", None)
    for item, ratio in zip(document["exits"], ratios or [], strict=False):
        item["ratio"] = ratio
    document["break_even"] = {"early": None, "exits": shares}
    return Summary.model_validate({**document, **changes})


def test_an_exit_is_held_against_the_images_that_get_to_it() -> None:
    # Of 60 % that get past the first, 27 points leave at the second: 45 %.
    first, second = paying_back(made([0.12, 0.6]))
    assert (first.figure, first.unit) == ("12.0 %", "must leave there")
    assert first.finding == (
        "exit_0 (at model/add/add) pays back the energy-delay product of all heads once 12.0 % of the images "
        "that get there leave, and 40.0 % of them do on test"
    )
    assert typed(first.trial) == "eecompile retune RUN --max-drop 0.5"
    assert second.finding.endswith("60.0 % of the images that get there leave, but 45.0 % of them do on test")
    assert typed(second.trial) == "eecompile retune RUN --max-drop 2"
    check_trials([first, second])


@pytest.mark.parametrize(
    ("found", "says", "option"),
    [
        (made([0.0, 0.1]), "paid back already: the longest path takes no more energy-delay product", ""),
        (made([None, 0.1]), "never pays back", "--exits model/add_1/add"),
        (made([0.2, 0.1], [0.0, 1.0, 0.0]), "but 0.0 % of them", "eecompile retune RUN --max-drop 2"),
        (made([0.2, 0.1], [0.0, 1.0, 0.0], kept_thresholds=True), "but 0.0 % of them", ""),
        (made([0.2, 0.1], kept_thresholds=True), "40.0 % of them do on test", ""),
        (made([0.2, 0.1], with_data=False), "20.0 % of the images that get there leave", "--data IMAGES"),
    ],
)
def test_what_is_to_do_follows_from_the_share(found: Summary, says: str, option: str) -> None:
    first = paying_back(found)[0]
    assert typed(first.trial) == option
    assert says in first.finding
    check_trials([first])


def test_an_exit_that_no_image_gets_to_is_better_left_out() -> None:
    _, second = paying_back(made([0.2, 0.1], [1.0, 0.0, 0.0]))
    assert "no test image gets there" in second.finding
    assert (second.step, typed(second.trial)) == ("leave it out", "--exits model/add/add")


def test_one_exit_that_never_pays_is_tried_elsewhere() -> None:
    document = made([None])
    alone = document.model_copy(update={"exits": (document.exits[0], document.exits[-1])})
    (found,) = paying_back(alone)
    assert (found.figure, typed(found.trial)) == ("never", "eecompile inspect resnet8_cifar10 --target diana")
    check_trials([found])


def test_an_earlier_run_tells_nothing() -> None:
    assert paying_back(made([0.1, 0.2]).model_copy(update={"break_even": None})) == ()
