"""The verb `opt`: passes on a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eecompile.verbs.given.images import images_given
from eecompile.verbs.given.network import network_given
from eecompile.verbs.given.option_rules import check_given
from eecompile.verbs.progress import Progress, silent

if TYPE_CHECKING:
    from eecompile.verbs.given.images import Data
    from eecompile.verbs.given.network import Model
    from eecompile.verbs.work.optimize import OptResult

AUTO = "auto"


def opt(
    model: Model,
    pipeline: str,
    out: Path | str | None = None,
    data: Data | None = None,
    preprocess: str | None = None,
    target: str | None = None,
    verify_each: bool = False,
    save_stages: Path | str | None = None,
    seed: int | None = None,
    progress: Progress = silent,
) -> OptResult:
    """Run passes on a network.

    Args:
        model: A network: path, bytes, ``onnx.ModelProto`` or graph.
        pipeline: Text form of the passes, see `passes.registry.parse_pipeline`.
        out: Where to write the resulting ONNX file, if anywhere.
        data: Images, as `run` takes them, that calibrate ``quantize`` and, if given, are what the passes are
            verified on.
        preprocess: How stored images become the model's input; found out if absent.
        target: Target whose quantization schemes calibration uses; ``diana`` if absent.
        verify_each: Run the network in onnxruntime before and after each pass and compare.
        save_stages: Folder for the network after each pass.
        seed: Seed of the random inputs of the verification, and of a validation split; 0 if absent.
        progress: Called with one line of text per step.

    Examples:
        >>> from eecompile import api
        >>> api.opt("digits_resnet.onnx", "canonicalize,fold-batchnorm")
        <OptResult: digits_resnet.onnx after 2 passes: 32 to 22 nodes>
    """
    from eecompile.run.options import check_seed
    from eecompile.verbs.work.optimize import optimize

    check_given(
        "opt",
        {"data": data, "preprocess": preprocess, "target": target, "verify_each": verify_each, "seed": seed},
    )
    return optimize(
        network_given(model),
        pipeline,
        out=None if out is None else Path(out),
        data=None if data is None else images_given(data),
        preprocess=AUTO if preprocess is None else preprocess,
        target=target,
        verify_each=verify_each,
        save_stages=None if save_stages is None else Path(save_stages),
        seed=check_seed(0 if seed is None else seed),
        progress=progress,
    )
