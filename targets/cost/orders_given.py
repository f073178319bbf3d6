"""Orders of temporal loops that keep what the user wrote down."""

from __future__ import annotations

import numpy as np

from passes.errors import InputError
from targets.cost.nest import Shape
from targets.cost.orderings import Ints, all_orders, temporal_factors

ANY = "*"


def given_orders(
    shape: Shape, remaining: tuple[int, ...], order: tuple[tuple[str, int | None], ...], limit: int | None
) -> tuple[Ints, Ints]:
    """Return the orders that agree with ``order``, innermost first.

    Args:
        shape: The layer.
        remaining: Iterations left of each loop.
        order: Loops from the innermost, with their factor or ``None`` for any; behind ``("*", None)``, up to
            the outermost. Loops the layer does not have, or has no iterations left of, are passed over.
        limit: Most factors of the loops that are left.

    Returns:
        Loop positions and factors, ``[orders, n]`` each.

    Raises:
        InputError: A factor does not divide what is left of its loop, or no order agrees.
    """
    split = next((i for i, (loop, _) in enumerate(order) if loop == ANY), len(order))
    left = list(remaining)
    inner = _known(shape, order[:split], left)
    outer = _known(shape, order[split + 1 :], left)
    fixed = [(i, f) for i, f in [*inner, *outer] if f is not None]
    free = temporal_factors(tuple(left), None if limit is None else max(1, limit - len(fixed)))
    loops, sizes = all_orders((*free, *fixed))
    agree = np.ones(len(loops), bool)
    length = loops.shape[1]
    places = [*enumerate(inner), *((length - len(outer) + i, entry) for i, entry in enumerate(outer))]
    for place, (loop, factor) in places:
        if not 0 <= place < length:
            raise InputError(f"the temporal order names more loops than the layer has factors ({length})")
        agree &= loops[:, place] == loop
        if factor is not None:
            agree &= sizes[:, place] == factor
    if not agree.any():
        wished = ", ".join(f"{loop} {factor or ANY}" for loop, factor in order)
        raise InputError(f"no order of the loops agrees with the given temporal order: {wished}")
    return loops[agree], sizes[agree]


def _known(
    shape: Shape, order: tuple[tuple[str, int | None], ...], left: list[int]
) -> list[tuple[int, int | None]]:
    """Return the entries that concern the layer, and take their factors out of ``left``."""
    result: list[tuple[int, int | None]] = []
    for loop, factor in order:
        at = shape.index.get(loop)
        if at is None or left[at] == 1:
            continue
        if factor is not None:
            if left[at] % factor:
                raise InputError(
                    f"the temporal order gives {loop} the factor {factor}; {left[at]} iterations are left",
                    f"use a factor of {left[at]}, or '{ANY}' for any",
                )
            left[at] //= factor
        result.append((at, factor))
    return result
