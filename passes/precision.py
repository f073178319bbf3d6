"""Which integers a tensor may take: what all that write and read it can."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import onnx_graphsurgeon as gs

from passes.number_formats import MULTIPLIED, ROUNDINGS, InMemoryArray, Levels, Precision, Requantization
from passes.operator_sets import SAME_GRID
from passes.state import state_of


def tensor_levels(graph: gs.Graph) -> dict[str, Levels]:
    """Return tensor name -> integers it may take, for all tensors of which some node says something.

    A tensor lies in memory once, so its integers must suit the core that writes it and all that read it.
    What moves values and computes none hands on the integers it reads, so both sides have to suit.
    """
    source: dict[str, str] = {}
    found: dict[str, Levels] = {}

    def demand(tensor: gs.Tensor, levels: Levels) -> None:
        name = source.get(tensor.name, tensor.name)
        found[name] = found[name].meet(levels) if name in found else levels

    for node in graph.nodes:
        if node.op in SAME_GRID:
            read = node.inputs[0].name
            source[node.outputs[0].name] = source.get(read, read)
    for node in graph.nodes:
        precision = state_of(graph).precisions.get(node.name)
        if precision is None:
            continue
        for tensor in node.inputs:
            if isinstance(tensor, gs.Variable) and not tensor.is_empty():
                demand(tensor, precision.inputs)
        for tensor in node.outputs:
            demand(tensor, precision.output)
    return found | {moved: found[name] for moved, name in source.items() if name in found}


def to_text(precision: Precision) -> str:
    """Return ``precision`` as it stands in the metadata of a node."""
    return json.dumps(asdict(precision))


def from_json(found: Any) -> Precision:
    """Read what :func:`to_text` wrote, decoded from JSON.

    Raises:
        TypeError, ValueError or KeyError: It is something else.
    """
    weights, array = found["weights"], found.get("array")
    return Precision(
        None if weights is None else _levels(weights),
        _levels(found["inputs"]),
        _levels(found["output"]),
        _whole(found["bias_bits"]),
        _whole(found.get("accumulator_bits", 32)),
        _requantization(found["requantization"]) if "requantization" in found else MULTIPLIED,
        None if array is None else _array(array),
    )


def _levels(found: Mapping[str, Any]) -> Levels:
    whole = {key: _whole(found[key]) for key in ("low", "high", "bits")}
    powers, channels = bool(found["power_of_two"]), bool(found["per_channel"])
    symmetric = bool(found.get("symmetric", True))
    made = Levels(**whole, power_of_two=powers, per_channel=channels, symmetric=symmetric)
    if made.low > made.high or made.bits < 1:
        raise ValueError(f"no integers lie from {made.low} to {made.high} in {made.bits} bits")
    return made


def _requantization(found: Mapping[str, Any]) -> Requantization:
    if found["rounding"] not in ROUNDINGS:
        raise ValueError(f"unknown rounding {found['rounding']!r}")
    return Requantization(_whole(found["multiplier_bits"]), _whole(found["shift_bits"]), found["rounding"])


def _array(found: Mapping[str, Any]) -> InMemoryArray:
    noise = found["noise_db"]
    return InMemoryArray(
        _whole(found["rows"]),
        _levels(found["converter"]),
        _whole(found["affine_bits"]),
        None if noise is None else float(noise),
    )


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected a whole number, got {value!r}")
    return value
