from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from eecompile.cli import show_network
from eecompile.cli.terminal import console
from eecompile.verbs.work.inspect_network import Inspection, inspect_network
from passes.errors import InputError
from tests.eecompile.small_models import SKIP_NET, write_skip_net
from tests.passes.any_networks import NO_CLASSIFIERS, network


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    return inspect_network(write_skip_net(tmp_path_factory.mktemp("m") / "net.onnx"), "diana")


def test_says_what_the_network_is(found: Inspection) -> None:
    assert (found.input_shape, found.classes, found.weights) == ((1, 3, 16, 16), 4, True)
    assert found.nodes_in_file == 11
    assert found.absorbed == ("softmax_0",)


def test_every_node_has_origin_layer_core_bits_and_shapes(found: Inspection) -> None:
    conv = next(node for node in found.nodes if node.name == "conv_0")
    assert conv.origin == ("conv_0",)
    assert (conv.layer, conv.core) == ("conv_0", "digital")
    assert (conv.weight_bits, conv.activation_bits) == (8, 8)
    assert conv.input_shapes == ((1, 3, 16, 16),)
    assert conv.output_shapes == ((1, 8, 16, 16),)
    relu = next(node for node in found.nodes if node.name == "relu_0")
    assert relu.layer == conv.layer


def test_every_tensor_is_a_mount_or_has_a_reason(found: Inspection) -> None:
    assert sorted(m.rank for m in found.mounts if m.rank is not None) == [1, 2]
    reasons = {m.name: m.reason for m in found.mounts if not m.ok}
    assert "skip connection" in reasons["conv_1"]
    assert all(reasons.values())


def test_says_why_a_layer_is_not_on_a_core(found: Inspection) -> None:
    conv = next(node for node in found.nodes if node.name == "conv_0")
    assert "not placed on analog, by its rule: Weights are ternary" in conv.reasons
    flatten = next(node for node in found.nodes if node.op_type == "Flatten")
    assert any(reason.startswith("costs nothing") for reason in flatten.reasons)


def test_exits_are_recognised_or_read_from_metadata(found: Inspection, tmp_path: Path) -> None:
    from eecompile.verbs.work.optimize import optimize

    assert [e.name for e in found.exits] == ["final"]
    assert found.exits_from == "recognised"
    out = tmp_path / "exits.onnx"
    optimize(
        write_skip_net(tmp_path / "net.onnx"),
        "canonicalize,insert-exits{at=1}",
        out=out,
        data=None,
        preprocess="auto",
        target=None,
        verify_each=False,
        save_stages=None,
        seed=0,
        progress=lambda _: None,
    )
    again = inspect_network(out, "diana")
    assert [e.name for e in again.exits] == ["exit_0", "final"]
    assert again.exits_from == "metadata"


def test_a_network_without_early_exits_is_not_said_to_have_any(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    show_network.inspection(console(), found)
    assert "Exits (none but the network's own)" in capsys.readouterr().out


def test_a_layer_no_core_takes_is_shown_with_its_rules(tmp_path: Path) -> None:
    text = SKIP_NET.replace("h = GlobalAveragePool(g)", "x = Shrink(g) h = GlobalAveragePool(x)")
    found = inspect_network(write_skip_net(tmp_path / "net.onnx", text), "diana")
    node = next(node for node in found.nodes if node.op_type == "Shrink")
    assert node.core == ""
    assert any("does not run Shrink" in reason for reason in node.reasons)


def test_no_classifier_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    text = SKIP_NET.replace(
        "=> (float[1,4] probabilities)", "=> (float[1,4] probabilities, float[1,8,8,8] x)"
    ).replace("h = GlobalAveragePool(g)", "x = Tanh(g) h = GlobalAveragePool(g)")
    found = inspect_network(write_skip_net(tmp_path / "net.onnx", text), "diana")
    assert found.exits_from == "none"
    assert found.classes is None
    assert any("not a classifier" in note for note in found.notes)
    assert len(found.nodes) >= 10
    assert [(e.name, e.mount, e.output) for e in found.exits] == [("final", "", "probabilities")]
    assert found.outputs == {"probabilities": (1, 4), "x": (1, 8, 8, 8)}
    assert all(node.core or any("costs nothing" in why for why in node.reasons) for node in found.nodes)


def test_all_inputs_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(network(NO_CLASSIFIERS["two inputs"][0]), tmp_path / "net.onnx")
    found = inspect_network(tmp_path / "net.onnx", "gap9")
    assert found.inputs == {"x": (1, 4, 8, 8), "z": (1, 8)}
    assert {m.name for m in found.mounts} >= {"input", "input_1", "add_0"}
    show_network.inspection(console(), found)
    assert "net.onnx: inputs x 1x4x8x8, z 1x8, with weights" in capsys.readouterr().out


def test_json_holds_everything(found: Inspection) -> None:
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["schema_version"] == 1
    assert {"nodes", "mounts", "exits", "absorbed", "declined", "notes"} <= document.keys()


def test_unknown_target_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'diana'"):
        inspect_network(write_skip_net(tmp_path / "net.onnx"), "dianna")
