"""The verb `compare`: two runs against each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eecompile.verbs.given.lists import texts

if TYPE_CHECKING:
    from eecompile.verbs.work.compare import Comparison


def compare(run_a: Path | str, run_b: Path | str, fail_if: str | Sequence[str] = ()) -> Comparison:
    """Compare two runs, and hold the second to one gate or several.

    Args:
        run_a: The reference: a run directory, or its ``summary.json``.
        run_b: The run that is judged.
        fail_if: Conditions on it that must not hold, see `eecompile.verbs.work.compare.Gate.parse`.

    Raises:
        InputError: Not a run directory, a condition that cannot be read, or a key without a number.

    Examples:
        >>> from eecompile import api
        >>> a = api.run("digits_resnet.onnx", exits=1, out="one")
        >>> b = api.run("digits_resnet.onnx", exits=2, out="two")
        >>> found = api.compare(a.out, b.out, "static.macs>+0%")
        >>> found.passed
        True
    """
    from eecompile.verbs.work.compare import compare_runs

    return compare_runs(Path(run_a), Path(run_b), texts("fail_if", fail_if))
