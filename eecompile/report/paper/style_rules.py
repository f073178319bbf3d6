"""What the style sheet of the page says of the shapes of a plot, as attributes that any program reads."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

DRAWN = {
    "fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-weight",
    "letter-spacing",
}  # fmt: skip
"""Properties that shapes have."""
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_MEDIA = re.compile(r"@[\w-]+[^{}]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", re.DOTALL)
_VARIABLE = re.compile(r"var\((--[\w-]+)\)")
_PART = re.compile(r"([\w-]+)?((?:[.#][\w-]+)*)")


@dataclass(frozen=True)
class StyleRule:
    """A selector of elements inside one another, and what it says of the last.

    Attributes:
        parts: Tag (may be empty) and classes of each, outermost first.
        says: Property -> value, and whether it goes before others.
    """

    parts: tuple[tuple[str, frozenset[str]], ...]
    says: tuple[tuple[str, str, bool], ...]

    @property
    def weight(self) -> tuple[int, int]:
        """How exact it is: classes and ids, then tags."""
        return sum(len(c) for _, c in self.parts), sum(bool(tag) for tag, _ in self.parts)

    def fits(self, path: Sequence[ET.Element]) -> bool:
        """Return whether it tells of the last element of a path from the outermost one."""
        waiting = list(self.parts)
        if not _is(path[-1], waiting.pop()):
            return False
        for element in reversed(path[:-1]):
            if waiting and _is(element, waiting[-1]):
                waiting.pop()
        return not waiting


def style_rules(sheet: str) -> list[StyleRule]:
    """Return the rules of a style sheet that say how shapes look on a light page, weakest first."""
    plain = _MEDIA.sub("", _COMMENT.sub("", sheet))
    variables = dict(re.findall(r"(--[\w-]+):\s*([^;}]+)", plain))
    rules = []
    for selectors, body in _RULE.findall(plain):
        says = []
        for name, value in re.findall(r"([\w-]+)\s*:\s*([^;]+)", body):
            known = _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), value).strip()
            first = known.endswith("!important")
            if name == "font" and (size := re.search(r"[\d.]+px", known)):
                says.append(("font-size", size[0], first))
            elif name in DRAWN:
                says.append((name, known.removesuffix("!important").strip(), first))
        for selector in selectors.split(","):
            parts = [_PART.fullmatch(part) for part in selector.split()]
            if says and parts and all(parts):
                named = ((p[1] or "", frozenset(re.findall(r"[\w-]+", p[2]))) for p in parts if p)
                rules.append(StyleRule(tuple(named), tuple(says)))
    return sorted(rules, key=lambda rule: rule.weight)


def styled(path: Sequence[ET.Element], rules: Sequence[StyleRule]) -> dict[str, str]:
    """Return the attributes of the last element of a path."""
    found: dict[str, str] = {}
    urgent: dict[str, str] = {}
    for rule in rules:
        if rule.fits(path):
            for name, value, first in rule.says:
                (urgent if first else found)[name] = value
    return found | urgent


def _is(element: ET.Element, part: tuple[str, frozenset[str]]) -> bool:
    tag, names = part
    there = {*element.get("class", "").split(), element.get("id", "")}
    return (not tag or element.tag == tag) and names <= there
