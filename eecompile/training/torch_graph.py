"""An ONNX graph as a torch module: what is trained is what is exported.

Every node of the graph is one torch function (:mod:`eecompile.training.operators`), every constant that
is a number of the network is a parameter or a buffer under its own name, and trained values go back into the
same constants: there is nothing to convert.

Graphs are written for one image. Where the batch stays the first axis, many images are run as one batch;
where a node works along that axis (attention that puts tokens first, windows that become images), each step is
mapped over the images, which then cannot mix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.step import untrainable
from eecompile.training.operators.table import step_of
from passes.operator_sets import FLOAT_LINEAR, QUANTIZATION
from passes.state import state_of

Tensor = torch.Tensor
# Numbers that are learnt unless a trainer says otherwise: weights and biases of products, scales and shifts
# of normalizations, slopes; positions of the inputs of each operator.
_LEARNT = {
    **dict.fromkeys(FLOAT_LINEAR, (0, 1, 2)),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization", "LayerNormalization"), (1, 2)),
    "GroupNormalization": (1, 2),
    "PRelu": (1,),
    "Gather": (0,),
    "Concat": tuple(range(64)),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), (0, 1)),
}


@dataclass(frozen=True)
class _Call:
    """One step of the program: what it runs, and the slots it reads, writes and frees."""

    run: Callable[..., Any]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    learns: bool
    frees: tuple[int, ...]


class TorchGraph(torch.nn.Module):
    """Runs a graph for any batch; see the module docstring.

    Args:
        graph: A graph in canonical form with weights, float or in Q/DQ form; it is not changed.

    Attributes:
        learnt: Names of the constants that are learnt by default, in the order of the graph: those with
                gradients. A trainer may set ``requires_grad`` of :meth:`value` otherwise.
        mapped: Images are run side by side by ``vmap``, not as one batch.

    Raises:
        InputError: A node without a torch function, one that mixes images, or absent weights.
    """

    def __init__(self, graph: gs.Graph) -> None:
        super().__init__()
        self._slots: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._numbers: list[str] = []
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._program: list[_Call] = []
        self._inputs = [self._slot(tensor.name) for tensor in graph.inputs]
        learnt: dict[str, None] = {}
        constants: dict[str, gs.Constant] = {}
        calls = []
        self.mapped = False
        batched: gs.Node | None = None
        for node in graph.nodes:
            if state_of(graph).symbolic:
                raise untrainable(node, "its weights are absent")
            step = step_of(node)
            for index in step.reads:
                tensor = node.inputs[index]
                if isinstance(tensor, gs.Constant):
                    constants.setdefault(tensor.name, tensor)
                    if _is_learnt(node, index, tensor):
                        learnt.setdefault(tensor.name)
            reads = tuple(self._slot(node.inputs[index].name) for index in step.reads)
            writes = tuple(self._slot(tensor.name) for tensor in node.outputs)
            calls.append(_Call(step.run, reads, writes, step.learns, ()))
            self.mapped |= step.mixes
            batched = node if step.learns and batched is None else batched
        if self.mapped and batched is not None:
            raise untrainable(batched, "it normalizes over images, and another node works along their axis")
        self.learnt = tuple(learnt)
        self._hold(constants, learnt)
        self._outputs = [self._slot(tensor.name) for tensor in graph.outputs]
        self._program = _freeing(calls, keep={*self._outputs, *self._places.values()})

    def _slot(self, name: str) -> int:
        return self._slots.setdefault(name, len(self._slots))

    def _hold(self, constants: dict[str, gs.Constant], learnt: Iterable[str]) -> None:
        """Make parameters and buffers of the constants that steps read."""
        chosen = set(learnt)
        for number, (name, tensor) in enumerate(constants.items()):
            values = np.array(tensor.values)  # of its own: the graph keeps what it has
            if values.dtype.kind in "iu" and values.dtype not in (np.int64, np.int32):
                values = values.astype(np.float32)  # integers of a grid
            key = f"value_{number}"
            value = torch.from_numpy(values)
            if value.is_floating_point():
                parameter = torch.nn.Parameter(value, requires_grad=name in chosen)
                self.register_parameter(key, parameter)
            else:
                self.register_buffer(key, value)
            self._places[name] = self._slot(name)
            self._numbers.append(key)

    def value(self, name: str) -> Tensor:
        """Return the tensor that stands for the constant ``name``."""
        found: Tensor = getattr(self, self._numbers[list(self._places).index(name)])
        return found

    def named_values(self) -> dict[str, Tensor]:
        """Return the tensors that stand for constants, by the names of these."""
        return {name: getattr(self, key) for name, key in zip(self._places, self._numbers, strict=True)}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the graph.

        Args:
            inputs: One tensor [N, …] per input of the graph.

        Returns:
            The outputs of the graph, in their order.
        """
        if not self.mapped:
            return self._run(*inputs)
        found = torch.func.vmap(self._run)(*(x.unsqueeze(1) for x in inputs))
        return tuple(value.flatten(0, 1) for value in found)

    def _run(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        slots: list[Any] = [None] * len(self._slots)
        for slot, value in zip(self._inputs, inputs, strict=True):
            slots[slot] = value
        for slot, key in zip(self._places.values(), self._numbers, strict=True):
            slots[slot] = getattr(self, key)
        training = self.training
        for call in self._program:
            values = [slots[slot] for slot in call.reads]
            found = call.run(*values, training) if call.learns else call.run(*values)
            if isinstance(found, tuple):
                for slot, value in zip(call.writes, found, strict=False):
                    slots[slot] = value
            else:
                slots[call.writes[0]] = found
            for slot in call.frees:
                slots[slot] = None
        return tuple(slots[slot] for slot in self._outputs)

    def write_back(self, graph: gs.Graph, names: Sequence[str] | None = None) -> None:
        """Write the values held here into the constants of ``graph`` that have their names.

        Args:
            graph: The graph this was made of, or a copy of it.
            names: Which constants; by default all floating ones that are held.

        Raises:
            KeyError: The graph has no such constant.
        """
        tensors = graph.tensors()
        for name, value in self.named_values().items():
            if names is not None and name not in names:
                continue
            constant = tensors[name]
            if np.asarray(constant.values).dtype.kind == "f":
                constant.values = value.detach().cpu().numpy().astype(constant.values.dtype).copy()


def _is_learnt(node: gs.Node, index: int, tensor: gs.Constant) -> bool:
    values = tensor.values
    return (
        index in _LEARNT.get(node.op, ())
        and node.op not in QUANTIZATION
        and values.dtype.kind == "f"
        and (values.ndim > 0 or node.op == "PRelu")
    )


def _freeing(calls: Sequence[_Call], keep: set[int]) -> list[_Call]:
    """Let each call free what nobody reads after it."""
    last = {slot: number for number, call in enumerate(calls) for slot in (*call.reads, *call.writes)}
    frees: dict[int, list[int]] = {}
    for slot, number in last.items():
        if slot not in keep:
            frees.setdefault(number, []).append(slot)
    return [
        _Call(call.run, call.reads, call.writes, call.learns, tuple(frees.get(number, ())))
        for number, call in enumerate(calls)
    ]
