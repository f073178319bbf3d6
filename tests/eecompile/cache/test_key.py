from __future__ import annotations

import pytest

from eecompile.cache.key import Key


def test_a_key_is_what_its_parts_are() -> None:
    one = Key.of("costs", {"target": "diana", "bits": [8, 4]}, "costs on diana")
    assert Key.of("costs", {"bits": [8, 4], "target": "diana"}, "another title").digest == one.digest
    others = [
        Key.of("answers", {"target": "diana", "bits": [8, 4]}),
        Key.of("costs", {"target": "diana", "bits": [4, 8]}),
        Key.of("costs", {"target": "diana", "bits": "[8, 4]"}),
        Key.of("costs", {"target": "diana", "bits": [8, 4], "seed": 0}),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 5


@pytest.mark.parametrize("part", [object(), {1, 2}, b"bytes"])
def test_parts_whose_text_would_not_tell_them_apart_are_refused(part: object) -> None:
    with pytest.raises(TypeError):
        Key.of("costs", {"part": part})


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Key.of("costs", {"part": float("nan")})


def test_a_kind_is_a_folder() -> None:
    with pytest.raises(ValueError, match="small letters"):
        Key.of("../costs", {})
