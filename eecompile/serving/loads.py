"""Weights that networks keep on chip, and when they must be brought."""

from __future__ import annotations

from collections.abc import Sequence

from eecompile.serving.memory import kept_together
from eecompile.serving.service import ServiceTime


def loading_notes(
    names: Sequence[str], services: Sequence[ServiceTime], sizes: Sequence[int] = (1,)
) -> list[str]:
    """Return what is known of the memories of the accelerator that networks share, in sentences.

    Args:
        names: Of the networks.
        services: What they need.
        sizes: Of the largest batches that may run, rising: larger ones leave less room beside them.
    """
    unknown = [name for name, one in zip(names, services, strict=True) if one.footprint is None]
    if unknown:
        return [
            "neither loads of weights nor what is interrupted cost anything here, as what "
            f"{', '.join(unknown)} leaves in the memories was not counted when it was made: retune it"
        ]
    if len(services) == 1:
        return []
    bring = (
        f"{', '.join(f'{name} {1e3 * one.load_s:.4g}' for name, one in zip(names, services, strict=True))} ms"
    )
    if not any(one.load_s or one.load_j for one in services):
        return ["no network keeps weights on chip: none are brought where another ran before"]
    beside = [size for size in sizes if kept_together([one.in_batches(size).footprint for one in services])]
    if not beside:
        return [
            f"kept weights do not fit on chip together, and are brought where another ran before: {bring}"
        ]
    less = (
        "" if beside[-1] == sizes[-1] else f" beside batches of {beside[-1]} at most, else where another ran"
    )
    return [f"the kept weights of all networks fit on chip together, and are brought once{less}: {bring}"]


class KeptWeights:
    """What is on chip: the weights of all networks that ran, where they fit together, else of the last one.

    Attributes:
        loads: How often some were brought.
    """

    def __init__(self, services: Sequence[ServiceTime]) -> None:
        """Begin with nothing on chip: the first inference of a network brings its weights."""
        self._services = services
        self._together = kept_together([one.footprint for one in services])
        self._there = [False] * len(services)
        self.loads = 0

    def there(self, network: int) -> bool:
        """Return whether a network can run without bringing weights."""
        service = self._services[network]
        return self._there[network] or (self._together and not (service.load_s or service.load_j))

    def bring(self, network: int) -> tuple[float, float]:
        """Let a network be the next to run; return the seconds and joules of bringing its weights."""
        if self._there[network]:
            return 0.0, 0.0
        if not self._together:
            self._there = [False] * len(self._there)
        self._there[network] = True
        service = self._services[network]
        self.loads += bool(service.load_s or service.load_j)
        return service.load_s, service.load_j
