"""Names and files of accelerators, and what is refused of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.run.accelerator import (
    assumed_bits,
    assumed_schemes,
    description_hash,
    is_file,
    open_target,
    short_name,
)
from passes.errors import InputError
from targets.described.target import EngineTarget
from targets.diana.target import DianaTarget
from targets.network.layer import Bits
from tests.targets.small_arch import small_text


def test_a_name_is_a_target_and_a_file_an_accelerator(tmp_path: Path) -> None:
    target, foreign = open_target("diana", "odimo", 4.0)
    assert (target, foreign) == (DianaTarget("odimo", 4.0), False)
    (tmp_path / "mine.yaml").write_text(small_text())
    target, foreign = open_target(str(tmp_path / "mine.yaml"), "", None)
    assert isinstance(target, EngineTarget) and (target.title, foreign) == ("small", True)
    assert is_file("anything.yml") and not is_file("diana")


@pytest.mark.parametrize(
    ("name", "host_scale", "message", "hint"),
    [
        ("daina", None, "is neither a target nor a file", "did you mean 'diana'"),
        (".", None, "it is a folder", "give the path of the .yaml"),
        ("nowhere.yaml", None, "no such file", ""),
        ("edge_tpu_quad", 2.0, "edge_tpu_quad has none", "leave `host_scale` away"),
    ],
)
def test_what_is_none_is_told(name: str, host_scale: float | None, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        open_target(name, "", host_scale)
    assert message in caught.value.message and hint in caught.value.hint


def test_the_precision_that_is_assumed_is_said() -> None:
    assert "8-bit weights, 7-bit activations and 16-bit" in assumed_bits(Bits(8, 7, 16))


def test_a_file_is_known_by_what_it_says(tmp_path: Path) -> None:
    texts = {"a": small_text(), "b": f"# as a\n{small_text()}", "c": small_text(sram_bits=1 << 18)}
    found = {}
    for name, text in texts.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        found[name] = description_hash(str(path), open_target(str(path), "", None)[0])
        assert short_name(str(path)) == name
    assert found["a"] == found["b"] != found["c"] and None not in found.values()
    assert description_hash("diana", DianaTarget()) is None and short_name("diana") == "diana"


def test_schemes_that_are_assumed_are_said(tmp_path: Path) -> None:
    kinds, path = ("mac_array", "simd"), tmp_path / "mine.yaml"
    path.write_text(small_text(kinds=kinds))
    assert assumed_schemes(str(path), open_target(str(path), "", None)[0]) == [
        f"{path} names no `schemes` of 2 cores: quantized by int8-channel"
    ]
    path.write_text(small_text(kinds=kinds).replace("kind: simd", "kind: simd\n    schemes: [int8-pow2]"))
    (said,) = assumed_schemes(str(path), open_target(str(path), "", None)[0])
    assert "of core mac_array_0: quantized" in said
    assert assumed_schemes("diana", DianaTarget()) == []
