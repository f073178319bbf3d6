"""Orders of temporal loops that keep what the user wrote down."""

from __future__ import annotations

import numpy as np

from passes.errors import InputError
from targets.cost.model.nest import Ints, Shape
from targets.cost.search.orderings import MAX_ORDERS, all_orders, order_count, temporal_factors

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
    fixed = sum(factor is not None for _, factor in [*inner, *outer])
    free = temporal_factors(tuple(left), None if limit is None else max(1, limit - fixed))
    length = len(free) + fixed
    if len(inner) + len(outer) > length:
        raise InputError(f"the temporal order names more loops than the layer has factors ({length})")
    if order_count(free) > MAX_ORDERS:
        raise InputError(
            f"the temporal order leaves {order_count(free)} orders, too many to try one by one",
            "give more of the order, or a smaller `lpf_limit`",
        )
    loops, sizes = all_orders(free)
    given = dict(enumerate(inner)) | {length - len(outer) + i: entry for i, entry in enumerate(outer)}
    columns: list[tuple[Ints, Ints]] = []
    agree = np.ones(len(loops), bool)
    rest = iter(zip(loops.T, sizes.T, strict=True))
    for place in range(length):
        loop, factor = given.get(place, (None, None))
        if factor is not None:
            columns.append((np.full(len(loops), loop), np.full(len(loops), factor)))
            continue
        columns.append(next(rest))
        if loop is not None:
            agree &= columns[-1][0] == loop
    if not agree.any():
        wished = ", ".join(f"{loop} {factor or ANY}" for loop, factor in order)
        raise InputError(f"no order of the loops agrees with the given temporal order: {wished}")
    shaped = (len(loops), length)
    return (
        np.array([c for c, _ in columns], np.int64).T.reshape(shaped)[agree],
        np.array([c for _, c in columns], np.int64).T.reshape(shaped)[agree],
    )


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
