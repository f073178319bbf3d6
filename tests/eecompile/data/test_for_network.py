from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from eecompile import api
from eecompile.data.for_network import open_data
from eecompile.quantization.calibration import calibrate
from passes.errors import InputError
from passes.model.graph import from_model, load
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.eecompile.quantization.test_calibration import EXAMPLE
from tests.eecompile.schemes import assign
from tests.eecompile.small_models import SKIP_NET, skip_net, write_images, write_skip_net

RESHAPED = SKIP_NET.replace("Flatten(h)", "Reshape(h, shape)").replace("v>", "v, int64[2] shape = {1,-1}>")
SQUEEZED = SKIP_NET.replace(
    "g = Relu(f)", "o = Relu(f) s = Squeeze(o, z) t = Where(yes, s, s) g = Unsqueeze(t, z)"
).replace("v>", "v, int64[1] z = {0}, bool yes = {1}>")
MIXING = SKIP_NET.replace(
    "g = Relu(f)", "o = Relu(f) m = ReduceMean<keepdims=1>(o, z) k = Mul(m, half) g = Sub(o, k)"
).replace("v>", "v, int64[1] z = {0}, float half = {0.5}>")
NO_KERNEL = SKIP_NET.replace("b = Relu(a)", "narrow = Cast<to=5>(a) r = Relu(narrow) b = Cast<to=1>(r)")
BYTES = SKIP_NET.replace("float[1,3,16,16] image", "uint8[1,3,16,16] bytes").replace(
    "a = Conv", "image = DequantizeLinear(bytes, step) a = Conv"
).replace("v>", "v, float step = {0.1}>")  # fmt: skip

WORDS = SKIP_NET.replace("float[1,3,16,16] image", "int64[1,16] words").replace(
    "a = Conv", "e0 = Gather(table, words) image = Reshape(e0, whole) a = Conv"
).replace("v>", "v, float[5,48] table, int64[4] whole = {1,3,16,16}>")  # fmt: skip


# Attention in windows: the batch is written into the Reshapes, and the first axis is no batch in between.
WINDOWS = SKIP_NET.replace(
    "e = Add(b, d)", "t = Add(b, d) n = Reshape(t, windows) o = Softmax(n) e = Reshape(o, map)"
).replace("v>", "v, int64[4] windows = {16,8,4,4}, int64[4] map = {1,8,16,16}>")


def graph_of(text: str = SKIP_NET) -> gs.Graph:
    return from_model(skip_net(text))


@pytest.fixture
def images(tmp_path: Path) -> str:
    return str(write_images(tmp_path / "images.npz"))


def test_digits_are_opened_with_the_preprocessing_the_network_was_trained_with() -> None:
    graph = load(EXAMPLE)
    dataset, choice = open_data(graph, "digits", "auto", 0, "digits_resnet.onnx")
    assert dataset.train.x.shape[1:] == (1, 8, 8)
    assert dataset.classes == 10
    assert choice.accuracy > 0.9
    assert choice.accuracy == max(accuracy for _, accuracy in choice.tried)
    assert choice.warning is None
    named = open_data(graph, "digits", choice.preprocess.rule, 0, "digits_resnet.onnx")[1]
    assert named.preprocess == choice.preprocess and len(named.tried) == 1


def test_a_network_that_runs_in_batches_has_no_note(images: str) -> None:
    assert open_data(graph_of(), images, "raw", 0, "net")[0].notes == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (RESHAPED, "Gemm 'gemm_0': GEMM: Dimension mismatch"),
        (SQUEEZED, "Squeeze 'squeeze_0': Dimension of input 0 must be 1 instead of 2."),
        (MIXING, "output 'probabilities' of an image depends on the images beside it"),
    ],
    ids=["reshape", "squeeze", "mixing"],
)
def test_a_batch_built_in_is_a_note_and_changes_no_accuracy(images: str, text: str, reason: str) -> None:
    dataset, choice = open_data(graph_of(text), images, "raw", 0, "net")
    (note,) = dataset.notes
    assert note.startswith(f"the network has its batch built in ({reason}")
    if text is not MIXING:  # that is another network
        assert choice.accuracy == open_data(graph_of(), images, "raw", 0, "net")[1].accuracy


def test_canonical_form_takes_the_batch_out_of_a_reshape(images: str) -> None:
    graph = graph_of(RESHAPED)
    parse_pipeline("canonicalize")(graph)
    assert open_data(graph, images, "raw", 0, "net")[0].notes == ()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (NO_KERNEL, "onnxruntime cannot run net.onnx: Could not find an implementation for Relu", "standard"),
        (
            BYTES,
            "input 'bytes' of net.onnx is uint8, and images are fed as float32",
            "give the float network",
        ),
        (
            WORDS,
            "input 'words' of net.onnx is int64, and images are fed as float32",
            "it takes numbers of words, and data here are images",
        ),
    ],
    ids=["no kernel", "bytes", "words"],
)
def test_a_network_that_cannot_take_images(images: str, text: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        open_data(graph_of(text), images, "raw", 0, "net.onnx")
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_an_error_of_ours_is_not_the_users(images: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("our bug")

    monkeypatch.setattr("eecompile.data.for_network.to_model", broken)
    with pytest.raises(TypeError, match="our bug"):
        open_data(graph_of(), images, "raw", 0, "net")


def test_opt_tells_the_notes_of_the_data(tmp_path: Path) -> None:
    with np.load(write_images(tmp_path / "images.npz")) as archive:
        np.savez(tmp_path / "few.npz", **{n: v for n, v in archive.items() if not n.startswith("val")})
    model = write_skip_net(tmp_path / "net.onnx", SQUEEZED)
    result = api.opt(model, "canonicalize,quantize", data=str(tmp_path / "few.npz"), preprocess="raw")
    notes = "\n".join(result.notes)
    assert "few.npz has no val_x, val_y" in notes
    assert "the network has its batch built in (Squeeze 'squeeze_0'" in notes
    assert "calibrated on 56 training images" in notes, "image by image"


def test_calibration_image_by_image_is_that_in_batches() -> None:
    """A Squeeze and an Unsqueeze of the batch change nothing but that the first axis is not the batch."""
    images = np.random.default_rng(4).normal(size=(70, 3, 16, 16)).astype(np.float32)
    found = []
    for text in (SKIP_NET, SQUEEZED):
        graph = graph_of(text)
        parse_pipeline("canonicalize")(graph)
        assign(graph)
        done = calibrate(graph, images)
        assert done.images == 70
        weights = [node.inputs[1].values for node in graph.nodes if node.op in ("Conv", "Gemm")]
        found.append((state_of(graph).grids, weights, list(done.rounding.values())))
    (batched, weights, rounding), (alone, weights_alone, rounding_alone) = found
    assert rounding == rounding_alone == ["gptq"] * 4
    assert batched.items() <= alone.items(), "the squeezed tensors have grids, too"
    for first, second in zip(weights, weights_alone, strict=True):
        np.testing.assert_array_equal(first, second)


def test_values_that_are_not_finite_cannot_be_calibrated() -> None:
    graph = graph_of(SKIP_NET.replace("b = Relu(a)", "n = Log(a) b = Relu(n)"))
    assign(graph)
    images = np.random.default_rng(4).normal(size=(4, 3, 16, 16)).astype(np.float32)
    with pytest.raises(InputError, match="becomes NaN or infinite on training images"):
        calibrate(graph, images)


@pytest.mark.parametrize("text", [SQUEEZED, MIXING, WINDOWS], ids=["squeeze", "mixing", "windows"])
def test_a_batch_built_in_runs_to_the_end_and_is_a_warning(
    tmp_path: Path, images: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    from eecompile.run import steps
    from eecompile.training.recipe import Recipe

    monkeypatch.setattr(steps, "Recipe", lambda: Recipe(samples=500))
    model = write_skip_net(tmp_path / "net.onnx", text)
    told: list[str] = []
    result = api.run(
        model, data=images, out=tmp_path / "out", exits=1, preprocess="raw", progress=told.append
    )
    steps_told = [next(i for i, text in enumerate(told) if what in text) for what in ("built in", "train")]
    assert steps_told == sorted(steps_told), "it is said before the work that it makes longer"
    assert result.passed, "early-exit files answer as the flat model, image by image"
    assert sum("batch built in" in warning for warning in result.summary.warnings) == 1
    flat = onnx.load(str(tmp_path / "out" / "model.lowered.onnx"))
    assert flat.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


def test_a_network_that_has_learnt_nothing_gets_standardized_images_and_no_warning() -> None:
    graph = load(EXAMPLE)
    for tensor in graph.tensors().values():
        if isinstance(tensor, gs.Constant) and tensor.values.dtype == np.float32:
            tensor.values = np.random.default_rng(0).normal(0, 0.1, tensor.shape).astype(np.float32)
    _, tried = open_data(graph, "digits", "auto", 0, "net")
    assert tried.warning is not None and "near chance" in tried.warning
    dataset, fresh = open_data(graph, "digits", "auto", 0, "net", fresh=True)
    assert fresh.warning is None
    assert fresh.preprocess.apply(dataset.train.x).std() == pytest.approx(1, abs=0.02)
    assert open_data(graph, "digits", "unit", 0, "net", fresh=True)[1].preprocess.rule == "unit"
