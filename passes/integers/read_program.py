"""From a lowered graph to an integer program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.integers.program import IntegerExit, IntegerProgram, Maximum, View, Widening
from passes.integers.program_reader import HINT, Logits, ProgramReader, refuse, scalar, value, window
from passes.integers.read_analog import note_analog, read_affine, read_split
from passes.integers.read_linear import (
    read_convolution,
    read_gemm,
    read_matmul,
    read_recycled,
    takes_over,
)
from passes.integers.read_sums import (
    read_addition,
    read_average,
    read_concatenation,
    read_window_average,
)
from passes.operator_sets import RESHAPES
from passes.state import Exit


def integer_program(graph: gs.Graph) -> IntegerProgram:
    """Read what `fold-qdq` wrote.

    Args:
        graph: A lowered graph with one float input; it is not changed.

    Raises:
        InputError: A node that has no integer form, by name and operator.
    """
    return _Reader(graph).program()


class _Reader(ProgramReader):
    def program(self) -> IntegerProgram:
        outputs = {t.name for t in self.graph.outputs}
        self.forms = note_analog(self)
        for node in self.graph.nodes:
            self.note_clip(node)
        for node in self.graph.nodes:
            if id(node) not in self.used and node.op != "DequantizeLinear":
                self._read(node)
        if self.source is None:
            raise InputError(
                "the network has no quantized input",
                "give a file that `run` quantized, for example model.lowered.onnx",
            )
        exits = self.state.exits or [Exit("final", "", self.graph.outputs[0].name)]
        for item in exits:
            if item.output not in self.logits:
                self._note_rounded(item)
            if item.output not in self.logits:
                writer = next((n for n in self.graph.nodes for t in n.outputs if t.name == item.output), None)
                kind = "nothing" if writer is None else f"node '{writer.name}' ({writer.op})"
                raise InputError(
                    f"the logits of exit '{item.name}' are no integer sums: {kind} writes them", HINT
                )
        name, scale, zero, low, high = self.source
        found = [self._exit(item) for item in exits if item.output in outputs]
        plain = IntegerProgram(
            self.graph.inputs[0].name, name, scale, zero, low, high,
            self.shapes, tuple(self.operations), tuple(found), frozenset(self.signed),
        )  # fmt: skip
        ordered = [op for number in range(len(found)) for op in plain.until(number)]
        return replace(plain, operations=tuple(ordered))

    def _note_rounded(self, item: Exit) -> None:
        """Let logits that the file has in integers be sums: what is counted from their zero point."""
        writer = next((n for n in self.graph.nodes for t in n.outputs if t.name == item.output), None)
        if writer is None or writer.op != "DequantizeLinear":
            return
        raw, scale = self.held(writer.inputs[0].name), np.atleast_1d(value(writer, 1).astype(np.float32))
        if raw not in self.shapes or scale.size != 1:
            return
        zero = scalar(value(writer, 2)) if len(writer.inputs) > 2 else 0
        sums = f"{item.output}/sums"
        self.shapes[sums] = self.shapes[raw]
        self.operations.append(Widening(writer.name, (raw,), sums, zero))
        self.logits[item.output] = Logits(sums, scale)

    def _exit(self, item: Exit) -> IntegerExit:
        found = self.logits[item.output]
        return IntegerExit(
            item.name, found.sums, found.scales, item.threshold, item.confidence, found.recycled
        )

    def _read(self, node: gs.Node) -> None:
        if id(node) in self.forms:
            read_affine(self, self.forms[id(node)])
        elif takes_over(self, node):
            read_recycled(self, node)
        elif node.op in _READERS:
            _READERS[node.op](self, node)
        else:
            raise refuse(node, "no operation of the integer program computes it")


def _read_input(reader: ProgramReader, node: gs.Node) -> None:
    if node.inputs[0] is not reader.graph.inputs[0]:
        raise refuse(node, f"'{node.inputs[0].name}' is computed as float")
    raw = node.outputs[0]
    scale = value(node, 1)
    zero = value(node, 2) if len(node.inputs) > 2 else np.zeros((), raw.dtype)
    low, high = reader.bounds(raw)
    name = reader.written(raw, node)
    reader.source = (name, np.float32(scale.reshape(())), scalar(zero), low, high)


def _read_maximum(reader: ProgramReader, node: gs.Node) -> None:
    source = reader.integers(node)
    if len(node.outputs) > 1 or node.attrs.get("ceil_mode", 0):
        raise refuse(node, "it gives indices too, or rounds its size up")
    kernel = tuple(int(k) for k in node.attrs["kernel_shape"])
    name = reader.written(node.outputs[0], node)
    reader.operations.append(Maximum(node.name, (source,), name, kernel, *window(node, len(kernel))))


def _read_view(reader: ProgramReader, node: gs.Node) -> None:
    source = reader.integers(node)
    axes = tuple(int(a) for a in node.attrs.get("perm", ())) if node.op == "Transpose" else ()
    if node.op == "Transpose" and (not axes or axes[0] != 0):
        raise refuse(node, "it moves the batch")
    reader.operations.append(View(node.name, (source,), reader.written(node.outputs[0], node), axes))


_READERS: dict[str, Callable[[ProgramReader, gs.Node], None]] = {
    "QuantizeLinear": _read_input,
    "QLinearConv": read_convolution,
    "MatMulInteger": read_matmul,
    "Gemm": read_gemm,
    "Add": read_addition,
    "AveragePool": read_window_average,
    "Concat": read_concatenation,
    "GlobalAveragePool": read_average,
    "MaxPool": _read_maximum,
    "Split": read_split,
    "Transpose": _read_view,
    **dict.fromkeys(sorted(RESHAPES), _read_view),
}
