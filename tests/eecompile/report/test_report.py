from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from eecompile import report
from eecompile.run_files.samples import Samples, ShownImages, write_samples
from eecompile.wording import quantities
from eecompile.wording.error_bars import NOT_VALIDATED
from tests.eecompile.fabricated_run import LAYERS, samples, summary, training, write_run

OUTSIDE = {"link", "iframe", "object", "base"}
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Collects tags and text, and checks that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.headings: list[str] = []
        self.feed(text)
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(report.render(write_run(tmp_path_factory.mktemp("run"))))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A run with answers per image and a training that was recorded."""
    run = write_run(tmp_path_factory.mktemp("whole"))
    write_samples(run, samples())
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"training": training()}))
    return Page(report.render(run))


def test_asks_for_nothing_outside_itself(page: Page) -> None:
    assert not {tag for tag, _ in page.tags} & (OUTSIDE | {"script", "img"})
    for tag, attributes in page.tags:
        assert not {"src", "href", "srcset", "data"} & attributes.keys(), tag
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_with_answers_per_image_it_holds_images_and_a_script_of_its_own(whole: Page) -> None:
    assert not {tag for tag, _ in whole.tags} & OUTSIDE
    for tag, attributes in whole.tags:
        assert not {"href", "srcset", "data"} & attributes.keys(), tag
        assert (attributes.get("src") or "data:").startswith("data:"), tag
    policy = next(a["content"] for t, a in whole.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'; ") and "img-src data:" in policy
    assert "fetch(" not in whole.text and "http" not in whole.text.replace("http://www.w3.org/2000/svg", "")


def test_sections_go_from_the_result_over_what_can_be_changed_to_what_it_rests_on(whole: Page) -> None:
    wanted = (
        "What an image takes", "Exits", "What to change", "Accuracy against saving", "Easy and hard images",
        "How far answers can be trusted", "Training", "Where the energy goes", "Schedule",
        "How much of the saving depends on the model", "Measured on this machine",
        "How these figures are known",
    )  # fmt: skip
    assert whole.headings == list(wanted)


@pytest.mark.parametrize(
    "figure",
    [
        "Move the thresholds", "1,000 images", "611 images", "Check this choice on test",
        "the objective of this run", "of 1,000 test images leave here", "right, surest", "ECE",
        "n = 1,000, 10 bins", "images leave at exit_0", "Frozen training, 3 epochs, accuracy on val.",
        "exit_0 71 %",
    ],
)  # fmt: skip
def test_shows_what_answers_per_image_say(whole: Page, figure: str) -> None:
    assert figure in whole.text


def test_controls_have_names_and_lead_nowhere_else(whole: Page) -> None:
    controls = [(tag, a) for tag, a in whole.tags if tag in ("input", "select") and a.get("type") != "radio"]
    assert len(controls) == 5, "a slider and a field per early exit, and the cost"
    labelled = {a["for"] for tag, a in whole.tags if tag == "label" and "for" in a}
    for tag, attributes in controls:
        named = attributes.get("aria-label") or attributes["id"] in labelled or attributes["id"] == "cost"
        assert named and "tabindex" not in attributes, tag
    images = [a for tag, a in whole.tags if tag == "img"]
    assert len(images) == 3 and all((a["alt"] or "").startswith("test image ") for a in images)


def test_an_earlier_run_says_why_nothing_can_be_moved(page: Page, tmp_path: Path) -> None:
    assert "holds no answers per image" in page.text and "Move the thresholds" not in page.text
    assert "Easy and hard images" not in page.text and "Training" not in page.headings
    document = summary()
    document["exits"] = document["exits"][-1:]
    alone = Page(report.render(write_run(tmp_path, document))).text
    assert "holds no answers per image" not in alone, "with one exit there is nothing to move anyway"


def test_data_that_are_no_images_are_said_to_be_none(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    made = samples()
    write_samples(
        run, Samples(made.val, made.test, ShownImages.none("The data are vectors of 64 numbers, not images."))
    )
    found = Page(report.render(run))
    assert "The data are vectors of 64 numbers, not images. So none are shown." in found.text
    assert "img" not in {tag for tag, _ in found.tags}


@pytest.mark.parametrize(
    "figure",
    [
        "36.8 % less energy-delay product", "86.2 %", "[83.9, 88.2]", "1,000 test images", "0.59 points",
        "[\N{MINUS SIGN}0.41, 1.62]",
        "0.9127", "40.0 %", "74.1 %", "[71.8, 76.3]", "5.10 µJ", "585 µs", "add_1", "its head costs more",
        "host x4", "33.1 %", "0.291 ms", "1,000 of 1,000 test images",
        "9f2c9f2c", "1.31.1", "within 15 %",
        "weights are resident", "placeholder", "conv_7", "raw: 0.1016",
        "eecompile run resnet8_cifar10.onnx --target diana --data cifar10_subset.npz",
    ],
)  # fmt: skip
def test_shows(page: Page, figure: str) -> None:
    assert figure in page.text


def test_charts_are_there(page: Page) -> None:
    labels = [attributes.get("aria-label") or "" for tag, attributes in page.tags if tag == "svg"]
    assert "Saving in energy-delay product over accuracy drop" in labels
    assert "Share of test images per exit" in labels
    assert "Energy per core" in labels
    assert "Schedule: full path, all exits" in labels
    ratios = page.text.index("Where test images leave")
    assert "exit_0: 40.0 %" in page.text[ratios:]


def test_what_an_image_takes_stands_beside_static(page: Page) -> None:
    _, _, section = page.text.partition("Energy per image")
    energy, _, latency = section.partition("Latency per image")
    assert "average image 8.57 µJ 72 % of static" in energy
    assert "exit_0, 40.0 % of images 585 µs 44 % of static" in latency


def test_cost_models_stand_side_by_side(page: Page) -> None:
    _, _, section = page.text.partition("Saved, by each cost model of diana")
    assert section.startswith(
        " saved of static match in use odimo engine energy 28.0 % 28.0 % – latency 27.2 % 27.2 % – "  # noqa: RUF001
        "energy-delay product 36.8 % 42.1 % –"  # noqa: RUF001
    )
    assert "engine cannot tell: no mapping fits" in section


def test_what_to_change_is_told_with_number_and_option(page: Page) -> None:
    _, _, section = page.text.partition("What to change")
    section = section.partition("Accuracy against saving")[0]
    for words in (
        "12.0 % must leave there exit_0 (at model/add/add) pays back",
        "there is room for a smaller drop: eecompile retune RUN --max-drop 0.5 .",
        "of the energy functional_1/",
        "fewer channels cost less: --prune energy=-20% .",
    ):
        assert words in section, section
    assert "waiting" not in section, "the trace of this run does not tell of cores"


def test_without_images_shares_are_said_to_be_of_the_longest_path(tmp_path: Path) -> None:
    text = Page(report.render(write_run(tmp_path, summary(with_data=False)))).text
    assert "No images were given, so shares are of the longest path." in text
    assert "average image" not in text


@pytest.mark.parametrize("more", [0, 5, 6])
def test_every_layer_stands_on_the_page_once(tmp_path: Path, more: int) -> None:
    run = write_run(tmp_path)
    made = "".join(f'more_{n},Conv,"[""mine_{n}"", ""relu_of_{n}""]",digital,final\n' for n in range(more))
    (run / "layers.csv").write_text((run / "layers.csv").read_text() + made)
    found = Page(report.render(run))
    titles = [a.get("title") or "" for tag, a in found.tags if tag == "td"]
    names = [title.partition(": ")[0] for title in titles if ": " in title]
    assert sorted(names) == sorted([*(layer[0] for layer in LAYERS), *(f"more_{n}" for n in range(more))])
    assert ("The other 5 layers" in found.text) == (more == 6)
    assert found.text.count("mine_0") == found.text.count("with relu_of_0") == bool(more)


def test_chosen_thresholds_are_marked(tmp_path: Path) -> None:
    document = summary()
    rings = report.render(write_run(tmp_path, document)).count('r="8"')
    assert rings == 2, "one on the validation line, one on the test line"


def test_without_data_claims_no_accuracy(tmp_path: Path) -> None:
    text = Page(report.render(write_run(tmp_path, summary(with_data=False)))).text
    assert "nothing was trained and no accuracy is claimed" in text
    assert "43 % of the energy" in text
    assert "accuracy of those leaving" not in text
    assert "Accuracy against saving" not in text
    assert "Measured on this machine" not in text


def test_drop_above_what_was_allowed_is_said(tmp_path: Path) -> None:
    document = copy.deepcopy(summary())
    document["drop"] = {"points": 1.3, "ci95": [0.4, 2.3]}
    text = Page(report.render(write_run(tmp_path, document))).text
    assert "above the 1.0 points allowed" in text


def test_near_chance_is_said_instead_of_the_saving(tmp_path: Path) -> None:
    document = copy.deepcopy(summary())
    document["caution"] = "Accuracy is near chance (11.0 % on 100 validation images): it means nothing."
    markup = report.render(write_run(tmp_path, document))
    assert '<p class="headline">Accuracy is near chance (11.0 %' in markup
    assert "less energy-delay product" not in markup
    assert 'class="good"' not in markup


def test_exit_that_no_image_takes_has_no_accuracy(tmp_path: Path) -> None:
    document = copy.deepcopy(summary())
    document["exits"][0].update(ratio=0.0, accuracy=None)
    text = Page(report.render(write_run(tmp_path, document))).text
    assert f"0.9127 0.0 % {quantities.ABSENT} 74.1 %" in text


def test_equal_powers_are_said_only_where_they_are(page: Page, tmp_path: Path) -> None:
    said = "All powers in use are equal, so energy is proportional to latency."
    assert said not in page.text
    document = copy.deepcopy(summary())
    for path in (document["static"], *document["exits"]):
        path["energy_pj"] = 34.1 * path["latency_cycles"]
    assert said in Page(report.render(write_run(tmp_path, document))).text


def test_summary_alone_is_enough(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    for name in ("run.json", "layers.csv", "schedule.trace.json"):
        (run / name).unlink()
    text = Page(report.render(run)).text
    assert "36.8 %" in text
    assert "Where the energy goes" not in text


def test_a_saving_can_be_traced_to_its_causes(page: Page, tmp_path: Path) -> None:
    _, _, section = page.text.partition("How much of the saving depends on the model")
    section = section.partition("Measured on this machine")[0]
    for row in (
        "in use match 36.8 % 28.0 % 27.2 %",
        "host x0 37.7 % 28.8 % 28.1 %",
        "host scale [33.1, 37.7] % [23.0, 31.0] % [22.2, 30.2] %",
        "engine no mapping fits",
        "all [33.1, 42.1] %",
    ):
        assert row in section, section
    assert "by other models [33.1, 42.1] %" in page.text.partition("What an image takes")[0], (
        "beside the saving itself"
    )
    earlier = copy.deepcopy(summary())
    del earlier["saving_causes"], earlier["saving_interval"]
    text = Page(report.render(write_run(tmp_path, earlier))).text
    assert "If host work costs more or less" in text and "by other models" not in text


def test_absolute_figures_have_their_intervals(page: Page, tmp_path: Path) -> None:
    assert NOT_VALIDATED in page.text
    document = copy.deepcopy(summary())
    cost = {"latency_interval": [260e3, 520e3], "energy_interval": [9e6, 15e6], "validation": "measured"}
    for entry in (document["static"], document["expected"], *document["exits"]):
        entry.update(cost)
    bar = {"low": 0.8, "high": 1.25, "nominal_coverage": 0.5, "basis": "one network"}
    document["intervals"] = {"latency": bar, "energy": bar, "command": "x", "note": "Mind the gap."}
    text = Page(report.render(write_run(tmp_path, document))).text
    assert text.count("[1.00, 2.00] ms") == text.count("[9.00, 15.0] µJ") == 5
    assert "nominal coverage 50 %" in text and "Mind the gap." in text and NOT_VALIDATED not in text


def test_names_are_escaped(tmp_path: Path) -> None:
    hostile = '<script>alert("x")</script>&'
    document = copy.deepcopy(summary())
    document["model"] = hostile
    document["exits"][0].update(name=hostile, mount=f'"{hostile}', mount_name=hostile)
    document["warnings"] = [hostile]
    text = report.render(write_run(tmp_path, document))
    assert "<script" not in text
    assert hostile in Page(text).text


def test_same_run_gives_the_same_page(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert report.render(run) == report.render(run)


def test_write_replaces_the_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert report.write(run) == run / "report.html"
    assert report.write(run, tmp_path / "other.html").read_text() == (run / "report.html").read_text()
