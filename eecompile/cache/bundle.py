"""Networks, arrays and what is told of them, in one file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import QuantGrid, state_of

_GRAPH, _GRIDS, _ARRAY, _TOLD = ".onnx", ".grids.json", ".npy", "told.json"
_WHEN = (1980, 1, 1, 0, 0, 0)  # the same content is the same file


@dataclass(frozen=True)
class Bundle:
    """What belongs together.

    Attributes:
        graphs: Networks by name, with what a file holds of their state, and their grids.
        arrays: Arrays by name.
        told: Anything that JSON has.
    """

    graphs: Mapping[str, gs.Graph] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return it as a zip file."""
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            for name, graph in self.graphs.items():
                file.writestr(_entry(name + _GRAPH), bytes_of_graph(graph))
                if grids := state_of(graph).grids:  # a model file has no place for them
                    kept = {tensor: asdict(grid) for tensor, grid in grids.items()}
                    file.writestr(_entry(name + _GRIDS), json.dumps(kept))
            for name, array in self.arrays.items():
                content = io.BytesIO()
                np.save(content, array, allow_pickle=False)
                file.writestr(_entry(name + _ARRAY), content.getvalue())
            file.writestr(_entry(_TOLD), json.dumps(dict(self.told)))
        return stream.getvalue()

    @staticmethod
    def of_bytes(data: bytes) -> Bundle:
        """Return what was kept.

        Raises:
            zipfile.BadZipFile: It is no such file.
            KeyError: It lacks a part.
        """
        graphs, arrays, grids = {}, {}, {}
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            for name in file.namelist():
                if name.endswith(_GRAPH):
                    graphs[name.removesuffix(_GRAPH)] = graph_of_bytes(file.read(name))
                elif name.endswith(_GRIDS):
                    grids[name.removesuffix(_GRIDS)] = json.loads(file.read(name))
                elif name.endswith(_ARRAY):
                    content = io.BytesIO(file.read(name))
                    arrays[name.removesuffix(_ARRAY)] = np.load(content, allow_pickle=False)
            told = json.loads(file.read(_TOLD))
        for name, kept in grids.items():
            state_of(graphs[name]).grids = {tensor: _grid(grid) for tensor, grid in kept.items()}
        return Bundle(graphs, arrays, told)


def bytes_of_graph(graph: gs.Graph) -> bytes:
    """Return a network as it is kept: a model file."""
    data: bytes = to_model(graph).SerializeToString(deterministic=True)
    return data


def graph_of_bytes(data: bytes) -> gs.Graph:
    """Return the network that was kept."""
    return from_model(onnx.load_model_from_string(data), "a network that was kept")


def _grid(told: Mapping[str, Any]) -> QuantGrid:
    return QuantGrid(**{**told, "scale": tuple(told["scale"])})


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _WHEN)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
