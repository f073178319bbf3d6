"""A network that came quantized: its integers stay, and only heads of exits that were put in get theirs."""

from __future__ import annotations

from typing import Any

import onnx_graphsurgeon as gs

from eecompile.data.dataset import evenly
from eecompile.quantization.calibration import IMAGES
from eecompile.quantization.kept_grids import calibrate_added
from eecompile.quantization.layer_schemes import BACKBONE, weighted_layers
from eecompile.run.evidence import Evidence
from eecompile.run.options import RunOptions
from eecompile.run.prepare import Prepared
from eecompile.training.recipe import FROZEN, PTQ
from passes.errors import InputError
from passes.state import copy_graph


def check_options(options: RunOptions, prepared: Prepared) -> None:
    """Refuse what would change integers that are kept.

    Raises:
        InputError: With what to do.
    """
    why = {
        "`train` " + options.train: options.train != FROZEN and "trains weights",
        "`quantize` " + options.quantize: options.quantize != PTQ and "changes its integers, or ignores them",
        "`placement`": options.placement is not None and "says in which numbers its layers are computed",
        "`prune`": options.prune is not None and "takes weights away",
    }
    for option, reason in why.items():
        if reason:
            raise InputError(
                f"{option} {reason}, and those of {options.model} are kept as they are: it came quantized",
                f"leave {option.split()[0]} away, or say `requantize`",
            )
    heads = {
        n for layer in weighted_layers(prepared.graph, prepared.target) if layer.head for n in layer.names
    }
    kept = [part for part in options.bits if part not in heads | {"head"}]
    if kept:
        raise InputError(
            f"`bits` of '{kept[0]}' are those of the file: {options.model} came quantized, and is kept",
            f"name early exits alone{', not the backbone' if kept[0] == BACKBONE else ''}: head=4; or say "
            "`requantize`",
        )


def calibrated(evidence: Evidence) -> tuple[gs.Graph, dict[str, Any]]:
    """Return the network with grids for all layers, those of its file untouched, and how."""
    options, prepared = evidence.options, evidence.prepared
    images = evidence.preprocess.apply(evenly(evidence.dataset.train.x, IMAGES))
    graph = copy_graph(prepared.graph)
    schemes, done = calibrate_added(
        graph, prepared.target, options.objective.for_schedules, images, options.calibration, options.wish
    )
    told = {
        "kept": True,
        "images": done.images,
        "calibration": done.calibration,
        "schemes": schemes,
        "rounding": done.rounding,
    }
    return graph, told | ({"bits": dict(options.bits)} if options.bits else {})
