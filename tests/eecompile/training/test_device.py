"""Where training runs: bfloat16 only where it is computed, not emulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.device import Device, computes_bfloat16


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 ssbd\n", True),
        ("flags : amx_bf16 amx_tile\n", True),
        ("Features : fp asimd bf16 i8mm\n", True),
        ("flags : fpu avx512f avx2\nmodel name : avx512_bf16 in a name\n", False),
        ("", False),
    ],
)
def test_the_processor_says_what_it_computes(tmp_path: Path, text: str, native: bool) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(text)
    assert computes_bfloat16(info) == native
    if not torch.cuda.is_available():
        assert Device.choose("auto", info) == Device("cpu", native)
        assert Device.choose("no", info) == Device("cpu", False)


def test_what_says_nothing_computes_it_not(tmp_path: Path) -> None:
    assert not computes_bfloat16(tmp_path / "absent")


@pytest.mark.parametrize(("bfloat16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_products_are_in_these_numbers(bfloat16: bool, dtype: torch.dtype) -> None:
    device = Device("cpu", bfloat16)
    with device.numbers():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_images_lie_with_their_channels_last() -> None:
    held = Device("cpu", False).held(np.zeros((2, 3, 4, 4), np.float32))
    assert held.is_contiguous(memory_format=torch.channels_last)
    assert Device("cpu", False).held(np.arange(3)).tolist() == [0, 1, 2]
