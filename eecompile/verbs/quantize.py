"""The verb `quantize`: a network in the integers of a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eecompile.verbs.given.images import images_given
from eecompile.verbs.given.lists import layers_given
from eecompile.verbs.given.network import network_given
from eecompile.verbs.given.option_rules import check_given
from eecompile.verbs.progress import Progress, silent
from passes.errors import InputError

if TYPE_CHECKING:
    from eecompile.verbs.given.images import Data
    from eecompile.verbs.given.network import Model
    from eecompile.verbs.work.quantize import QuantizeResult

AUTO = "auto"


def quantize(
    model: Model,
    data: Data | None = None,
    target: str = "diana",
    out: Path | str | None = None,
    objective: str = "edp",
    preprocess: str | None = None,
    seed: int | None = None,
    calibration: str | None = None,
    keep_float: str | Sequence[str] | None = None,
    max_drop: float | None = None,
    placement: str | None = None,
    bits: Mapping[str, int] | None = None,
    frontier: bool = False,
    quantize: str | None = None,
    qat_epochs: int | None = None,
    requantize: bool = False,
    progress: Progress = silent,
) -> QuantizeResult:
    """Quantize a network, with or without exits, by the schemes of a target, and tell which layers lose most.

    Args:
        model: Trained classifier: path, bytes, ``onnx.ModelProto`` or graph.
        data: Images, as `run` takes them: training images calibrate, accuracy is that of val and test.
        target: Name of the accelerator.
        out: Where files are written; ``runs/<model>-<target>-quantized`` if absent.
        objective: What layers are placed for.
        preprocess: ``auto`` (if absent) or a rule, see `eecompile.data.preprocess.parse_rule`.
        seed: Seed of a validation split that has to be carved; 0 if absent.
        calibration: How ranges of activations are found, see `eecompile.quantization.calibrators.grid_of`;
            ``least-squares`` if absent.
        keep_float: Layers that stay in float or ``auto``: the
            fewest with which no exit loses more than ``max_drop`` on val, by the plain estimate.
        max_drop: Accuracy that may be lost, in points; 1 if absent.
        placement: ``auto`` (if absent), ``digital`` or ``analog``, as in `run`.
        bits: Part of the network -> bits of its weights, as in `run`.
        frontier: Search the scheme of each layer, and tell what the mappings worth having cost and lose.
        quantize: ``ptq`` (if absent): by calibration alone; ``qat``: trained for its integers behind it, and
            so is each mapping of ``frontier`` before it is measured.
        qat_epochs: How often each image is seen in that training; by its recipe if absent.
        requantize: The network is quantized already, and its integers are given up, as in `run`; else they
            are kept, and only measured and lowered.
        progress: Called with one line of text per step.

    Raises:
        InputError: A wrong file or value.
        NoSolutionError: A layer that no core of the target supports, or no layers in float help enough.

    Examples:
        >>> from eecompile import api
        >>> found = api.quantize("tiny.onnx", "tiny.npz", calibration="minmax", preprocess="raw", out="int8")
        >>> found
        <QuantizeResult: tiny.onnx for diana: ... % on 32 test images, ... points below float; in int8>
        >>> found.exits[-1].name
        'final'
    """
    from eecompile.verbs.work.quantize import quantize_network
    from eecompile.verbs.work.quantize_options import QuantizeOptions
    from targets.objective import objective_named

    check_given("quantize", {"keep_float": keep_float, "max_drop": max_drop})
    if data is None:
        raise InputError(
            "`data` is missing: without images nothing can be calibrated", "example: `data` digits"
        )
    kept: str | tuple[str, ...] = ()
    if keep_float is not None:
        kept = AUTO if keep_float == AUTO else layers_given("keep_float", keep_float)
    options = QuantizeOptions(
        model=network_given(model),
        data=images_given(data),
        target=target,
        out=None if out is None else Path(out),
        objective=objective_named(objective),
        preprocess=AUTO if preprocess is None else preprocess,
        seed=0 if seed is None else seed,
        calibration="least-squares" if calibration is None else calibration,
        keep_float=kept,
        max_drop=max_drop,
        placement=placement,
        bits={} if bits is None else dict(bits),
        frontier=frontier,
        quantize="ptq" if quantize is None else quantize,
        qat_epochs=qat_epochs,
        requantize=requantize,
    )
    return quantize_network(options, progress)
