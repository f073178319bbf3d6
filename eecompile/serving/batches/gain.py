"""What batches save: seconds per image by their size, and what that bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eecompile.serving.cores.use import CoreUse
from eecompile.serving.service import ServiceTime


@dataclass(frozen=True)
class BatchCost:
    """What an image takes in a batch.

    Attributes:
        network: Name of its run.
        form: ``static`` or ``exits``.
        image_s: [stages][largest batch] seconds of a stage for a batch of one, two, …, over its size.
        image_j: Joules, alike.
    """

    network: str
    form: str
    image_s: list[list[float]]
    image_j: list[list[float]]

    @staticmethod
    def of(network: str, form: str, service: ServiceTime) -> BatchCost:
        """Return that of a network."""
        size = np.arange(1, service.largest_batch + 1)
        seconds, joules = service.stage_s / size, service.stage_j / size
        return BatchCost(network, form, seconds.tolist(), joules.tolist())


def grown(service: ServiceTime, size: int) -> ServiceTime:
    """Return ``service`` with batches of up to ``size``.

    Of more images than its costs are known for, batches of the largest size that is known run one behind
    another, and one of those that are left.
    """
    known = service.largest_batch
    if known >= size:
        return service
    whole, rest = np.divmod(np.arange(1, size + 1), known)

    def of(values: NDArray[np.float64]) -> NDArray[np.float64]:
        some = np.concatenate([np.zeros((len(values), 1)), values], axis=1)
        return np.asarray(whole * some[:, -1:] + some[:, rest])

    def used(known_uses: Sequence[CoreUse]) -> list[CoreUse]:
        found = list(known_uses)
        for larger in range(known, size):
            found.append(known_uses[-1].then(found[larger - known]))
        return found

    uses = [used(one) for one in service.uses]
    return replace(service, stage_s=of(service.stage_s), stage_j=of(service.stage_j), uses=uses)


def least_s(service: ServiceTime, leaves: NDArray[np.int64], size: int) -> float:
    """Return seconds per request if every stage ran in the batches, of at most ``size``, that cost least.

    No order and no batching takes less on average; for ``size`` 1 it is what requests take one by one.

    Args:
        service: Of the network.
        leaves: [images] exit at which each leaves.
        size: The largest batch.
    """
    reach = [float((leaves >= stage).mean()) for stage in range(service.stages)]
    return float(np.dot(reach, least_stage_s(service, size)))


def least_core_s(service: ServiceTime, leaves: NDArray[np.int64], size: int) -> dict[str, float]:
    """Return seconds per request in which each core, link and port is in use at least, by name.

    Arguments as of `least_s`.
    """
    reach = [float((leaves >= stage).mean()) for stage in range(service.stages)]
    names = sorted({name for uses in service.uses for use in uses[:size] for name in use.busy})
    return {name: float(np.dot(reach, core_stage_s(service, size, name))) for name in names}


def core_stage_s(service: ServiceTime, size: int, core: str) -> NDArray[np.float64]:
    """Return seconds per image of each stage in which a core, link or port is in use at least.

    A stage runs for that in the batch, of at most ``size``, in which an image takes least of it.
    """
    sizes = np.arange(1, size + 1)
    return np.array([min([use.busy_s(core) for use in uses[:size]] / sizes) for uses in service.uses])


def least_stage_s(service: ServiceTime, size: int) -> NDArray[np.float64]:
    """Return seconds per image of each stage in the batches, of at most ``size``, that cost least."""
    found: NDArray[np.float64] = (service.stage_s[:, :size] / np.arange(1, size + 1)).min(axis=1)
    return found
