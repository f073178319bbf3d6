"""Every file that the documentation names exists, where it says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from eecompile import api

ROOT = Path(__file__).parents[1]
DOCS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
# `<name>` stands for any folder, as in targets/<name>/constraints.py.
SOURCE = re.compile(r"(?:[\w.<>*-]+/)*[\w<>*-]+\.py\b")
FOLDER = re.compile(r"(?:[\w-]+/)+")
LINK = re.compile(r"\]\(([^)#\s]+)")
TOCTREE = re.compile(r"```{toctree}\n(?::[^\n]*\n)*\n(.*?)```", re.DOTALL)


def found(folder: Path, name: str) -> bool:
    """Return whether a file of this name, which may hold wildcards, lies in ``folder``."""
    return next(folder.glob(re.sub(r"<\w+>", "*", name)), None) is not None


def sources_missing(text: str, root: Path = ROOT) -> Iterator[str]:
    """Yield sources that a text names and that are not there.

    A name is a path from the root, or lies in, or below, a folder that the same line names.
    """
    # Where links lead is looked at by itself.
    for line in LINK.sub("](", text).splitlines():
        folders = {root / named for named in FOLDER.findall(line) if (root / named).is_dir()}
        for name in SOURCE.findall(line):
            if not found(root, name) and not any(found(folder, f"**/{name}") for folder in folders):
                yield name


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_source_that_is_named_exists(path: Path) -> None:
    assert list(sources_missing(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    links = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("see `passes/base.py` and `targets/<name>/constraints.py`", []),
        ("see `passes/model/loading.py`, `structure.py`", []),
        ("see `tools/bench/schedule_*.py` and `tools/gone_*.py`", ["tools/gone_*.py"]),
        ("see `passes/gone.py`", ["passes/gone.py"]),
        ("see `passes/model/loading.py`, `engine.py`", ["engine.py"]),
        ("see `engine.py`", ["engine.py"]),
    ],
)
def test_names_of_files_that_moved_are_found(text: str, missing: list[str]) -> None:
    assert list(sources_missing(text)) == missing


def test_every_page_is_in_the_list_of_pages() -> None:
    """As `make docs` demands: a new page gets a line in docs/index.md."""
    index = ROOT / "docs" / "index.md"
    lines = "\n".join(TOCTREE.findall(index.read_text(encoding="utf-8"))).split("\n")
    named = [re.sub(r".*<(.*)>", r"\1", line) for line in lines if line]
    listed = {path.resolve() for name in named for path in index.parent.glob(f"{name}.md")}
    pages = {*DOCS, *(ROOT / "targets").glob("*/README.md"), *ROOT.glob("*.md"), ROOT / "examples/README.md"}
    assert [str(page.relative_to(ROOT)) for page in sorted(pages - listed - {index})] == []


@pytest.mark.parametrize("verb", api.__all__)
def test_what_a_verb_gives_back_is_in_the_reference(verb: str) -> None:
    page = (ROOT / "docs" / "reference" / "results.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\.\. autoclass:: .*\.(\w+)$", page, re.MULTILINE))
    told = str(inspect.signature(getattr(api, verb)).return_annotation)
    assert set(told.split(" | ")) <= listed
