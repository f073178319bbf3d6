"""A design as text, and what it asks of numbers."""

from __future__ import annotations

from dataclasses import replace

from eecompile.pruning.goal import PruningGoal
from eecompile.quantization.layer_schemes import weighted_layers
from eecompile.quantization.wishes import SchemeWish
from eecompile.search.backbones.family import mounts_of_blocks
from eecompile.search.backbones.final_head import add_final_heads
from eecompile.search.space.bits import BitsByPart
from eecompile.search.space.design import Design
from passes.exits.insert_exits import InsertExits
from passes.heads.designs import parse_head
from passes.option_text import parse_list
from targets.contract.registry import load_target
from tests.eecompile.search.backbones.networks import backbone

DESIGN = Design("resnet8", {"width": 8}, "resnet8{width=8}", 4, None, "analog", PruningGoal("cycles", 0.15))


def test_text_says_all_and_differs_with_each() -> None:
    (read,) = parse_list(DESIGN.text, "design")
    assert {key: value for key, (value,) in read.options.items()} == {
        "backbone": "resnet8{width=8}", "bits": "4", "head_bits": "usual", "placement": "analog",
        "prune": "cycles=-15%",
    }  # fmt: skip
    others = [
        replace(DESIGN, backbone="resnet8{width=4}"), replace(DESIGN, backbone_bits=None),
        replace(DESIGN, head_bits=4), replace(DESIGN, placement="auto"), replace(DESIGN, goal=None),
    ]  # fmt: skip
    assert len({DESIGN.text, *(other.text for other in others)}) == 6


def test_usual_bits_ask_for_nothing() -> None:
    graph = backbone("resnet8")
    assert DESIGN.wish(graph) == SchemeWish("analog", {"backbone": 4})
    assert not replace(DESIGN, backbone_bits=None, placement="auto").wish(graph)


def test_bits_of_parts_and_of_heads() -> None:
    design = replace(DESIGN, backbone_bits=BitsByPart((("stage_2", 4), ("stem", 2))), head_bits=2)
    wish = design.wish(backbone("resnet8"))
    layers = {f"stage_2.block_0.{name}": 4 for name in ("conv_1", "conv_2", "shortcut")}
    assert wish == SchemeWish("analog", {**layers, "stem": 2, "head": 2})
    assert "bits=stage_2:4/stem:2," in design.text


def test_final_heads_have_the_bits_of_the_backbone() -> None:
    finals = (None, parse_head("mlp"))
    graph, target = backbone("resnet8"), load_target("gap9")
    InsertExits(mounts_of_blocks(graph)[:1], "linear")(graph)
    add_final_heads(graph, finals)
    design = replace(DESIGN, backbone_bits=8, head_bits=4, placement="auto")

    def found(design: Design) -> dict[str, int]:
        layers = weighted_layers(graph, target)
        usual = {layer.name: layer.options[0].scheme for layer in layers}
        schemes = design.wish(graph, finals).of_part(layers).schemes(layers, usual, target)
        return {node: schemes[layer.name].weights.bits for layer in layers for node in layer.nodes}

    bits = found(design)
    assert bits["exit_0/gemm"] == 4 and {
        bits[name] for name in ("exit_1/gemm", "exit_1/gemm_1", "classifier")
    } == {8}
    bits = found(replace(design, backbone_bits=4, head_bits=8))
    assert bits["exit_0/gemm"] == 8 and {
        bits[name] for name in ("exit_1/gemm", "exit_1/gemm_1", "classifier")
    } == {4}


def test_layers_of_a_target_get_the_bits_of_their_part() -> None:
    graph, target = backbone("resnet8"), load_target("gap9")
    design = replace(DESIGN, backbone_bits=BitsByPart((("stage_2", 4),)), placement="auto")
    wish = design.wish(graph)
    layers = weighted_layers(graph, target)
    schemes = wish.schemes(layers, {layer.name: layer.options[0].scheme for layer in layers}, target)
    found = {node: schemes[layer.name].weights.bits for layer in layers for node in layer.nodes}
    assert {node for node, bits in found.items() if bits == 4 and "conv" in node} == {
        "stage_2.block_0.conv_1", "stage_2.block_0.conv_2",
    }  # fmt: skip
    assert set(found.values()) == {4, 8}
