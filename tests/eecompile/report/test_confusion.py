"""Confusion: every image counted once, in its row and column."""

from __future__ import annotations

import numpy as np

from eecompile.report.confusion import MAX_CLASSES, MAX_PAIRS, ConfusedPair, confusion
from eecompile.run_files.samples import SplitSamples
from tests.eecompile.fabricated_run import samples


def made(label: list[int], answer: list[int]) -> SplitSamples:
    labels, answers = np.array(label, np.int32), np.array([answer], np.int32)
    sure = np.ones((1, len(label)), np.float32)
    return SplitSamples(labels, sure[:0], answers, sure, answers[0])


def test_cells_count_labels_against_answers_of_those_that_leave() -> None:
    test = samples().test
    leaving = test.leaves_at([0.9, 0.8]) == 1
    found = confusion(test, 1, leaving, [f"class {n}" for n in range(10)])
    table = np.zeros((10, 10), int)
    np.add.at(table, (test.label[leaving], test.prediction[1, leaving]), 1)
    assert [[cell.count for cell in row] for row in found.rows] == table.tolist()
    assert found.images == leaving.sum() and all(row[n].right for n, row in enumerate(found.rows))
    share = table[3, 3] / table[3].sum()
    assert found.rows[3][3].share == share
    assert (
        found.rows[3][3].label
        == f"class 3 answered class 3: {table[3, 3]} of {table[3].sum()} ({100 * share:.1f} %)"
    )
    assert found.rows[3][4].label.startswith("class 3 taken for class 4: ")


def test_a_class_that_does_not_leave_there_has_an_empty_row() -> None:
    found = confusion(made([0, 0, 2], [0, 2, 2]), 0, np.array([True, True, False]), ())
    assert [[cell.count for cell in row] for row in found.rows] == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert [cell.share for cell in found.rows[2]] == [0, 0, 0] and found.names == ("0", "1", "2")


def test_of_many_classes_the_most_confused_pairs_are_told() -> None:
    label = [50] * 4 + [7] * 3 + [60] * 2 + [1]
    answer = [51, 51, 51, 50, 8, 8, 7, 61, 61, 1]
    found = confusion(made(label, answer), 0, np.ones(10, bool), ())
    assert found.rows == () and len(found.names) == 62 > MAX_CLASSES
    assert found.pairs == (
        ConfusedPair("50", "51", 3, 4),
        ConfusedPair("7", "8", 2, 3),
        ConfusedPair("60", "61", 2, 2),
    ) or found.pairs == (
        ConfusedPair("50", "51", 3, 4),
        ConfusedPair("60", "61", 2, 2),
        ConfusedPair("7", "8", 2, 3),
    )
    many = confusion(made(list(range(40)), [n + 1 for n in range(40)]), 0, np.ones(40, bool), ())
    assert [pair.label for pair in many.pairs] == [str(n) for n in range(MAX_PAIRS)], "equal ones by class"


def test_where_none_leaves_nothing_is_counted() -> None:
    found = confusion(made([0, 1], [0, 0]), 0, np.zeros(2, bool), ())
    assert found.images == 0 and found.pairs == () and sum(c.count for row in found.rows for c in row) == 0
