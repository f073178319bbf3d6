"""Names and files of accelerators, and what is refused of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.run.accelerator import assumed_bits, is_file, open_target
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
