"""The verb `compare`: runs against the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eecompile.verbs.given.lists import texts
from passes.errors import InputError

if TYPE_CHECKING:
    from eecompile.verbs.work.compare import Comparison


def compare(runs: Sequence[Path | str], fail_if: str | Sequence[str] = ()) -> Comparison:
    """Compare runs with the first of them, and hold them to one gate or several.

    Accuracies of runs on the same test images are compared image by image.

    Args:
        runs: Two or more run directories, or their ``summary.json``; the first is the baseline.
        fail_if: Conditions on each of the others that must not hold, see
            `eecompile.verbs.work.gates.Gate.parse`.

    Raises:
        InputError: Fewer than two runs, not a run directory, a condition that cannot be read, or a key
            without a number.

    Examples:
        >>> from eecompile import api
        >>> a = api.run("digits_resnet.onnx", exits=1, out="one")
        >>> b = api.run("digits_resnet.onnx", exits=2, out="two")
        >>> found = api.compare([a.out, b.out], "static.macs>+0%")
        >>> found.passed
        True
    """
    from eecompile.verbs.work.compare import compare_runs

    if isinstance(runs, str | Path):
        raise InputError(
            f"`runs` is a list of two or more runs, not {str(runs)!r}", "write ['runs/a', 'runs/b']"
        )
    return compare_runs([Path(run) for run in runs], texts("fail_if", fail_if))
