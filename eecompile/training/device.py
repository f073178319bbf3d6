"""Where training runs, and in which numbers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eecompile.training.recipe import AUTO
from eecompile.training.torch_graph import TorchGraph

# By these flags of x86 and Arm the kernel says that bfloat16 is computed, not emulated.
NATIVE = ("avx512_bf16", "amx_bf16", "bf16")


@dataclass(frozen=True)
class Device:
    """A processor.

    Attributes:
        name: As torch has it: ``cpu`` or ``cuda``.
        bfloat16: Products are computed in it, sums and what is learnt stay in float32.
    """

    name: str
    bfloat16: bool

    @staticmethod
    def choose(bfloat16: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> Device:
        """Return the GPU where there is one, else the CPU; in bfloat16 where native and not refused."""
        if torch.cuda.is_available():
            return Device("cuda", bfloat16 == AUTO and torch.cuda.is_bf16_supported())
        return Device("cpu", bfloat16 == AUTO and computes_bfloat16(cpuinfo))

    def numbers(self) -> AbstractContextManager[Any]:
        """Return the context in which networks are run."""
        if not self.bfloat16:
            return nullcontext()
        return torch.autocast(self.name, dtype=torch.bfloat16)

    def ready(self, module: TorchGraph) -> TorchGraph:
        """Let a network run there, in place, its images with their channels last where they are one batch."""
        module.to(self.name)
        if not module.mapped:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return module

    def held(self, values: NDArray[Any]) -> torch.Tensor:
        """Return values as a tensor there, images [N, C, H, W] with their channels last in memory."""
        found = torch.from_numpy(np.ascontiguousarray(values)).to(self.name)
        return found.contiguous(memory_format=torch.channels_last) if found.ndim == 4 else found


def computes_bfloat16(cpuinfo: Path) -> bool:
    """Return whether the processor computes bfloat16 natively: emulated it is some 20 times slower.

    Where nothing is known of it, it is taken not to.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    words = {word for line in lines if line.startswith(("flags", "Features")) for word in line.split()}
    return not words.isdisjoint(NATIVE)
