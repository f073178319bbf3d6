from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser
from onnxruntime.capi import onnxruntime_pybind11_state as raised

from eecompile.data.for_network import users_network
from eecompile.runtime import sessions
from eecompile.runtime.sessions import BATCH, Evaluator, batches, mixture, said, session
from passes.errors import InputError
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from tests.eecompile.schemes import assign
from tests.eecompile.small_models import skip_net
from tests.passes.equivalence import batch_of
from tests.passes.grids import add_grids
from tests.passes.random_graphs import networks

Make = Callable[[int | str | None], onnx.ModelProto]
WEIGHTS = {"w": (2, 3, 1, 1), "v": (48, 5), "k": (1, 1, 4, 4), "q": (32, 5)}


def net(body: str, constants: str = "") -> Make:
    """Return what exports a network from x [N, 3, 4, 4] to y [N, …]."""

    def make(batch: int | str | None) -> onnx.ModelProto:
        text = f"""<ir_version: 10, opset_import: ["": 21]>
            net (float[{batch or 1},3,4,4] x) => (float[{batch or 1},5] y) <{constants}> {{ {body} }}"""
        model = parser.parse_model(text)
        rng = np.random.default_rng(1)
        read = {name for node in model.graph.node for name in node.input}
        for name, shape in WEIGHTS.items():
            if name in read:
                values = rng.normal(size=shape).astype(np.float32)
                model.graph.initializer.append(numpy_helper.from_array(values, name))
        return model

    return make


def counted(make: Make) -> tuple[Make, list[int | str | None]]:
    calls: list[int | str | None] = []

    def remembered(batch: int | str | None) -> onnx.ModelProto:
        calls.append(batch)
        return make(batch)

    return remembered, calls


END = "f = Flatten(a) y = Gemm(f, v)"
IN_BATCHES = {
    "flatten": net(f"a = Relu(x) {END}"),
    "reshape that keeps the batch": net("r = Reshape(x, s) y = Gemm(r, v)", "int64[2] s = {0,-1}"),
    "constant of batch 1 broadcast": net(f"a = Add(x, k) {END}"),
    "expand": net(f"e = Expand(k, s) a = Add(x, e) {END}", "int64[4] s = {1,3,4,4}"),
    "softmax over channels": net(f"a = Softmax<axis=1>(x) {END}"),
    "batch axis moved and moved back": net(
        f"t = Transpose<perm=[2,0,1,3]>(x) r = Relu(t) a = Transpose<perm=[1,2,0,3]>(r) {END}"
    ),
    "not a number": net(f"l = Log(x) a = Add(l, x) {END}"),
}
BUILT_IN = {
    "reshape to 1 x all": (
        net("r = Reshape(x, s) y = Softmax(r)", "int64[2] s = {1,-1}"),
        "output 'y' has shape [1, 96] for two images",
    ),
    "reshape to a fixed size": (
        net("r = Reshape(x, s) y = Gemm(r, v)", "int64[2] s = {1,48}"),
        "Reshape '': The input tensor cannot be reshaped to the requested shape.",
    ),
    "reshape, then a gemm": (
        net("r = Reshape(x, s) y = Gemm(r, v)", "int64[2] s = {1,-1}"),
        "Gemm '': GEMM: Dimension mismatch, W: {48,5} K: 96",
    ),
    "squeeze": (
        net(f"b = Squeeze(x, z) r = Relu(b) a = Unsqueeze(r, z) {END}", "int64[1] z = {0}"),
        "Squeeze '': Dimension of input 0 must be 1 instead of 2.",
    ),
    "concat with a constant": (
        net("c = Conv(x, w) a = Concat<axis=1>(k, k, c) b = Slice(a, o, e, o) f = Flatten(b) y = Gemm(f, q)",
            "int64[1] o = {1}, int64[1] e = {3}"),
        "Concat '': Non concat axis dimensions must match",
    ),
    "softmax over the batch": (
        net(f"a = Softmax<axis=0>(x) {END}"),
        "output 'y' of an image depends on the images beside it",
    ),
    "mean over the batch taken off": (
        net(f"m = ReduceMean<keepdims=1>(x, z) h = Mul(m, k) a = Sub(x, h) {END}", "int64[1] z = {0}"),
        "output 'y' of an image depends on the images beside it",
    ),
    "sum over the batch": (
        net(f"a = ReduceSum<keepdims=1>(x, z) {END}", "int64[1] z = {0}"),
        "output 'y' has shape [1, 5] for two images",
    ),
    "first of the batch": (
        net(f"a = Gather<axis=0>(x, z) {END}", "int64[1] z = {0}"),
        "output 'y' has shape [1, 5] for two images",
    ),
}  # fmt: skip


def check_answers(make: Make, evaluator: Evaluator, total: int) -> None:
    """Check that every image is answered as by the model of batch 1."""
    images = np.random.default_rng(2).normal(size=(total, 3, 4, 4)).astype(np.float32)
    (found,) = evaluator.run(lambda piece: images[piece], total, ["y"])
    single = session(make(None))
    expected = np.concatenate([single.run(None, {"x": image[None]})[0] for image in images])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", IN_BATCHES)
def test_runs_in_batches(case: str) -> None:
    make, calls = counted(IN_BATCHES[case])
    evaluator = Evaluator.of(make)
    assert (evaluator.batch, evaluator.reason, evaluator.note) == (BATCH, "", "")
    assert calls == ["N"], "exported once"
    check_answers(make, evaluator, BATCH + 3)


@pytest.mark.parametrize("case", BUILT_IN)
def test_batch_built_in_is_run_image_by_image_and_said(case: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, reason = BUILT_IN[case]
    evaluator = Evaluator.of(make)
    assert evaluator.batch == 1
    assert evaluator.reason.startswith(reason)
    assert f"the network has its batch built in ({evaluator.reason})" in evaluator.note
    assert f"{BATCH} times as many calls" in evaluator.note
    check_answers(make, evaluator, 5)
    assert capfd.readouterr() == ("", ""), "onnxruntime prints nothing of what is expected to fail"


HUGE = 10**6
FAILING = {
    "no implementation": (
        net(f"c = Cast<to=16>(x) r = Relu(c) a = Cast<to=1>(r) {END}"), raised.NotImplemented,
        "Could not find an implementation for Relu", ["N"],
    ),
    "no memory": (
        net("y = Expand(x, s)", f"int64[7] s = {{{HUGE},{HUGE},1000,1,3,4,4}}"), sessions.REFUSED,
        "Failed to allocate memory", ["N"],
    ),
    "wrong at any batch": (
        net("r = Reshape(x, s) y = Gemm(r, u)", "int64[2] s = {0,-1}, float[1,5] u = {1,2,3,4,5}"),
        (raised.Fail, raised.InvalidArgument), "Gemm", ["N", None],
    ),
    "shapes contradict each other": (
        net("f = Flatten(x) y = MatMul(f, u)", "float[2,2] u = {1,2,3,4}"), raised.Fail,
        "Incompatible dimensions", ["N", None],
    ),
    "unknown operator": (
        net("y = com.acme.Thing(x)"), (raised.Fail, raised.InvalidGraph), "Thing", ["N", None],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILING)
def test_what_is_no_matter_of_the_batch_is_raised_as_it_is(case: str) -> None:
    make, kind, message, wanted = FAILING[case]
    make, calls = counted(make)
    with pytest.raises(kind, match=message):
        Evaluator.of(make)
    assert calls == wanted


@pytest.mark.parametrize("broken", ["N", None])
def test_an_error_of_the_export_is_raised(broken: str | None) -> None:
    make = BUILT_IN["squeeze"][0]

    def export(batch: int | str | None) -> onnx.ModelProto:
        if batch == broken:
            raise RuntimeError("our export is broken")
        return make(batch)

    with pytest.raises(RuntimeError, match="our export is broken"):
        Evaluator.of(export)


def test_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(sessions, "mixture", interrupted)
    with pytest.raises(MemoryError):
        Evaluator.of(IN_BATCHES["flatten"])


@settings(max_examples=15)
@given(model=networks())
def test_canonical_networks_run_in_batches_float_and_quantized(model: onnx.ModelProto) -> None:
    graph = from_model(model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    try:
        session(to_model(graph))
    except raised.Fail as error:  # its optimizer makes a Pad part of a padded MaxPool, which it then refuses
        assert "Pad should be smaller than kernel" in str(error)
        reject()
    evaluator = Evaluator.of(lambda batch: to_model(graph, batch))
    assert evaluator.batch == BATCH, evaluator.reason
    assign(graph)
    add_grids(graph, batch_of(model, 8))
    for step in ("quantize", "fold-qdq"):
        parse_pipeline(step)(graph)
        evaluator = Evaluator.of(lambda batch: to_model(graph, batch))
        assert evaluator.batch == BATCH, (step, evaluator.reason)


@pytest.mark.parametrize("shape", ["{1,-1}", "{1,8}"])
def test_a_reshape_to_one_row_is_made_fit_for_batches(shape: str) -> None:
    """Many exporters write the batch into the last Reshape: that must not cost a call per image."""
    model = skip_net()
    (flatten,) = [node for node in model.graph.node if node.op_type == "Flatten"]
    flatten.op_type = "Reshape"
    flatten.input.append("shape")
    values = np.array([int(size) for size in shape[1:-1].split(",")])
    model.graph.initializer.append(numpy_helper.from_array(values, "shape"))
    graph = from_model(model)
    assert Evaluator.of(lambda batch: to_model(graph, batch)).batch == 1, "as it comes"
    parse_pipeline("canonicalize")(graph)
    assert Evaluator.of(lambda batch: to_model(graph, batch)).batch == BATCH


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ("c = Cast<to=16>(x) r = Relu(c) y = Cast<to=1>(r)", "cannot run net.onnx: Could not find an impl",
         "export it again with standard operators"),
        ("y = Expand(x, s)", "cannot run net.onnx: Expand '': Failed to allocate memory", "memory than this"),
    ],
)  # fmt: skip
def test_a_users_network_that_cannot_run_is_bad_input(body: str, message: str, hint: str) -> None:
    constants = f"int64[7] s = {{{HUGE},{HUGE},1000,1,3,4,4}}" if "Expand" in body else ""
    with pytest.raises(InputError) as caught, users_network("net.onnx"):
        Evaluator.of(net(body, constants))
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_only_what_onnxruntime_raises_is_the_users_fault() -> None:
    with pytest.raises(ZeroDivisionError), users_network("net.onnx"):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Concat node. "
         "Name:'join' Status Message: concatbase.h:133 PrepareForComputeImpl Sizes differ: 1 and 2",
         "Concat 'join': Sizes differ: 1 and 2"),
        ("[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node. Name:'r' "
         "Status Message: /src/reshape_helper.h:91 Helper(bool) a == a was false. It cannot be.\nmore\n",
         "Reshape 'r': It cannot be."),
        ("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Relu(14)",
         "Could not find an implementation for Relu(14)"),
        ("[ONNXRuntimeError] : 1 : FAIL : Exception during initialization: /src/pool_attributes.h:88 "
         "Pool::Pool(const T&, int) [with T = int] pads[dim] < kernel[dim] was false. Pad should be smaller.",
         "Pad should be smaller."),
        ("something else", "something else"),
        ("", "Fail"),
        ("x" * 999, "x" * 300),
    ],
)  # fmt: skip
def test_said(text: str, expected: str) -> None:
    assert said(raised.Fail(text)) == expected


@given(total=st.integers(0, 1000), size=st.integers(1, 300))
def test_batches_cover_all_once(total: int, size: int) -> None:
    pieces = list(batches(total, size))
    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(total))
    assert all(0 < piece.stop - piece.start <= size for piece in pieces)


HANDS_ON = {
    "as its images": ("h = Relu(x) c = Cast<to=7>(x)", ""),
    "a mean over the batch": (
        "m = ReduceMean<keepdims=1>(x, z) h = Sub(x, m) c = Cast<to=7>(x)",
        "output 'h' of an image depends on the images beside it",
    ),
    "integers that depend on the batch": (
        "h = Relu(x) s = ReduceSum<keepdims=1>(x, z) t = Mul(s, k) u = Add(x, t) c = Cast<to=7>(u)",
        "output 'c' of an image depends on the images beside it",
    ),
    "one for all": (
        "m = ReduceMax<keepdims=1>(x, z) h = Relu(m) c = Cast<to=7>(x)",
        "output 'h' has shape [1, 2] for two images",
    ),
}


@pytest.mark.parametrize("case", HANDS_ON)
def test_stages_hold_a_batch_if_all_that_they_hand_on_does(case: str) -> None:
    body, reason = HANDS_ON[case]
    head = '<ir_version: 10, opset_import: ["": 21]>'
    first = f"""{head} net (float[N,2] x) => (float[N,2] h, int64[N,2] c)
        <int64[1] z = {{0}}, float k = {{9}}> {{ {body} }}"""
    second = f"{head} net (float[N,2] h, float[N,2] x) => (float[N,2] y) {{ y = Add(h, x) }}"
    stages = [session(parser.parse_model(text)) for text in (first, second)]
    assert mixture(stages) == reason
