"""Images of each exit: which, and what is said of them."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from eecompile.report.images import class_name, exit_images
from eecompile.report.png import png
from eecompile.run_files.samples import GROUPS, Samples
from eecompile.run_files.summary import Summary
from tests.eecompile.fabricated_run import samples, summary

SUMMARY = Summary.model_validate(summary())


def test_each_image_stands_at_its_exit_with_label_answer_and_sureness() -> None:
    made = samples()
    found = exit_images(SUMMARY, made)
    assert [item.name for item in found] == ["exit_0", "exit_1", "final"]
    for number, item in enumerate(found):
        (row,) = item.rows  # the fabricated run shows one image of one group for each exit
        (image,) = row.images
        index = int(made.shown.index[number])
        label, answer = int(made.test.label[index]), int(made.test.prediction[number, index])
        sure = made.test.probability[number, index]  # equal to the confidence of early exits
        caption = f"class {label}" + (f", taken for class {answer}" if answer != label else "")
        kind = "probability" if number == 2 else "confidence"
        assert row.title == GROUPS[number]
        assert (image.caption, image.sure) == (caption, f"{sure:.3f}")
        assert image.alt == f"test image {index}: {caption}; {kind} {sure:.3f}"
        data = image.source.removeprefix("data:image/png;base64,")
        assert base64.b64decode(data) == png(made.shown.pixels[number])


def test_it_is_said_how_many_leave_and_how_many_of_them_are_right() -> None:
    made = samples()
    where = made.test.leaves_at([0.9127, 0.8443])
    for number, item in enumerate(exit_images(SUMMARY, made)):
        count = int((where == number).sum())
        share = 100 * made.test.correct[number, where == number].mean()
        assert item.sentence == f"{count:,} of 1,000 test images leave here, {share:.1f} % of them right."


def test_an_exit_that_none_leaves_at_says_so() -> None:
    document = summary()
    document["exits"][1]["threshold"] = 2.0
    shown = exit_images(Summary.model_validate(document), samples())[1]
    assert shown.sentence == "0 of 1,000 test images leave here."


@pytest.mark.parametrize(
    ("names", "number", "name"),
    [(("cat", "dog"), 1, "dog"), ((), 7, "7"), (("cat",), 3, "3"), (("a" * 40,), 0, None)],
)
def test_classes_without_names_are_told_by_number(
    names: tuple[str, ...], number: int, name: str | None
) -> None:
    found = class_name(names, number)
    assert found == name if name else len(found) <= 24


def test_rows_without_images_are_left_out() -> None:
    made = samples()
    shown = made.shown
    only = type(shown)(shown.index[:1], shown.exit[:1], shown.group[:1], shown.pixels[:1])
    found = exit_images(SUMMARY, Samples(made.val, made.test, only))
    assert [len(item.rows) for item in found] == [1, 0, 0]
    assert np.array_equal(shown.exit, [0, 1, 2])
