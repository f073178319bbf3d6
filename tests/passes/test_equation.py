"""Equations of Einsum, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from passes.equation import Equation, read_equation


def test_each_index_has_a_letter_and_an_extent() -> None:
    found = read_equation("b i j, jk -> bik", [(2, 3, 4), (4, 5)])
    assert found == Equation(("bij", "jk"), "bik", {"b": 2, "i": 3, "j": 4, "k": 5})
    assert found.products == 2 * 3 * 4 * 5


def test_one_operand_has_no_products() -> None:
    found = read_equation("ij->i", [(3, 4)])
    assert found is not None
    assert found.products == 0


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("ij,jk", [(2, 3), (3, 4)]),
        ("ji,kj", [(2, 3), (4, 2)]),
        ("...ij,...jk", [(5, 2, 3), (6, 5, 3, 4)]),
        ("i...,i...->...", [(3, 2, 4), (3, 4)]),
        ("...,...->...", [(3, 1), (3, 4)]),
        ("ba", [(2, 3)]),
    ],
)
def test_the_result_has_the_shape_that_numpy_finds(text: str, shapes: list[tuple[int, ...]]) -> None:
    found = read_equation(text, shapes)
    assert found is not None
    expected = np.einsum(text, *map(np.zeros, shapes)).shape
    assert tuple(found.extents[axis] for axis in found.result) == expected
    spelled = f"{','.join(found.operands)}->{found.result}"
    assert np.einsum(spelled, *map(np.zeros, shapes)).shape == expected


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("ij,jk", [(2, 3)]),
        ("ij", [(2, 3, 4)]),
        ("ijk", [(2, 3)]),
        ("i,i->i", [(2,), (3,)]),
        ("i->j", [(2,)]),
        ("i->ii", [(2,)]),
    ],
)
def test_what_does_not_fit_is_none(text: str, shapes: list[tuple[int, ...]]) -> None:
    assert read_equation(text, shapes) is None
