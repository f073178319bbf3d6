from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from hypothesis import given, settings

from eecompile.quantization.calibration import calibrate
from eecompile.runtime.sessions import REFUSED, session
from eecompile.verbs.work import same_answers
from eecompile.verbs.work.same_answers import IMAGES, INTEGER_SQNR_DB, RELATIVE_TOLERANCE, Check, Verifier
from passes.base import Pass, Pipeline
from passes.errors import InputError
from passes.model.graph import from_model, tidy
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.eecompile.data.test_for_network import NO_KERNEL
from tests.eecompile.schemes import assign
from tests.eecompile.small_models import skip_net
from tests.passes.net_builder import NetBuilder
from tests.passes.random_graphs import networks


@dataclass(frozen=True)
class Scale(Pass):
    """Multiplies the weights of the last layer.

    1. Weights are multiplied.
    """

    name: ClassVar[str] = "scale"
    factor: float = 1.0

    def run(self, graph: gs.Graph) -> bool:
        gemm = next(node for node in reversed(graph.nodes) if node.op == "Gemm")
        gemm.inputs[1].values = (gemm.inputs[1].values * self.factor).astype(np.float32)
        return True


@dataclass(frozen=True)
class Shift(Pass):
    """Adds to a constant that quantization has left as integers.

    1. The zero point of the input becomes another.
    """

    name: ClassVar[str] = "shift"

    def run(self, graph: gs.Graph) -> bool:
        node = next(node for node in graph.nodes if node.op == "QuantizeLinear")
        node.inputs[2].values = (node.inputs[2].values + 40).astype(node.inputs[2].values.dtype)
        return True


@dataclass(frozen=True)
class Rename(Pass):
    """Gives the input another name.

    1. The input is called ``other``.
    """

    name: ClassVar[str] = "rename"

    def run(self, graph: gs.Graph) -> bool:
        graph.inputs[0].name = "other"
        return True


def verified(graph: gs.Graph, *steps: Pass, images: np.ndarray | None = None) -> list[Check]:
    verifier = Verifier(images, seed=0)
    Pipeline(steps)(graph, [verifier])
    return verifier.checks


def small() -> gs.Graph:
    graph = from_model(skip_net())
    parse_pipeline("canonicalize")(graph)  # logits, so that outputs grow with the weights
    return graph


def test_the_same_numbers_are_equal() -> None:
    (check,) = verified(small(), Scale(1.0))
    assert check == Check("equal", ("logits",), 0.0, None, "the outputs are the same numbers")


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1 + RELATIVE_TOLERANCE / 4, "close"),
        (1 - RELATIVE_TOLERANCE / 4, "close"),
        (1 + RELATIVE_TOLERANCE * 20, "differs"),
        (1.5, "differs"),
        (0.0, "differs"),
        (np.nan, "differs"),
    ],
)
def test_a_float_network_may_change_by_last_digits_only(factor: float, verdict: str) -> None:
    (check,) = verified(small(), Scale(factor))
    assert check.verdict == verdict
    assert check.outputs == ("logits",)


def test_difference_and_ratio_are_those_of_the_outputs() -> None:
    """1.1 times the logits: a tenth of the largest, 20 dB below."""
    images = np.random.default_rng(5).normal(size=(9, 3, 16, 16)).astype(np.float32)
    reference = Verifier(images, 0)
    graph = small()
    reference.before(Scale(), graph)
    logits = (reference._outputs or {})["logits"]
    assert len(logits) == IMAGES, "the first few images"
    (check,) = verified(graph, Scale(1.1), images=images)
    assert check.max_difference == pytest.approx(0.1 * float(np.abs(logits).max()), rel=1e-4)
    assert check.sqnr_db == pytest.approx(20, abs=1e-3)


def test_every_pass_is_held_against_the_one_before_it() -> None:
    checks = verified(small(), Scale(1.0), Scale(2.0), Scale(1.0))
    assert [check.verdict for check in checks] == ["equal", "differs", "equal"]


def test_quantization_is_told_and_integers_may_flip_a_bit_only() -> None:
    graph = small()
    images = np.random.default_rng(5).normal(size=(16, 3, 16, 16)).astype(np.float32)
    assign(graph)
    verifier = Verifier(images, 0)
    verifier.before(Scale(), graph)  # before calibration, which rounds weights
    calibrate(graph, images)
    parse_pipeline("quantize")(graph, [verifier])
    (quantized,) = verifier.checks
    assert quantized.verdict == "quantized"
    assert quantized.max_difference is not None and quantized.max_difference > 0
    assert quantized.sqnr_db is not None and quantized.sqnr_db > 10
    folded, shifted = verified(graph, *parse_pipeline("fold-qdq").steps, Shift(), images=images)
    assert folded.verdict in ("equal", "close")
    assert shifted.verdict == "differs"
    assert shifted.sqnr_db is not None and shifted.sqnr_db < INTEGER_SQNR_DB


def quantized(images: np.ndarray) -> gs.Graph:
    graph = small()
    assign(graph)
    calibrate(graph, images)
    parse_pipeline("quantize")(graph)
    return graph


def test_integers_are_computed_by_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that saturate would call a right pass wrong; here the runtime's are not asked at all."""
    images = np.random.default_rng(5).normal(size=(16, 3, 16, 16)).astype(np.float32)
    graph = quantized(images)
    parse_pipeline("fold-qdq")(graph)
    (nothing,) = parse_pipeline("fuse-layers").steps
    (before,) = verified(graph, nothing, images=images)
    assert before.verdict == "equal"

    class Saturating:
        def run(self, *_: object) -> None:
            raise AssertionError("asked for integers")

    monkeypatch.setattr(same_answers, "session", lambda *_, **__: Saturating())
    assert verified(graph, nothing, images=images) == [before]


def test_products_of_integers_do_not_saturate() -> None:
    """255 · 127 summed over a kernel: pairs of products are beyond 16 bits."""
    net = NetBuilder((1, 2, 4, 4))
    x = net.op("QuantizeLinear", "x", net.const(1.0), net.const(0, np.uint8))
    weights = net.const(np.full((3, 2, 3, 3), 127), np.int8)
    grids = [net.const(1.0), net.const(0, np.uint8), weights, net.const(1.0), net.const(0, np.int8)]
    y = net.op("QLinearConv", x, *grids, net.const(4096.0), net.const(0, np.uint8))
    y = net.op("DequantizeLinear", y, net.const(4096.0), net.const(0, np.uint8))
    graph = from_model(net.model(net.op("Flatten", net.op("GlobalAveragePool", y))))
    verifier = Verifier(np.full((1, 2, 4, 4), 255, np.float32), 0)
    verifier.before(Scale(), graph)
    (outputs,) = (verifier._outputs or {}).values()
    np.testing.assert_allclose(outputs, 4096 * np.rint(255 * 127 * 18 / 4096))


def test_what_the_runtime_has_no_kernel_for_is_told() -> None:
    @dataclass(frozen=True)
    class Widen(Pass):
        name: ClassVar[str] = "widen"

        def run(self, graph: gs.Graph) -> bool:
            node = next(node for node in graph.nodes if node.op == "GlobalAveragePool")
            source = node.inputs[0]
            shape = list(source.shape)
            wide, pooled, back = (
                gs.Variable(f"wide_{i}", t, shape) for i, t in enumerate((np.int16, np.int16, np.float32))
            )
            graph.nodes += [
                gs.Node("Cast", "to", {"to": np.int16}, [source], [wide]),
                gs.Node("Relu", "pool", {}, [wide], [pooled]),
                gs.Node("Cast", "back", {"to": np.float32}, [pooled], [back]),
            ]
            node.inputs = [back]
            graph.toposort()
            return True

    (check,) = verified(small(), Widen())
    assert check.verdict == "not run"
    assert "onnxruntime cannot run the network behind this pass: Could not find an impl" in check.detail
    assert check.max_difference is not None, "the reference computes it"


def test_another_input_cannot_be_compared_and_the_next_pass_can() -> None:
    checks = verified(small(), Rename(), Scale(1.0), Scale(2.0))
    assert [check.verdict for check in checks] == ["not comparable", "equal", "differs"]
    assert checks[0].detail == "the pass changed what the network reads"


def test_a_softmax_set_apart_is_compared_through_it() -> None:
    graph = from_model(skip_net())
    (check,) = verified(graph, *parse_pipeline("canonicalize").steps)
    assert state_of(graph).softmax, "the test needs it"
    assert check.outputs == ("logits",)
    assert check.verdict in ("equal", "close")


def test_seeds_draw_the_images() -> None:
    def outputs(seed: int) -> np.ndarray:
        verifier = Verifier(None, seed)
        verifier.before(Scale(), small())
        found: np.ndarray = (verifier._outputs or {})["logits"]
        return found

    assert np.array_equal(outputs(1), outputs(1))
    assert not np.array_equal(outputs(1), outputs(2))


@settings(max_examples=10)
@given(model=networks())
def test_no_pass_of_ours_changes_a_random_network(model: onnx.ModelProto) -> None:
    steps = parse_pipeline("canonicalize,fold-batchnorm,fuse-layers").steps
    checks = verified(from_model(model), *steps)
    theirs = "Pad should be smaller than kernel"  # its optimizer makes a Pad part of a padded MaxPool
    assert all(check.verdict in ("equal", "close") or theirs in check.detail for check in checks), checks


def test_what_the_optimizer_of_the_runtime_breaks_is_not_run_and_said() -> None:
    text = """<ir_version: 10, opset_import: ["": 21]> net (float[1,2,6,6] x) => (float[1,2] y)
        <int64[8] p = {0,0,1,1,0,0,1,1}> {
        r = Relu(x) q = Pad(r, p) a = Abs(q) m = MaxPool<kernel_shape=[2,2], pads=[1,1,1,1]>(a)
        g = GlobalAveragePool(m) y = Flatten(g) }"""

    @dataclass(frozen=True)
    class Bring(Pass):
        """Take out the Abs, which changes nothing."""

        name: ClassVar[str] = "bring"

        def run(self, graph: gs.Graph) -> bool:
            pool = next(node for node in graph.nodes if node.op == "MaxPool")
            pool.inputs[0] = pool.inputs[0].inputs[0].inputs[0]
            tidy(graph)
            return True

    graph = from_model(onnx.parser.parse_model(text))
    (check,) = verified(graph, Bring())
    try:
        session(to_model(graph))
    except REFUSED:
        pass
    else:
        pytest.skip("this onnxruntime does not bring the two together")
    assert check.verdict == "not run"
    assert "Pad should be smaller than kernel" in check.detail


def test_a_users_network_that_cannot_run_is_bad_input() -> None:
    with pytest.raises(InputError, match="onnxruntime cannot run the network: Could not find an impl"):
        verified(from_model(skip_net(NO_KERNEL)), Scale())


def test_a_network_that_a_pass_has_broken_is_our_fault() -> None:
    @dataclass(frozen=True)
    class Break(Pass):
        name: ClassVar[str] = "break"

        def run(self, graph: gs.Graph) -> bool:
            node = next(node for node in graph.nodes if node.op == "Gemm")
            node.inputs[1].values = node.inputs[1].values[:, :3]
            return True

    with pytest.raises(Exception, match=r"Gemm|GEMM") as caught:
        verified(small(), Break())
    assert not isinstance(caught.value, InputError)


def test_without_weights_there_is_nothing_to_run() -> None:
    graph = small()
    state_of(graph).symbolic = True
    with pytest.raises(InputError, match="this one has no weights"):
        verified(graph, Scale())
