"""Pass names, and the text form ``insert-exits{at=relu_3+add_2,head=conv},quantize``.

The table imports nothing: a pass is loaded when it is first asked for.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any, get_args, get_origin, get_type_hints

from passes.base import Pass, Pipeline
from passes.errors import InputError, did_you_mean
from passes.option_text import NamedOptions, parse_list

TABLE: dict[str, str] = {
    "canonicalize": "passes.canonical.canonicalize:Canonicalize",
    "fold-batchnorm": "passes.canonical.fold_batchnorm:FoldBatchnorm",
    "prune-channels": "passes.pruning.prune_channels:PruneChannels",
    "prune-branches": "passes.pruning.prune_branches:PruneBranches",
    "split-channels": "passes.integers.split_channels:SplitChannels",
    "insert-exits": "passes.exits.insert_exits:InsertExits",
    "insert-batch-norm": "passes.exits.insert_batch_norm:InsertBatchNorm",
    "quantize": "passes.integers.quantize:Quantize",
    "fold-qdq": "passes.integers.fold_qdq:FoldQdq",
    "fuse-layers": "passes.fuse_layers:FuseLayers",
    "split-stages": "passes.exits.split_stages:SplitStages",
    "nest-exits": "passes.exits.nest_exits:NestExits",
}


def pass_class(name: str) -> type[Pass]:
    """Return the class of the pass called ``name``; raises InputError with a suggestion."""
    if name not in TABLE:
        raise InputError(f"unknown pass '{name}'", did_you_mean(name, TABLE))
    module, _, attribute = TABLE[name].partition(":")
    found: type[Pass] = getattr(importlib.import_module(module), attribute)
    return found


def parse_pass(text: str) -> Pass:
    """Parse the text form of one pass."""
    pipeline = parse_pipeline(text)
    if len(pipeline.steps) != 1:
        raise InputError(f"expected one pass, got {len(pipeline.steps)} in '{text}'")
    return pipeline.steps[0]


def parse_pipeline(text: str) -> Pipeline:
    """Parse ``name{key=value,…},name,…``; raises InputError that says where it stopped."""
    steps = [_build(found) for found in parse_list(text, "pass")]
    if not steps:
        raise InputError("the pipeline is empty", "example: canonicalize,fold-batchnorm,fuse-layers")
    return Pipeline(tuple(steps))


def _build(found: NamedOptions) -> Pass:
    name, cls = found.name, pass_class(found.name)
    hints = get_type_hints(cls)
    known = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    options: dict[str, Any] = {}
    for key, values in found.options.items():
        if key not in known:
            raise InputError(f"pass '{name}' has no option '{key}'", did_you_mean(key, known))
        options[key] = _convert(name, key, list(values), hints[key])
    return cls(**options)


def _convert(name: str, key: str, values: list[str], hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_convert(name, key, [v], get_args(hint)[0]) for v in values)
    if len(values) != 1:
        raise InputError(f"pass '{name}': option '{key}' takes one value, got {'+'.join(values)}")
    value = values[0]
    try:
        if hint is bool:
            return {"true": True, "false": False}[value]
        return hint(value)
    except (KeyError, ValueError) as error:
        raise InputError(f"pass '{name}': option '{key}' cannot be '{value}'") from error
