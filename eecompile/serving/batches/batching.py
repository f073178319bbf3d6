"""When requests run together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from passes.errors import InputError, did_you_mean

Kind = Literal["none", "fixed", "timeout", "fluid"]
EXAMPLES = "none, fixed:8, timeout:8,2ms or fluid:8"
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Batching:
    """How batches are made.

    A batch of ``fixed`` or ``timeout`` begins together, and those who go on behind an exit go on together;
    nobody takes the places of those who left. One of ``fluid`` is made anew at each boundary of all that wait
    for the same stage.

    Attributes:
        kind: ``none``: one by one; ``fixed``: a batch begins when ``size`` wait, or no more will come;
            ``timeout``: or when the first of them has waited ``wait_s``; ``fluid``: at once, and as large as
            pays.
        size: The largest batch.
        wait_s: Seconds, of ``timeout``.
    """

    kind: Kind = "none"
    size: int = 1
    wait_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is none; raises InputError."""
        if self.kind not in get_args(Kind):
            raise InputError(f"batches cannot be '{self.kind}'", did_you_mean(self.kind, get_args(Kind)))
        if self.size < 1 or (self.kind == "none" and self.size != 1):
            raise InputError(f"a batch of {self.kind} cannot be of {self.size}", EXAMPLES)
        if not 0 <= self.wait_s < float("inf") or (self.wait_s and self.kind != "timeout"):
            raise InputError(f"batches of {self.kind} cannot wait {self.wait_s} s", EXAMPLES)

    def __str__(self) -> str:
        """Return the text that `batching_of` reads."""
        if self.kind == "none":
            return "none"
        wait = f",{1e3 * self.wait_s:g}ms" if self.kind == "timeout" else ""
        return f"{self.kind}:{self.size}{wait}"


def known_sizes(largest: int) -> tuple[int, ...]:
    """Return the sizes of batches whose costs are found out: powers of two, one included, and the largest."""
    return tuple(sorted({*(2**n for n in range(largest.bit_length())), largest}))


def batching_of(text: str) -> Batching:
    """Read ``none``, ``fixed:SIZE``, ``timeout:SIZE,TIME`` or ``fluid:SIZE``.

    Raises:
        InputError: The text is none of these.
    """
    kind, _, rest = text.partition(":")
    if kind not in get_args(Kind):
        raise InputError(f"batches cannot be '{text}'", did_you_mean(kind, get_args(Kind)) or EXAMPLES)
    size, _, wait = rest.partition(",")
    takes = {"none": (False, False), "timeout": (True, True)}.get(kind, (True, False))
    if (bool(size), bool(wait)) != takes or (size and not size.isdecimal()):
        raise InputError(f"batches cannot be '{text}'", EXAMPLES)
    return Batching(kind, int(size or 1), _seconds(text, wait) if wait else 0.0)  # type: ignore[arg-type]


def batchings_of(text: str) -> tuple[Batching, ...]:
    """Read several of what `batching_of` reads, one behind another with commas between them."""
    parts: list[str] = []
    for part in text.split(","):
        if parts and parts[-1].startswith("timeout:") and "," not in parts[-1]:
            parts[-1] += f",{part}"
        else:
            parts.append(part.strip())
    return tuple(batching_of(part) for part in parts)


def _seconds(text: str, wait: str) -> float:
    for unit, factor in UNITS.items():
        if wait.endswith(unit):
            try:
                return float(wait.removesuffix(unit)) * factor
            except ValueError:
                break
    raise InputError(f"batches cannot be '{text}': '{wait}' is no time", EXAMPLES)


def way_told(way: str, batch: str) -> str:
    """Return a way to serve as it is told; that requests run one by one goes without saying."""
    return way if batch == "none" else f"{way}, {batch}"
