"""Names of placements."""

from eecompile.quantization.placements import AUTO, PLACEMENTS, PLAIN_PLACEMENTS


def test_the_default_comes_first_and_one_needs_a_search() -> None:
    assert PLACEMENTS == (AUTO, "digital", "analog", "mixed")
    assert {*PLACEMENTS} - {*PLAIN_PLACEMENTS} == {"mixed"}
