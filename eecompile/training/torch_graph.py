"""An ONNX graph as a torch module: what is trained is what is exported.

Every node of the graph is one torch function (:mod:`eecompile.training.operators`), every constant that
is a number of the network is a parameter or a buffer under its own name, and trained values go back into the
same constants: there is nothing to convert.

Graphs are written for one image. Where the batch stays the first axis, many images are run as one batch;
where a node works along that axis (attention that puts tokens first, windows that become images), each step
is mapped over the images, which then cannot mix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.step import WHOLE, Array, TorchStep, settled, shape_of, untrainable
from eecompile.training.operators.table import step_of
from passes.errors import InputError
from passes.operator_sets import ARITHMETIC, CARRIERS, FLOAT_LINEAR
from passes.state import state_of

Tensor = torch.Tensor
# Positions of the inputs that are learnt unless a trainer says otherwise, if they are floating constants:
# weights and biases of products, scales and shifts of normalizations, slopes, tables, tokens.
_EVERY = slice(None)
_LEARNT = {
    **dict.fromkeys(FLOAT_LINEAR | ARITHMETIC | {"Sum", "Einsum", "Concat"}, _EVERY),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization", "LayerNormalization"), slice(1, 3)),
    "GroupNormalization": slice(1, 3),
    "PRelu": slice(1, 2),
    "Gather": slice(0, 1),
}
# What may stand between them and their node in forms that are only trained.
_CARRIED = CARRIERS | {WHOLE, "Reshape", "Slice"}


@dataclass(frozen=True)
class _Call:
    """One step of the program: what it runs, and the slots it reads, writes and frees."""

    run: Callable[..., Any]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    learns: bool
    frees: tuple[int, ...] = ()


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
        if state_of(graph).symbolic:
            raise InputError("weights of the network are absent", "train the file that holds them")
        self._slots: dict[str, int] = {}
        self._keys: dict[str, str] = {}  # name of a constant -> name of the parameter or buffer that it is
        self._held: list[tuple[int, str]] = []  # slot -> parameter or buffer
        self.learnt = learnt_constants(graph)
        self.mapped = False
        normalizing: gs.Node | None = None
        calls = []
        self._inputs = [self._slot(tensor.name) for tensor in graph.inputs]
        for node in graph.nodes:
            step = step_of(node)
            if not step.many and any(t.outputs or t in graph.outputs for t in node.outputs[1:]):
                raise untrainable(node, "more than its first output is read")
            for index in step.reads:
                if isinstance(node.inputs[index], gs.Constant):
                    self._hold_constant(node.inputs[index])
            holds = [self._hold(value) for value in step.holds]
            reads = tuple(self._slot(node.inputs[index].name) for index in step.reads)
            writes = tuple(self._slot(tensor.name) for tensor in node.outputs)
            calls.append(_Call(step.run, (*reads, *holds), writes, step.learns))
            self.mapped |= _mixes(node, step)
            normalizing = normalizing or (node if step.learns else None)
        if self.mapped and normalizing is not None:
            raise untrainable(
                normalizing, "it normalizes over images, and another node works along their axis"
            )
        self._outputs = [self._slot(tensor.name) for tensor in graph.outputs]
        self._program = _freeing(calls, keep={*self._outputs, *(slot for slot, _ in self._held)})

    def _slot(self, name: str) -> int:
        return self._slots.setdefault(name, len(self._slots))

    def _hold_constant(self, tensor: gs.Constant) -> None:
        """Make a constant a parameter, or a buffer if it is no float and no integer of a grid."""
        if tensor.name in self._keys:
            return
        key = self._keys[tensor.name] = f"value_{len(self._keys)}"
        values = np.array(tensor.values)  # of its own: the graph keeps what it has
        if not (values.dtype.kind in "fb" or values.dtype in (np.int64, np.int32)):
            values = values.astype(np.float32)  # integers of a grid
        value = torch.from_numpy(values)
        if value.is_floating_point():
            parameter = torch.nn.Parameter(value, requires_grad=tensor.name in self.learnt)
            self.register_parameter(key, parameter)
        else:
            self.register_buffer(key, value)
        self._held.append((self._slot(tensor.name), key))

    def _hold(self, value: Tensor) -> int:
        """Make what a step holds a buffer; it follows from the graph, so that checkpoints do without."""
        key, slot = f"held_{len(self._held)}", len(self._slots)
        self._slots[f"/{key}"] = slot  # as no tensor of a graph is called
        self.register_buffer(key, value, persistent=False)
        self._held.append((slot, key))
        return slot

    def value(self, name: str) -> Tensor:
        """Return the tensor that stands for the constant ``name``."""
        found: Tensor = getattr(self, self._keys[name])
        return found

    def named_values(self) -> dict[str, Tensor]:
        """Return the tensors that stand for constants, by the names of these."""
        return {name: self.value(name) for name in self._keys}

    def key(self, name: str) -> str:
        """Return the name of the parameter or buffer that stands for the constant ``name``."""
        return self._keys[name]

    def share(self, other: TorchGraph) -> None:
        """Hold the very values that ``other`` holds under the same names: both learn as one.

        Args:
            other: Of a graph that has all constants of this one.
        """
        for name, key in self._keys.items():
            setattr(self, key, other.value(name))

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
        return tuple(value.flatten(0, 1) if value.ndim > 1 else value for value in found)

    def _run(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        slots: list[Any] = [None] * len(self._slots)
        for slot, value in zip(self._inputs, inputs, strict=True):
            slots[slot] = value
        for slot, key in self._held:
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

    def write_back(self, graph: gs.Graph, names: Iterable[str] | None = None) -> None:
        """Write the values held here into the constants of ``graph`` that have their names.

        Args:
            graph: The graph this was made of, or a copy of it.
            names: Which constants; by default all floating ones that are held. Integers stay as they are.

        Raises:
            InputError: The graph is of another network, or a name that of no constant; nothing is written.
        """
        tensors = graph.tensors()
        written: dict[str, Array] = {}
        for name in self._keys if names is None else names:
            if name not in self._keys:
                raise InputError(f"'{name}' is no constant of the trained network", "name one that it holds")
            value, constant = self.value(name), tensors.get(name)
            found = list(constant.shape) if isinstance(constant, gs.Constant) else "absent"
            if found != list(value.shape):
                raise InputError(
                    f"constant '{name}' has shape {list(value.shape)} in the trained network and is {found} "
                    "in the graph",
                    "write into the graph that was trained, or a copy of it",
                )
            if constant.values.dtype.kind == "f":
                written[name] = value.detach().cpu().numpy().astype(constant.values.dtype)
        for name, values in written.items():
            tensors[name].values = values


def learnt_constants(graph: gs.Graph) -> tuple[str, ...]:
    """Return the names of the constants that are learnt, in order; also of those that are quantized first."""
    found: dict[str, None] = {}
    for node in graph.nodes:
        for tensor in node.inputs[_LEARNT.get(node.op, slice(0))]:
            source = tensor
            while source.inputs and source.inputs[0].op in _CARRIED:
                source = source.inputs[0].inputs[0]
            if not isinstance(source, gs.Constant) or source.values.dtype.kind != "f":
                continue
            if source.values.ndim or node.op == "PRelu":  # other scalars are factors of a formula
                found.setdefault(source.name)
    return tuple(found)


def _mixes(node: gs.Node, step: TorchStep) -> bool:
    """Return whether ``node`` is right for one image at a time only."""
    if all(settled(node.inputs[index]) for index in step.reads):
        return False
    # where the first axis is no batch of one, it is not the batch
    return step.mixes or any(shape_of(tensor)[:1] != (1,) for tensor in node.outputs if not tensor.is_empty())


def _freeing(calls: Sequence[_Call], keep: set[int]) -> list[_Call]:
    """Let each call free what nobody reads after it."""
    last = {slot: number for number, call in enumerate(calls) for slot in (*call.reads, *call.writes)}
    frees: dict[int, list[int]] = {}
    for slot, number in last.items():
        if slot not in keep:
            frees.setdefault(number, []).append(slot)
    return [replace(call, frees=tuple(frees.get(number, ()))) for number, call in enumerate(calls)]
