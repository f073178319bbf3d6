"""Files of spaces for tests."""

from __future__ import annotations

from pathlib import Path

from eecompile.search.space.reading import read_space
from eecompile.search.space.space import Space

EXAMPLES = Path(__file__).parents[4] / "examples"
SMALL = '[backbone]\nfamily = "resnet"\nwidth = [4, 8]\nblocks = 1\n'


def space_of(folder: Path, text: str, before: str = SMALL) -> Space:
    """Return the space of a text, behind a small backbone unless told otherwise."""
    path = folder / "space.toml"
    path.write_text(before + text)
    return read_space(path)
