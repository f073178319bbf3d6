from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import helper

from passes.errors import InputError
from passes.exits.insert_exits import InsertExits
from passes.exits.recognise import recognise_exits
from passes.model.graph import from_model, load
from passes.model.writing import annotated, save, to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from tests.passes.equivalence import batch_of, printed, run_model, shapes
from tests.passes.small_nets import chain, two_exits
from tests.shared_files import shared


def shape_only(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the weights of ``model``; their shapes stay in value_info."""
    for tensor in model.graph.initializer:
        info = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        model.graph.value_info.append(info)
    del model.graph.initializer[:]
    return model


@pytest.mark.parametrize("declared", [True, False])
def test_shape_only_models_load_save_and_load(tmp_path: Path, declared: bool) -> None:
    plain, model = from_model(two_exits()), shape_only(two_exits())
    if not declared:  # then they follow from the activations
        known = [v for v in model.graph.value_info if not v.name.startswith("const")]
        for node in model.graph.node:
            if node.op_type == "Conv":
                node.attribute.append(helper.make_attribute("kernel_shape", [3, 3]))
        model.graph.ClearField("value_info")
        model.graph.value_info.extend(known)
    graph = from_model(model)
    assert state_of(graph).symbolic
    assert shapes(graph) == shapes(plain)
    assert all(not any(t.values.strides) for t in graph.tensors().values() if isinstance(t, gs.Constant))
    recognise_exits(graph)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=1},fuse-layers")(graph)
    path = save(graph, tmp_path / "net.onnx")
    assert path == tmp_path / "net.shape.onnx"
    written = onnx.load(path)
    assert not [t for t in written.graph.initializer if len(t.dims) > 1]
    again = load(path)
    assert state_of(again).symbolic
    assert shapes(again) == shapes(graph)
    assert state_of(again).exits == state_of(graph).exits
    assert state_of(again).layers == state_of(graph).layers


@pytest.mark.parametrize(
    ("name", "count"), [("mobilenetv2_exits_3_5_8", 4), ("mobilenetv2_exits_0_4_5_7", 5)]
)
def test_published_shape_only_networks(name: str, count: int, tmp_path: Path) -> None:
    path = shared("reference", "eenn", f"{name}.onnx")
    graph = load(path)
    exits = recognise_exits(graph)
    assert len(exits) == count
    again = load(save(graph, tmp_path / name))
    assert recognise_exits(again) == exits
    assert shapes(again) == shapes(graph)


def test_no_origin_is_an_origin(tmp_path: Path) -> None:
    graph = from_model(chain())
    InsertExits(at=("1",))(graph)
    again = load(save(graph, tmp_path / "net.onnx"))
    assert state_of(again).origins == state_of(graph).origins
    assert state_of(again).origins["exit_0/gemm"] == ()


def test_batches(tmp_path: Path) -> None:
    graph = from_model(chain())
    x = batch_of(chain(), 5)
    one = np.concatenate([run_model(to_model(graph), image[None])[0] for image in x])
    for batch in (5, "N"):
        found = run_model(onnx.load(save(graph, tmp_path / "net.onnx", batch)), x)[0]
        np.testing.assert_allclose(found, one, rtol=1e-5, atol=1e-6)


def test_saving_is_repeatable_and_checked(tmp_path: Path) -> None:
    graph = from_model(chain())
    one, two = (save(copy_graph(graph), tmp_path / f"{n}.onnx").read_bytes() for n in "ab")
    assert one == two
    assert (
        onnx.load(tmp_path / "a.onnx").ir_version,
        onnx.load(tmp_path / "a.onnx").opset_import[0].version,
    ) == (10, 21)
    assert printed(load(tmp_path / "a.onnx")) == printed(graph)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write to .*gone: No such file"):
        save(from_model(chain()), tmp_path / "gone" / "net.onnx")


def test_a_graph_without_a_name_gets_one(tmp_path: Path) -> None:
    model = chain()
    model.graph.name = ""
    assert onnx.load(save(from_model(model), tmp_path / "net.onnx")).graph.name == "graph"


def test_notes_are_read_by_viewers_and_change_no_answer() -> None:
    graph = from_model(two_exits())
    name = graph.nodes[0].name
    model = onnx.load_model_from_string(annotated(graph, {name: {"core": "digital", "energy_pj": "12.5"}}))
    onnx.checker.check_model(model, full_check=True)
    noted = {node.name: node for node in model.graph.node}
    told = {p.key: p.value for p in noted[name].metadata_props if p.key != "eecompile.origin"}
    assert told == {"eecompile.core": "digital", "eecompile.energy_pj": "12.5"}
    assert noted.pop(name).doc_string == "core: digital\nenergy pj: 12.5"
    assert {node.doc_string for node in noted.values()} == {""}
    images = batch_of(model, 1)
    plain = run_model(to_model(graph), images)
    assert all(np.array_equal(a, b) for a, b in zip(plain, run_model(model, images), strict=True))
