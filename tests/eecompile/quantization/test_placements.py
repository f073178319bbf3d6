"""Names of placements."""

from eecompile.quantization.placements import AUTO, PLACEMENTS


def test_the_default_comes_first() -> None:
    assert PLACEMENTS == (AUTO, "digital", "analog")
