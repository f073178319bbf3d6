"""Choose integer grids from data, and round weights so that layer outputs keep their values.

Ranges come from onnxruntime's histogram calibrator; a scale is the power of two (or the fine step, for
schemes without that rule) of least squared error over the histogram. Then the layers are walked in
order, float values beside quantized ones: each linear layer's weights are rounded by GPTQ against the
quantized inputs it will really see, and its bias takes up the change of the channel means.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile import gptq
from eecompile.runtime import session
from passes.errors import InputError
from passes.graph import to_model
from passes.quantize import QUANTIZED_LINEAR, SAME_GRID, to_integers
from passes.schemes import DEFAULT_SCHEME, ZERO_POINT, Scheme, scheme
from passes.state import QuantGrid, state_of

Array = NDArray[Any]
Float32 = NDArray[np.float32]

IMAGES = 512
ROWS = 16384
GPTQ_IMAGES = 128
MAX_DEPTH = 2304
_WALK_BYTES = 400 * 2**20
_BATCH = 64


@dataclass(frozen=True)
class Calibration:
    """What calibration did: how many images it saw, and which layers were rounded how."""

    images: int
    rounding: dict[str, str]


def calibrate(
    graph: gs.Graph,
    images: Float32,
    scheme_name: str = DEFAULT_SCHEME,
    schemes: Mapping[str, str] | None = None,
) -> Calibration:
    """Fill ``state.grids`` of ``graph`` and put its weights onto their grids.

    Args:
        graph: Float graph; weights and biases are changed in place.
        images: Preprocessed float32 images, [N, …] in the layout of the model input. Neither val nor test.
        scheme_name: Scheme of activations, and of weights unless ``schemes`` says otherwise.
        schemes: Node name -> scheme of its weights, for layers on a core with a scheme of its own.

    Returns:
        What was done.

    Raises:
        InputError: No images, or a shape-only model.
    """
    state = state_of(graph)
    if state.symbolic:
        raise InputError("a shape-only model cannot be calibrated: it has no weights")
    if len(images) == 0:
        raise InputError("calibration needs at least one image")
    rules = scheme(scheme_name)
    histograms = _histograms(graph, images[:IMAGES])
    grids = {name: _activation_grid(*h, rules) for name, h in histograms.items() if _has_grid(graph, name)}
    for node in graph.nodes:
        if node.op in SAME_GRID and node.inputs[0].name in grids:
            grids[node.outputs[0].name] = grids[node.inputs[0].name]
    state.grids = grids
    count = _walk_images(graph, images)
    special = {node: scheme(name) for node, name in (schemes or {}).items()}
    return Calibration(min(len(images), IMAGES), _Walk(graph, rules, special, images[:count]).run())


def _has_grid(graph: gs.Graph, name: str) -> bool:
    """A linear result that only its activation reads stays in the accumulator; logits stay float."""
    tensor = graph.tensors().get(name)
    if tensor is None or any(tensor is t for t in graph.outputs) or not tensor.outputs:
        return False
    readers = tensor.outputs
    fused = len(readers) == 1 and readers[0].op in ("Relu", "Clip") and bool(tensor.inputs)
    return not fused and not (tensor.inputs and tensor.inputs[0].op in SAME_GRID)


def _histograms(graph: gs.Graph, images: Float32) -> dict[str, tuple[Array, Array]]:
    """Return (counts [bins], bin centers [bins]) of every activation, by onnxruntime's calibrator."""
    from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            whole = max(1, len(images) // _BATCH)  # the collector takes batches of one size only
            size = min(_BATCH, len(images))
            self._parts = ({name: images[i * size : (i + 1) * size]} for i in range(whole))

        def get_next(self) -> dict[str, Float32] | None:
            return next(self._parts, None)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx"
        onnx.save(to_model(graph, "N"), str(path))
        calibrator = create_calibrator(
            str(path),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"num_bins": 2048, "symmetric": True},
        )
        with contextlib.redirect_stdout(io.StringIO()):  # it prints; stdout carries our answer
            calibrator.collect_data(Reader(graph.inputs[0].name))
        found = calibrator.collector.histogram_dict
    result = {}
    for name, entry in found.items():
        counts, edges = np.asarray(entry[0], np.float64), np.asarray(entry[1], np.float64)
        result[name] = (counts, (edges[:-1] + edges[1:]) / 2)
    return result


def _activation_grid(counts: Array, centers: Array, rules: Scheme) -> QuantGrid:
    used = counts > 0
    scale = best_scale(
        centers[used], counts[used], rules.activation_low, rules.activation_high, rules.power_of_two
    )
    low, high = ZERO_POINT + rules.activation_low, ZERO_POINT + rules.activation_high
    return QuantGrid((scale,), ZERO_POINT, low, high, "uint8")


def best_scale(values: Array, counts: Array, low: int, high: int, power_of_two: bool) -> float:
    """Return the step of least squared error for ``values`` occurring ``counts`` times on [low, high]."""
    top = float(np.abs(values).max(initial=0.0)) or 1.0
    exact = top / high
    if power_of_two:
        first = int(np.ceil(np.log2(exact)))
        candidates = [2.0**e for e in range(first - 4, first + 1)]
    else:
        candidates = [exact * f for f in np.linspace(0.3, 1.0, 36)]
    errors = [
        float((counts * (np.clip(np.rint(values / s), low, high) * s - values) ** 2).sum())
        for s in candidates
    ]
    return float(candidates[int(np.argmin(errors))])


def _walk_images(graph: gs.Graph, images: Float32) -> int:
    """How many images fit the walk's memory: float and quantized values of the widest tensors."""
    widest = max(int(np.prod(t.shape)) for n in graph.nodes for t in n.outputs)
    return max(8, min(len(images), IMAGES, _WALK_BYTES // (6 * 4 * widest)))


class _Walk:
    """Runs the graph node by node on float and on quantized values, rounding weights on the way."""

    def __init__(
        self, graph: gs.Graph, rules: Scheme, special: Mapping[str, Scheme], images: Float32
    ) -> None:
        self._graph = graph
        self._rules = rules
        self._special = special
        self._grids = state_of(graph).grids
        self._real: dict[str, Array] = {graph.inputs[0].name: images}
        self._quantized: dict[str, Array] = {graph.inputs[0].name: self._snap(graph.inputs[0].name, images)}
        self._readers = {t.name: len(t.outputs) for t in graph.tensors().values()}
        self._rounding: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        """Walk all nodes; returns node name -> kind of rounding."""
        for node in self._graph.nodes:
            data = [t.name for t in node.inputs if isinstance(t, gs.Variable) and not t.is_empty()]
            output = node.outputs[0].name
            real = _execute(node, [self._real[d] for d in data])
            if node.op in QUANTIZED_LINEAR and isinstance(node.inputs[1], gs.Constant):
                self._round(node)
            quantized = _execute(node, [self._quantized[d] for d in data])
            self._real[output], self._quantized[output] = real, self._snap(output, quantized)
            for name in data:
                self._readers[name] -= 1
                if self._readers[name] == 0:
                    del self._real[name], self._quantized[name]
        return self._rounding

    def _snap(self, name: str, values: Array) -> Array:
        grid = self._grids.get(name)
        if grid is None:
            return values
        integers = to_integers(values, grid).astype(np.float32) - grid.zero_point
        snapped: Array = integers * np.float32(grid.scale[0])
        return snapped

    def _round(self, node: gs.Node) -> None:
        weight = node.inputs[1]
        if weight.name in self._grids:  # shared by an earlier layer, which rounded it
            return
        name = node.inputs[0].name
        values = weight.values.astype(np.float64)
        if node.op == "Gemm" and not node.attrs.get("transB", 0):
            return
        groups = int(node.attrs.get("group", 1)) if node.op == "Conv" else 1
        rules = self._special.get(node.name, self._rules)
        scales = _weight_scales(values, rules)
        shaped = values.reshape(groups, values.shape[0] // groups, -1)
        steps = np.broadcast_to(np.array(scales), values.shape[:1]).reshape(groups, -1)
        seen = self._columns(node, self._quantized[name], groups)
        mean_quantized, covariance = gptq.moments(seen)
        mean_real = self._columns(node, self._real[name], groups).mean(axis=1, dtype=np.float64)
        low, high = rules.weight_low, rules.weight_high
        if shaped.shape[2] <= MAX_DEPTH:
            rounded = gptq.round_weights(shaped, covariance, steps, low, high)
            self._rounding[node.name] = "gptq"
        else:
            rounded = gptq.nearest_weights(shaped, steps, low, high)
            self._rounding[node.name] = "nearest"
        change = np.einsum("gkd,gd->gk", shaped, mean_real) - np.einsum("gkd,gd->gk", rounded, mean_quantized)
        weight.values = rounded.reshape(values.shape).astype(np.float32)
        axis = 0 if len(scales) > 1 else None
        self._grids[weight.name] = QuantGrid(
            scales, ZERO_POINT, ZERO_POINT + low, ZERO_POINT + high, "uint8", axis
        )
        self._shift_bias(node, change.reshape(-1))
        if rules.power_of_two:
            self._keep_shift_positive(node, scales)

    def _columns(self, node: gs.Node, x: Array, groups: int) -> Array:
        if node.op == "Gemm":
            return x[None]
        kernel = list(node.inputs[1].shape[2:])
        ones = [1] * len(kernel)
        attrs = node.attrs
        pads = attrs.get("pads", [0] * (2 * len(kernel)))
        strides, dilations = attrs.get("strides", ones), attrs.get("dilations", ones)
        return gptq.conv_columns(x[:GPTQ_IMAGES], kernel, strides, pads, dilations, groups, ROWS)

    def _shift_bias(self, node: gs.Node, change: Array) -> None:
        if len(node.inputs) > 2:
            bias = node.inputs[2]
            if len(bias.outputs) > 1:  # another layer reads the old values
                node.inputs[2] = bias = gs.Constant(f"{bias.name}/{node.name}", bias.values)
            bias.values = (bias.values.astype(np.float64) + change).astype(np.float32)
        else:
            node.inputs.append(gs.Constant(f"{node.name}/bias", change.astype(np.float32)))

    def _keep_shift_positive(self, node: gs.Node, scales: tuple[float, ...]) -> None:
        """Requantization is a right shift: the output step must not be finer than the accumulator's."""
        output = node.outputs[0]
        if output.name not in self._grids and len(output.outputs) == 1:
            output = output.outputs[0].outputs[0]
        grid = self._grids.get(output.name)
        finest = (
            self._grids[node.inputs[0].name].scale[0] * max(scales)
            if node.inputs[0].name in self._grids
            else 0.0
        )
        if grid is not None and grid.scale[0] < finest:
            self._grids[output.name] = replace(grid, scale=(finest,))


def _weight_scales(values: Array, rules: Scheme) -> tuple[float, ...]:
    """Return the step of a layer's weights, or one per output channel."""
    parts = values.reshape(len(values), -1) if rules.per_channel else values.reshape(1, -1)
    return tuple(
        best_scale(p, np.ones(p.shape), rules.weight_low, rules.weight_high, rules.power_of_two)
        for p in parts
    )


def _execute(node: gs.Node, data: list[Array]) -> Array:
    """Run one node in onnxruntime on float arrays with a batch axis."""
    names = iter(range(len(data)))
    inputs: list[gs.Tensor] = []
    fed: list[gs.Variable] = []
    for tensor in node.inputs:
        if isinstance(tensor, gs.Constant):
            inputs.append(gs.Constant(tensor.name, tensor.values))
        elif tensor.is_empty():
            inputs.append(gs.Variable.empty())
        else:
            fed.append(gs.Variable(f"x{next(names)}", np.float32, ["N", *tensor.shape[1:]]))
            inputs.append(fed[-1])
    output = gs.Variable("y", np.float32, ["N", *node.outputs[0].shape[1:]])
    copy = gs.Node(node.op, node.name, dict(node.attrs), inputs, [output])
    model = gs.export_onnx(gs.Graph([copy], fed, [output], opset=21), ir_version=10)
    runner = session(model, threads=2)
    pieces = []
    for start in range(0, len(data[0]), _BATCH):
        feed = {
            v.name: np.ascontiguousarray(d[start : start + _BATCH]) for v, d in zip(fed, data, strict=True)
        }
        pieces.append(runner.run(None, feed)[0])
    return np.concatenate(pieces)
