"""Which calibrators there are, by name; what they do stands in `eecompile.quantization.calibrators`."""

from __future__ import annotations

from passes.errors import InputError, did_you_mean

LEAST_SQUARES, MINMAX, PERCENTILE, ENTROPY = "least-squares", "minmax", "percentile", "entropy"
CALIBRATIONS = (LEAST_SQUARES, MINMAX, PERCENTILE, ENTROPY)


def check_calibration(name: str) -> str:
    """Return ``name``; raises InputError with a suggestion for one that is not in ``CALIBRATIONS``."""
    if name not in CALIBRATIONS:
        raise InputError(f"`calibration` cannot be '{name}'", did_you_mean(name, CALIBRATIONS))
    return name
