"""The result of a run in sentences: what is claimed, and what is said first."""

from __future__ import annotations

from typing import Any

import pytest

from eecompile.run_files.summary import GuaranteeInfo, Summary
from eecompile.wording import headline
from targets.objective import OBJECTIVES, Objective
from tests.eecompile.fabricated_run import summary

MINUS = "\N{MINUS SIGN}"


def made(with_data: bool = True, **changes: Any) -> Summary:
    return Summary.model_validate({**summary(with_data), **changes})


def test_headline_of_a_run() -> None:
    assert headline.headline(made()) == (
        "With 2 early exits an image takes 36.8 % less energy-delay product on diana than without "
        "(by 3 other models of the chip 33.1 % less to 42.1 % less). "
        "Accuracy is 86.2 % (95 % interval [83.9, 88.2]) on 1,000 test images, "
        f"a drop of 0.59 points [{MINUS}0.41, 1.62]."
    )


def test_of_a_pruned_network_it_says_what_savings_are_against() -> None:
    """By hand: .75 of energy and latency are .5625 of the product; .868 - .8565 are 1.15 points."""
    static = summary()["static"]
    less = {key: 0.75 * static[key] for key in ("macs", "latency_cycles", "latency_s", "energy_pj")}
    product = {key: 0.5625 * static[key] for key in ("edp_js", "edp_j_cycles")}
    found = headline.headline(made(pruned={**static, **less, **product, "accuracy_quant": 0.8565}))
    assert found.startswith(
        "Pruned and with 2 early exits an image takes 36.8 % less energy-delay product on "
    )
    assert "than in the network as it was given (by 3 other models" in found
    assert (
        "Pruning alone: 43.8 % less energy-delay product, a drop of 1.15 points; every saving and drop is "
        "against the network as it was given. Accuracy is"
    ) in found


def test_kept_thresholds_are_held_to_no_drop() -> None:
    lost = {"points": 3.0, "ci95": [2.0, 4.0]}
    chosen, kept = made(drop=lost), made(drop=lost, kept_thresholds=True)
    assert "That is above the 1.0 points allowed" in headline.headline(chosen)
    assert "allowed" not in headline.headline(kept)
    none = headline.headline(made(exits=summary()["exits"][-1:], kept_thresholds=True))
    assert none.startswith("The network has no early exit. Accuracy is")


def test_a_point_of_a_search_is_told_with_its_figures() -> None:
    told = {
        "accuracy_val": 0.9, "accuracy": 0.875, "edp_j_cycles": 0.0021, "energy_pj": 2e6,
        "latency_cycles": 1234, "macs": 5e6, "worst_latency_cycles": 2000,
    }  # fmt: skip
    point = {"study": "found", "trial": 3, "point": 5, "design": "design{x=1}", "told": told, "found": told}
    assert headline.from_study(made()) == ""
    assert headline.from_study(made(study=point)) == (
        "Point 5 of trial 3 of the search 'found', kept as it was found, design{x=1}: 87.5 % on test and "
        "90.0 % on val; expected over val images 2.10 mJ·cycles, 2.00 µJ, 1,234 cycles, 5.00 M MACs."
    )


def test_without_other_models_the_saving_stands_alone() -> None:
    assert "than without. Accuracy" in headline.headline(made(saving_interval=None))


def test_other_models_that_say_the_same_are_told_as_that() -> None:
    spans = {key: [0.36801, 0.36803] for key in ("macs", "latency", "energy", "edp")}
    assert "than without (the same by 3 other models of the chip)." in headline.headline(
        made(saving_interval=spans)
    )


def test_an_interval_around_the_latency_is_in_its_unit() -> None:
    static = made().static
    assert headline.with_bars(static) == ("1.34 ms", "11.9 µJ")
    barred = static.model_copy(update={"latency_interval": (260e3, 520e3), "energy_interval": (9e6, 15e6)})
    assert headline.with_bars(barred) == ("1.34 ms\n[1.00, 2.00]", "11.9 µJ\n[9.00, 15.0]")
    clockless = barred.model_copy(update={"latency_s": None})
    assert headline.time_span(clockless) == "[260, 520] k cycles"
    assert headline.with_bars(clockless)[0] == "349,000 cycles\n[260, 520] k cycles"
    assert headline.time_span(barred) == "[1.00, 2.00] ms"


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_the_headline_tells_the_saving_of_what_was_minimised(objective: Objective) -> None:
    document = summary()
    found = made(objective=objective.name)
    saved = 100 * document["saving"][objective.name]
    assert f"takes {saved:.1f} % less {objective.words} on" in headline.headline(found)
    assert found.model_dump(mode="json")["objective"] == objective.name


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"never_taken": ["exit_1"]}, "No image leaves at exit_1 (add_1): no threshold there keeps"),
        (
            {"never_taken": ["exit_0", "exit_1"], "max_drop": 0.25},
            "No image leaves at exit_0 (add_0), exit_1 (add_1): no threshold there keeps the drop within "
            "0.25 points. With 2 early exits",
        ),
        ({"caution": "Accuracy is near chance."}, "Accuracy is near chance. Accuracy is 86.2 %"),
        ({"max_drop": 0.5}, "That is above the 0.5 points allowed, which validation images kept to."),
        ({"saving": {"macs": 0, "latency": 0, "energy": 0, "edp": -0.05}}, "takes 5.0 % more energy-delay"),
    ],
)
def test_headline_says_what_matters(changes: dict[str, Any], part: str) -> None:
    assert part in headline.headline(made(**changes))
    assert part not in headline.headline(made())


def test_what_macs_had_saved_stands_beside_what_is_saved() -> None:
    saving = {"macs": 0.4, "latency": 0.1, "energy": 0.2, "edp": 0.3}
    rows = [{"proxy": "MACs", "exits": ["conv head at a"], "saving": saving, "drop": 0.5}]
    assert headline.by_macs(made(proxies=rows)) == (
        "Saved energy-delay product, chosen by the cost model 36.8 %, by MACs 30.0 % (1 early exit, a drop "
        "of 0.50 points)."
    )


def test_a_promise_says_what_was_tested_and_on_what() -> None:
    info = GuaranteeInfo(
        level=0.1, max_drop=1.5, test="wsr", chosen_on=306, images=305, path=40, accepted=12, p_value=0.081,
        lost=2, gained=1, seed=0,
    )  # fmt: skip
    assert headline.promise(info) == (
        "Guarantee: the drop exceeds 1.5 points with probability 0.1 at most (wsr on 305 images that chose "
        "nothing: 2 lost, 1 gained, p = 0.081; 12 of 40 thresholds passed)."
    )
    none = info.model_copy(update={"accepted": 0, "p_value": None, "lost": None, "gained": None})
    assert headline.promise(none).endswith("no thresholds passed, so nobody leaves early).")


def test_headline_where_no_exit_pays() -> None:
    only = made(exits=[summary()["exits"][-1]])
    assert headline.headline(only).startswith("No early exit pays off within the allowed drop")


def test_headline_without_data_claims_no_accuracy() -> None:
    text = headline.headline(made(with_data=False))
    assert text.startswith(
        "Costs of 2 early exits on diana: an image that leaves at exit_0 takes 43 % of the"
    )
    assert text.endswith("No data was given, so nothing was trained and no accuracy is claimed.")
    alone = headline.headline(made(with_data=False, exits=[summary()["exits"][-1]]))
    assert alone.startswith("Without early exits the network takes 11.9 µJ and 1.34 ms per image on diana.")


def test_costs_without_a_clock_are_in_cycles() -> None:
    static = made(static={**summary()["static"], "latency_s": None, "edp_js": None}).static
    assert headline.time(static) == "349,000 cycles"
    assert headline.edp(static) == "4.15 J·cycles"


def test_powers_are_said_to_be_equal_only_where_they_are() -> None:
    assert headline.power_note(made()) == ""
    document = summary()
    for entry in document["exits"]:
        entry["energy_pj"] = 30 * entry["latency_cycles"]
    document["static"]["energy_pj"] = 30 * document["static"]["latency_cycles"]
    assert "All powers in use are equal" in headline.power_note(Summary.model_validate(document))
    document["exits"] = document["exits"][-1:]
    assert headline.power_note(Summary.model_validate(document)) == "", "one path is no comparison"


def test_a_caution_stands_instead_of_any_saving() -> None:
    text = headline.headline(made(caution="Near chance.", never_taken=["exit_0"]))
    assert text.startswith("Near chance. Accuracy is 86.2 %")
    assert "less" not in text and "No image leaves" not in text


@pytest.mark.parametrize(("points", "said"), [(1.0, False), (1.001, True), (-0.5, False)])
def test_a_drop_is_above_what_was_allowed_where_it_is(points: float, said: bool) -> None:
    text = headline.headline(made(drop={"points": points, "ci95": [-2, 3]}))
    assert ("above the 1.0 points allowed" in text) is said


def test_one_exit_is_not_many_and_images_are_counted_where_they_are_known() -> None:
    one = made(exits=summary()["exits"][1:], dataset=None)
    text = headline.headline(one)
    assert text.startswith("With 1 early exit an image takes") and "test images" not in text
    assert "Costs of 1 early exit on diana" in headline.headline(
        made(with_data=False, exits=summary(False)["exits"][1:])
    )


def test_what_an_early_exit_takes_is_told_in_shares_of_the_network_without() -> None:
    cheap = summary(with_data=False)
    cheap["exits"][0]["energy_pj"] = cheap["static"]["energy_pj"] / 4
    text = headline.headline(Summary.model_validate(cheap))
    assert "leaves at exit_0 takes 25 % of the energy" in text
    cheap["static"]["energy_pj"] = 0
    assert "takes \N{EN DASH} of the energy" in headline.headline(Summary.model_validate(cheap))


def test_costs_with_a_clock_are_in_seconds() -> None:
    static = made().static
    assert (headline.time(static), headline.edp(static)) == ("1.34 ms", "16.0 nJ·s")


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_path_of_another_power_is_enough_to_say_nothing(index: int) -> None:
    document = summary()
    for entry in (document["static"], *document["exits"]):
        entry["energy_pj"] = 30 * entry["latency_cycles"]
    document["exits"][index]["energy_pj"] *= 1.001
    assert headline.power_note(Summary.model_validate(document)) == ""
