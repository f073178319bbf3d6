"""Rules of many small operators are written down one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

_ELEMENT_TYPES: dict[type[np.generic], int] = {np.float32: 1, np.bool_: 9}
"""As TensorProto numbers them."""


class NodeList:
    """Nodes in the making; names of nodes and tensors begin with ``stem``.

    Attributes:
        nodes: Those made so far, each behind what it reads.
    """

    def __init__(self, stem: str) -> None:
        self._stem = stem
        self.nodes: list[gs.Node] = []

    def constant(self, name: str, value: object, dtype: type[np.generic]) -> gs.Constant:
        """Return a constant."""
        return gs.Constant(f"{self._stem}/{name}", np.array(value, dtype))

    def then(
        self,
        op: str,
        name: str,
        inputs: Sequence[gs.Tensor],
        shape: Sequence[int],
        dtype: type[np.generic] = np.float32,
        **attributes: Any,
    ) -> gs.Variable:
        """Append a node and return what it writes."""
        found = gs.Variable(f"{self._stem}/{name}", dtype, list(shape))
        self.into(found, op, name, inputs, **attributes)
        return found

    def cast(
        self, name: str, given: gs.Tensor, shape: Sequence[int], dtype: type[np.generic] = np.float32
    ) -> gs.Variable:
        """Append a Cast and return what it writes."""
        return self.then("Cast", name, [given], shape, dtype, to=_ELEMENT_TYPES[dtype])

    def into(
        self, output: gs.Tensor, op: str, name: str, inputs: Sequence[gs.Tensor], **attributes: Any
    ) -> None:
        """Append a node that writes ``output``."""
        self.nodes.append(gs.Node(op, f"{self._stem}/{name}", attributes, list(inputs), [output]))
