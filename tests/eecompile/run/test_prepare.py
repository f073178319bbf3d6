"""From a user's file to a network with exits and its costs: what is asked for, kept, named and refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest

from eecompile.run import prepare as prepare_module
from eecompile.run.prepare import MAX_EXITS, Prepared, cost_of, cycles_by_model, prepare
from passes.errors import InputError, NoSolutionError
from passes.integers.to_float import is_quantized
from passes.model.graph import load
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.contract.registry import load_target
from targets.contract.target import Target
from targets.cost.layer_cost import LayerCost
from targets.diana.target import DianaTarget
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.network.layer import Bits, Layer
from targets.objective import EDP, LATENCY
from tests.eecompile.small_models import SKIP_NET, skip_net, write_skip_net
from tests.passes.quantized_nets import QuantizedNet
from tests.passes.small_nets import chain, two_exits


class Failing(DianaTarget):
    """DIANA, of which one cost model knows none of the layers."""

    def cost(self, layer: Layer, core: str) -> LayerCost:
        if self.cost_model == "odimo":
            raise NoSolutionError("this model knows no such layer")
        return super().cost(layer, core)


DIANA = load_target("diana")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network whose mounts are relu_0 (tensor b) and add_0 (tensor e), and relu_2 (g) the last."""
    return write_skip_net(tmp_path_factory.mktemp("model") / "net.onnx")


def prepared(model: Path, exits: int | str | Sequence[str] | None = None, **more: Any) -> Prepared:
    return prepare(model, DIANA, EDP, exits, "linear", **more)


def mounts(found: Prepared) -> list[str]:
    return [e.mount for e in state_of(found.graph).exits]


def written(path: Path, made: onnx.ModelProto) -> Path:
    onnx.save(made, str(path))
    return path


def renamed(names: dict[str, str]) -> onnx.ModelProto:
    """Return the network with other names of tensors."""
    found = skip_net()
    for node in found.graph.node:
        for names_of_node in (node.input, node.output):
            for index, name in enumerate(names_of_node):
                names_of_node[index] = names.get(name, name)
    for entry in found.graph.input:
        entry.name = names.get(entry.name, entry.name)
    return found


def run(graph: gs.Graph, image: np.ndarray[Any, Any]) -> list[Any]:
    session = ort.InferenceSession(to_model(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, {session.get_inputs()[0].name: image})
    return found


def test_the_network_without_exits_answers_as_the_file_and_so_does_the_last_of_those_with(
    model: Path,
) -> None:
    found = prepared(model, 2)
    image = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"image": image})
    (plain,) = run(found.plain, image)
    *early, final = run(found.graph, image)
    assert len(early) == 2
    for logits in (plain, final):
        shares = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(shares, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("exits", "at", "names", "asked"),
    [
        (None, [], {}, False),
        (2, ["b", "e"], {"b": "relu_0", "e": "add_0"}, False),
        ("2", ["b", "e"], {"b": "relu_0", "e": "add_0"}, False),
        (1, ["e"], {"e": "add_0"}, False),
        ("e,relu_0", ["b", "e"], {"b": "relu_0", "e": "e"}, True),
        (["add_0"], ["e"], {"e": "add_0"}, True),
        (("e", "b"), ["b", "e"], {"b": "b", "e": "e"}, True),
    ],
)
def test_exits_are_those_asked_for_under_the_names_the_user_gave(
    model: Path, exits: Any, at: list[str], names: dict[str, str], asked: bool
) -> None:
    found = prepared(model, exits)
    assert mounts(found) == [*at, "g"]
    assert found.mount_names == {**names, "g": "relu_2"}
    assert len(found.costs.exits) == len(at) + 1
    if exits is not None:
        assert (found.inserted, found.asked) == (True, asked)


@pytest.mark.parametrize(
    ("exits", "at"), [(["2"], ["2"]), (("1",), ["1"]), ("1,2", ["1", "2"]), ("1", ["2"])]
)
def test_in_a_sequence_a_number_is_a_name(tmp_path: Path, exits: Any, at: list[str]) -> None:
    """Exporters number tensors: here 1 and 2 are what relu_0 and add_0 write, the second ranks first."""
    found = prepared(written(tmp_path / "net.onnx", renamed({"b": "1", "e": "2"})), exits)
    assert mounts(found) == [*at, "g"]
    assert found.asked is (exits != "1")


@pytest.mark.parametrize(
    ("convs", "wanted", "made"), [(1, 2, None), (2, 2, 1), (3, 2, 2), (4, 2, 2), (4, 0, 0)]
)
def test_by_default_there_are_so_many_exits_or_as_many_as_there_are_mounts(
    tmp_path: Path, convs: int, wanted: int, made: int | None
) -> None:
    path = written(tmp_path / "net.onnx", chain(convs))
    if made is None:
        with pytest.raises(InputError, match="no tensor an exit could read"):
            prepared(path, default_exits=wanted)
    else:
        assert len(mounts(prepared(path, default_exits=wanted))) == made + 1


def test_exits_that_a_network_brings_are_kept_and_not_added_to(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", two_exits())
    found = prepared(path, default_exits=2)
    assert (found.inserted, found.asked, len(found.costs.exits)) == (False, True, 2)
    assert (len(found.graph.outputs), len(found.plain.outputs)) == (2, 1)
    assert len(found.plain.nodes) < len(found.graph.nodes), "the head of the early exit is gone"
    with pytest.raises(InputError, match=r"net\.onnx has 2 exits already"):
        prepared(path, 1)


def test_there_is_a_most_of_exits(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", chain(MAX_EXITS + 2))
    assert len(mounts(prepared(path, MAX_EXITS))) == MAX_EXITS + 1
    with pytest.raises(InputError, match=f"more than {MAX_EXITS} exits at once"):
        prepared(path, MAX_EXITS + 1)


@pytest.mark.parametrize("name", ["logits", "exit", "confidence"])
def test_an_input_called_as_an_output_will_be_is_refused(tmp_path: Path, name: str) -> None:
    taken = renamed({"image": name, "logits": "scores"})
    with pytest.raises(InputError, match=f"the model's input is called '{name}'"):
        prepared(written(tmp_path / "net.onnx", taken), 1)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"wishes": Wishes(speculate=True)}, "nothing to speculate on"),
        ({"ratios": (1.0,)}, "all inputs leave at the last, whatever `ratios` says"),
    ],
)
def test_what_only_exits_give_a_meaning_needs_one(model: Path, more: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        prepared(model, **more)


def test_options_reach_the_costs(model: Path) -> None:
    found = prepared(model, 1, ratios=(0.25, 0.75), wishes=Wishes(speculate=True), fusion=False)
    assert (found.costs.ratios, found.costs.speculates) == ((0.25, 0.75), True)
    assert not found.costs.fusion
    slow = prepare(model, load_target("diana", host_scale=10.0), LATENCY, 1, "conv")
    assert slow.costs.objective is LATENCY and slow.target.host_scale == 10
    assert [e.head.name if e.head else None for e in state_of(slow.graph).exits] == ["conv", None]


def test_a_layer_that_no_core_takes_has_no_solution(tmp_path: Path) -> None:
    shrink = "x = Shrink(g) h = GlobalAveragePool(x)"
    text = SKIP_NET.replace("h = GlobalAveragePool(g)", shrink)
    with pytest.raises(NoSolutionError, match="Shrink"):
        prepared(write_skip_net(tmp_path / "net.onnx", text))


def canonical(model: Path) -> gs.Graph:
    graph = load(model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    return graph


def test_costing_changes_nothing_of_the_graph(model: Path) -> None:
    graph = canonical(model)
    before, state = to_model(graph).SerializeToString(), dict(state_of(graph).layers)
    cost_of(graph, DIANA, EDP)
    assert to_model(graph).SerializeToString() == before
    assert state_of(graph).layers == state


def test_without_fusion_activations_are_layers_of_their_own(model: Path) -> None:
    """Three Relu follow the three convolutions; an Add has none behind it."""
    graph = canonical(model)
    fused, single = cost_of(graph, DIANA, EDP), cost_of(graph, DIANA, EDP, fusion=False)
    counts = [sum(x.layer.op_type == "Relu" for x in report.layers) for report in (fused, single)]
    assert counts == [0, 3]
    assert len(single.layers) == len(fused.layers) + 3
    assert (fused.fusion, single.fusion) == (True, False)
    assert fused.total.macs == single.total.macs


def test_float_tensors_are_costed_at_the_bits_that_are_given(model: Path) -> None:
    graph = canonical(model)
    assert cost_of(graph, DIANA, EDP, Bits(accumulator=16)).bits == Bits(accumulator=16)
    with pytest.raises(NoSolutionError, match="Weights and inputs are int8"):
        prepared(model, bits=Bits(weight=4))


@pytest.mark.parametrize("known", ["match", "odimo"])
def test_cycles_by_model_are_those_that_each_model_gives_alone(model: Path, known: str) -> None:
    graph = canonical(model)
    target = load_target("diana", cost_model=known)
    found = cycles_by_model(graph, target, cost_of(graph, target, EDP))
    alone = {
        name: cost_of(graph, load_target("diana", cost_model=name), EDP).total.latency_cycles
        for name in ("match", "odimo", "engine")
    }
    assert found == alone
    assert len(set(alone.values())) == 3, "or the test sees no difference"


def test_a_model_that_cannot_cost_the_network_has_no_cycles(model: Path) -> None:
    graph, target = canonical(model), Failing()
    found = cycles_by_model(graph, target, cost_of(graph, target, EDP))
    assert found["odimo"] is None
    assert found["match"] and found["engine"]


def test_other_models_are_asked_for_the_same_but_not_for_what_takes_long(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = canonical(model)
    known = cost_of(graph, DIANA, LATENCY, fusion=False)
    taken: list[tuple[Any, ...]] = []

    def remembered(_: gs.Graph, target: Target, *arguments: Any) -> CostReport:
        taken.append((target.cost_model, *arguments))
        return known

    monkeypatch.setattr(prepare_module, "cost_of", remembered)
    wishes = Wishes("layers", speculate=True, exact_seconds=9.0)
    cycles_by_model(graph, DIANA, known, Bits(4), False, (1.0,), wishes)
    rest = (LATENCY, Bits(4), False, (1.0,), Wishes("layers"))
    assert taken == [("odimo", *rest), ("engine", *rest)]


@pytest.mark.parametrize("requantize", [True, False])
def test_a_quantized_network_is_prepared_in_float_where_it_is_asked_for(
    tmp_path: Path, requantize: bool
) -> None:
    values = ", ".join(str(value % 13 - 6) for value in range(8 * 3 * 9))
    text = f"""<ir_version: 10, opset_import: ["" : 21]> net (float[1,3,8,8] x) => (float[1,8] y)
        <float s = {{0.1}}, uint8 z = {{128}}, float t = {{0.2}}, uint8 v = {{0}}, float u = {{0.02}},
        int8 n = {{0}}, int8[8,3,3,3] k = {{{values}}}> {{
        q = QuantizeLinear(x, s, z) c = QLinearConv(q, s, z, k, u, n, t, v) d = DequantizeLinear(c, t, v)
        g = GlobalAveragePool(d) y = Flatten(g) }}"""
    path = tmp_path / "quantized.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    if not requantize:
        with pytest.raises(InputError, match="gap9 cannot compute with its integers: 'conv_0': its values"):
            prepare(path, load_target("gap9"), EDP, None, "auto")
        onnx.save(QuantizedNet().model(), path)
    found = prepare(path, load_target("gap9"), EDP, None, "auto", requantize=requantize)
    assert is_quantized(found.graph) != requantize
    if requantize:
        onnx.save(to_model(found.plain), path)
        with pytest.raises(InputError, match="`requantize` would change nothing"):
            prepare(path, load_target("gap9"), EDP, None, "auto", requantize=True)
