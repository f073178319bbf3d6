"""Weights in files beside the model: read whole, from the model's own folder alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from passes.errors import InputError
from passes.model.external_data import expected_bytes, load_external, tensors
from passes.model.graph import load
from passes.state import state_of
from tests.passes.small_nets import chain


def refused(model: onnx.ModelProto, folder: Path) -> str:
    """Return the message for the external data of ``model``."""
    with pytest.raises(InputError) as error:
        load_external(model, folder.resolve())
    assert error.value.hint, "the message must say what to do"
    return str(error.value)


def external(model: onnx.ModelProto, **entries: str) -> bytes:
    """Move the first weight of ``model`` out; returns its bytes."""
    tensor = model.graph.initializer[0]
    raw: bytes = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return raw


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/etc/passwd", "outside the model's folder"),
        ("../weights.bin", "outside the model's folder"),
        ("sub/../../weights.bin", "outside the model's folder"),
        ("C:\\weights.bin", "outside the model's folder"),
        ("link.bin", "outside the model's folder"),
        ("", "outside the model's folder"),
        ("w\0.bin", "impossible name"),
        ("w" * 300, "impossible name"),
        (".", "does not hold 288 bytes"),
        ("short.bin", "does not hold 288 bytes"),
    ],
)
def test_external_data_that_is_refused(tmp_path: Path, location: str, message: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    model = chain()
    raw = external(model, location=location)
    (tmp_path / "weights.bin").write_bytes(raw)
    (folder / "short.bin").write_bytes(raw[:-1])
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    assert message in refused(model, folder)


@pytest.mark.parametrize(
    "entries", [{"offset": "9999"}, {"offset": "-4"}, {"offset": "x"}, {"length": "4"}, {"length": "-1"}]
)
def test_external_data_with_bad_ranges(tmp_path: Path, entries: dict[str, str]) -> None:
    model = chain()
    (tmp_path / "weights.bin").write_bytes(external(model, location="weights.bin", **entries))
    assert "does not hold 288 bytes" in refused(model, tmp_path)


def test_external_data_of_constants_is_not_read_from_elsewhere(tmp_path: Path) -> None:
    model = chain()
    external(model, location="../../etc/passwd")
    tensor = model.graph.initializer[0]
    model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    del model.graph.initializer[0]
    assert "outside the model's folder" in refused(model, tmp_path)


def test_external_data_is_read(tmp_path: Path) -> None:
    plain, model = chain(), chain()
    raw = external(model, location="sub/weights.bin", offset="8", length="288")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights.bin").write_bytes(bytes(8) + raw)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    weights = load(tmp_path / "model.onnx").tensors()["const_0"].values
    np.testing.assert_array_equal(weights, numpy_helper.to_array(plain.graph.initializer[0]))


def test_missing_external_data_makes_a_shape_only_model(tmp_path: Path) -> None:
    model = chain()
    external(model, location="weights.bin")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    graph = load(tmp_path / "model.onnx")
    assert state_of(graph).symbolic
    assert not any(graph.tensors()["const_0"].values.strides)


@pytest.mark.parametrize(
    "kind", ["FLOAT", "FLOAT16", "DOUBLE", "INT64", "INT8", "BOOL", "BFLOAT16", "INT4", "UINT4"]
)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (3, 3)], ids=str)
def test_bytes_of_a_tensor_are_those_that_onnx_writes(kind: str, shape: tuple[int, ...]) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(getattr(TensorProto, kind))
    tensor = numpy_helper.from_array(np.zeros(shape, dtype), "w")
    assert expected_bytes(tensor) == len(tensor.raw_data)


def test_nothing_outside_is_nothing_to_read(tmp_path: Path) -> None:
    model = chain()
    before = model.SerializeToString()
    assert not load_external(model, tmp_path)
    assert model.SerializeToString() == before


def test_one_missing_file_among_several_is_missing(tmp_path: Path) -> None:
    model = chain()
    raw = external(model, location="weights.bin")
    second = model.graph.initializer[1]
    second.ClearField("raw_data")
    second.data_location = TensorProto.EXTERNAL
    second.external_data.add(key="location", value="gone.bin")
    (tmp_path / "weights.bin").write_bytes(raw)
    assert load_external(model, tmp_path)
    first = model.graph.initializer[0]
    assert (first.raw_data, first.data_location, len(first.external_data)) == (raw, TensorProto.DEFAULT, 0)
    assert second.data_location == TensorProto.EXTERNAL


def test_a_constant_whose_file_is_missing_is_no_weight(tmp_path: Path) -> None:
    model = chain()
    external(model, location="gone.bin")
    tensor = model.graph.initializer[0]
    model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    del model.graph.initializer[0]
    assert "data file gone.bin of a constant 'const_0' is missing" in refused(model, tmp_path)


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    model = chain()
    (tmp_path / "blob").write_bytes(external(model, location="weights.bin"))
    (tmp_path / "weights.bin").symlink_to(tmp_path / "blob")
    assert not load_external(model, tmp_path.resolve())


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    model = chain()
    external(model, location="one")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(InputError, match="'const_0'"):
        assert not load_external(model, tmp_path.resolve())


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = chain()
    (tmp_path / "weights.bin").write_bytes(external(model, location="weights.bin"))

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)  # root may read everything
    with pytest.raises(InputError, match=r"cannot read .*weights\.bin, the external data of 'const_0'"):
        load_external(model, tmp_path)


def test_every_tensor_that_holds_values_is_found() -> None:
    def named(name: str) -> TensorProto:
        return numpy_helper.from_array(np.zeros(1, np.float32), name)

    inner = helper.make_node("Constant", [], ["a"], value=named("in a body"))
    made = helper.make_tensor_value_info("a", TensorProto.FLOAT, [1])
    body = helper.make_graph([inner], "body", [], [made], [named("weight of a body")])
    choice = helper.make_node("If", ["c"], ["b"], then_branch=body, else_branch=body)
    several = helper.make_node("Custom", [], ["d"], values=[named("first"), named("second")], bodies=[body])
    graph = helper.make_graph([choice, several], "main", [], [made], [named("weight")])
    inside = ["weight of a body", "in a body"]
    assert next(tensors(graph)).name == "weight"
    assert sorted(t.name for t in tensors(graph)) == sorted(["weight", "first", "second", *inside * 3])
