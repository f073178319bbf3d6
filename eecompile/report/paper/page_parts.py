"""The tables and plots of a rendered page, each with the headings it stands under."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "hr", "input"}
_AS_WRITTEN = {"viewbox": "viewBox", "preserveaspectratio": "preserveAspectRatio", "clippath": "clipPath"}
LIVE = {"explored", "explore-chart"}
"""Classes and ids of what the script of the page fills in."""
SHAPES = {"rect", "circle", "line", "polyline", "polygon", "path", "text"}


@dataclass(frozen=True)
class PageCell:
    """A cell: what it says, and the smaller lines below that."""

    text: str
    small: tuple[str, ...] = ()


@dataclass(frozen=True)
class PageTable:
    """A table.

    Attributes:
        title: The headings it stands under.
        columns: Its head; empty where it has none.
        rows: Its cells, as many in each row as the longest has.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[PageCell, ...], ...]


@dataclass(frozen=True)
class PagePlot:
    """A plot.

    Attributes:
        title: The headings it stands under, and what it is called.
        picture: The ``svg`` element, drawn by the style of the page.
        legend: Class of each colour and what it stands for.
    """

    title: str
    picture: ET.Element
    legend: tuple[tuple[str, str], ...]


@dataclass
class PageParts:
    """All of a page.

    Attributes:
        style: Its style sheet.
        tables: In the order of the page.
        plots: In the order of the page.
    """

    style: str = ""
    tables: list[PageTable] = field(default_factory=list)
    plots: list[PagePlot] = field(default_factory=list)


class _Reader(HTMLParser):
    """Builds the tree of a page whose elements are all closed."""

    def __init__(self) -> None:
        super().__init__()
        self._builder = ET.TreeBuilder()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {_AS_WRITTEN.get(name, name): value or "" for name, value in attrs}
        self._builder.start(_AS_WRITTEN.get(tag, tag), known)
        if tag in VOID:
            self._builder.end(tag)
        else:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        innermost = self._open.pop()
        if innermost != tag:
            raise ValueError(f"<{innermost}> is closed by </{tag}>")
        self._builder.end(_AS_WRITTEN.get(tag, tag))

    def handle_data(self, data: str) -> None:
        if self._open:
            self._builder.data(data)

    def tree(self) -> ET.Element:
        self.close()
        return self._builder.close()


def page_parts(page: str) -> PageParts:
    """Return the tables and plots of a page; what the script of the page draws is left out."""
    reader = _Reader()
    reader.feed(page)
    root = reader.tree()
    found = PageParts("".join(style.text or "" for style in root.iter("style")))
    parents = {child: parent for parent in root.iter() for child in parent}
    headings = {"h2": "", "h3": ""}
    for element in root.iter():
        if element.tag in headings:
            headings[element.tag] = words(element)
            if element.tag == "h2":
                headings["h3"] = ""
        title = " – ".join(filter(None, headings.values()))  # noqa: RUF001 - between headings
        if LIVE & {*element.get("class", "").split(), element.get("id", "")}:
            continue
        if element.tag == "table":
            found.tables += filter(lambda table: bool(table.rows), [_table(title, element)])
        elif _is_plot(element):
            named = ", ".join(filter(None, (title, element.get("aria-label", ""))))
            found.plots.append(PagePlot(named, element, _legend(element, parents)))
    return found


def _is_plot(element: ET.Element) -> bool:
    """Return whether an element is a picture with something in it, no bar in a cell or key of a legend."""
    named = {"chart", "tall"} & {*element.get("class", "").split()}
    return element.tag == "svg" and bool(named) and any(part.tag in SHAPES for part in element.iter())


def words(element: ET.Element, but: str = "") -> str:
    """Return the text of an element, without that of elements ``but`` and of tooltips."""
    return " ".join("".join(_texts(element, {but, "title"})).split())


def _texts(element: ET.Element, but: set[str]) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child.tag not in but:
            yield from _texts(child, but)
        yield " " if child.tag == "br" else ""
        yield child.tail or ""


def _table(title: str, element: ET.Element) -> PageTable:
    lines = [[_cells(cell) for cell in row if cell.tag in ("td", "th")] for row in element.iter("tr")]
    rows = [[cell for cells in line for cell in cells] for line in lines]
    width = max(map(len, rows), default=0)
    padded = [(*row, *[PageCell("")] * (width - len(row))) for row in rows]
    head = element.find("thead")
    count = 0 if head is None else len(list(head.iter("tr")))
    columns = [" ".join(filter(None, (c.text, *c.small))) for c in padded[0]] if count else []
    return PageTable(title, tuple(columns), tuple(padded[count:]))


def _cells(element: ET.Element) -> list[PageCell]:
    small = tuple(filter(None, (words(part) for part in element.iter("small"))))
    cell = PageCell(words(element, "small"), small)
    return [cell, *[PageCell("")] * (int(element.get("colspan", "1")) - 1)]


def _legend(picture: ET.Element, parents: dict[ET.Element, ET.Element]) -> tuple[tuple[str, str], ...]:
    """Return the legend that follows a plot, inside one of the elements around it, before other plots."""
    inner = picture
    while (outer := parents.get(inner)) is not None and outer.tag != "section":
        siblings = list(outer)
        for element in siblings[siblings.index(inner) + 1 :]:
            if element.tag == "ul" and element.get("class") == "legend":
                return tuple(_entry(item) for item in element if item.tag == "li")
            if not re.fullmatch("svg|div", element.tag):
                break
        inner = outer
    siblings = [] if outer is None else list(outer)
    behind = siblings[siblings.index(inner) + 1 :] if siblings else []
    if behind and behind[0].tag == "ul" and behind[0].get("class") == "legend":
        return tuple(_entry(item) for item in behind[0] if item.tag == "li")
    return ()


def _entry(item: ET.Element) -> tuple[str, str]:
    colour = next((part.get("class", "") for part in item.iter() if part.tag in SHAPES), "")
    return colour, words(item)
