"""Units go into the head; the digits stay those that are shown."""

from __future__ import annotations

import pytest

from eecompile.report.paper.columns import Column, columns
from eecompile.report.paper.page_parts import PageCell, PageTable
from eecompile.wording.quantities import ABSENT


def column(*texts: str) -> Column:
    (found,) = columns(PageTable("", ("head",), tuple((PageCell(text),) for text in texts)))
    return found


@pytest.mark.parametrize(
    ("texts", "head", "cells"),
    [
        (("1.02 µJ", "307 nJ"), "head (µJ)", ("1.02", "0.307")),
        (("307 k", "1.80 M", "0"), "head (M)", ("0.307", "1.80", "0")),
        (("12,345", "7"), "head", ("12345", "7")),
        (("99.8 %", ABSENT, "100 %"), "head (%)", ("99.8", ABSENT, "100")),
        (("\N{MINUS SIGN}0.5 %", "1 %"), "head (%)", ("-0.5", "1")),
        (("1.10 mJ·s", "900 µJ·s"), "head (mJ·s)", ("1.10", "0.900")),
        (("44", "·"), "head", ("44", "·")),
    ],
)
def test_numbers(texts: tuple[str, ...], head: str, cells: tuple[str, ...]) -> None:
    assert column(*texts) == Column(head, cells, True)


@pytest.mark.parametrize(
    ("texts", "head", "cells"),
    [
        (("[30.1, 60.1] µs", ""), "head (µs)", ("[30.1, 60.1]", "")),
        (("95.7 %", "[93.5, 96.7] %"), "head (%)", ("95.7", "[93.5, 96.7]")),
        (("[1, 2] µs", "[1, 2] ns"), "head", ("[1, 2] µs", "[1, 2] ns")),
        (("8 / 8", "4 / 8"), "head", ("8 / 8", "4 / 8")),
        (("1 s", "2 J"), "head", ("1 s", "2 J")),
        (("conv_0", "12"), "head", ("conv_0", "12")),
    ],
)
def test_other_columns(texts: tuple[str, ...], head: str, cells: tuple[str, ...]) -> None:
    assert column(*texts) == Column(head, cells, False)


def test_smaller_lines_are_columns_behind_and_empty_ones_are_left_out() -> None:
    rows = (
        (PageCell("a"), PageCell("1 µJ", ("4 %", "[1, 2]")), PageCell("", ())),
        (PageCell("b"), PageCell("2 µJ", ("5 %", "in use 3 %", "now")), PageCell("")),
    )
    assert columns(PageTable("", ("exit", "energy", "bar"), rows)) == [
        Column("exit", ("a", "b"), False),
        Column("energy (µJ)", ("1", "2"), True),
        Column("energy, share (%)", ("4", "5"), True),
        Column("energy, interval", ("[1, 2]", ""), False),
        Column("energy, note", ("", "in use 3 % now"), False),
    ]


def test_facts_have_no_heads() -> None:
    found = columns(PageTable("", (), ((PageCell("a"), PageCell("b")),)))
    assert [(c.head, c.cells) for c in found] == [("", ("a",)), ("", ("b",))]
