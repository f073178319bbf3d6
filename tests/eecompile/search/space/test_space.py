"""Genes to designs, designs to graphs, and where exits go."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.search.backbones.registry import backbone_family
from eecompile.search.space.reading import read_space
from passes.errors import InputError
from targets.contract.registry import load_target
from tests.eecompile.search.backbones.networks import counts
from tests.eecompile.search.space.files import EXAMPLES, space_of
from tests.eecompile.small_models import write_skip_net

TWO = """[backbone]
family = ["resnet", "ds_cnn"]
[backbone.resnet]
width = [4, 8]
blocks = [1, 2]
[precision]
backbone = ["usual", 4]
[pruning]
goal = ["none", "cycles=-30%", "cycles=-15%"]
"""
IMAGE = (1, 3, 16, 16)


def test_genes_are_named_by_their_path(tmp_path: Path) -> None:
    one, two = space_of(tmp_path, "").genes, space_of(tmp_path, "", TWO).genes
    assert [gene.name for gene in one] == [
        "backbone.width", "backbone.blocks", "backbone.stages", "backbone.kernel",
        "precision.backbone", "precision.heads", "precision.placement", "pruning.goal",
    ]  # fmt: skip
    by_name = {gene.name: gene for gene in two}
    assert by_name["backbone.family"].choices == ("resnet", "ds_cnn")
    assert (by_name["backbone.resnet.width"].of, by_name["backbone.resnet.width"].ordered) == ("resnet", True)
    assert by_name["precision.backbone"].choices == ("usual", "4")


def test_designs_of_values(tmp_path: Path) -> None:
    space = space_of(tmp_path, "", TWO)
    values: dict[str, int | str] = {
        "backbone.family": "resnet", "backbone.resnet.width": 8, "backbone.resnet.blocks": 2,
        "precision.backbone": "4", "pruning.goal": "cycles=-30%",
    }  # fmt: skip
    design = space.design(values)
    assert design.text == (
        "design{backbone=resnet{width=8,blocks=2,stages=3,kernel=3},bits=4,head_bits=usual,placement=auto,"
        'prune="cycles=-30%"}'
    )
    other = space.design(values | {"backbone.family": "ds_cnn"})
    assert other.family == "ds_cnn" and other.genes == {"channels": 64, "blocks": 4, "kernel": 3}
    assert space.graph(design, IMAGE, 5).nodes[0].inputs[1].shape == (8, 3, 3, 3)
    assert space.designs == (2 * 2 + 1) * 2 * 3 and hash(design) != hash(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone.width": 5}, "gene 'backbone.width' cannot be 5"),
        ({"backbone.widht": 4}, "has no gene 'backbone.widht'"),
        ({"backbone.width": None}, "no value for gene 'backbone.width'"),
    ],
)
def test_values_that_make_no_design(change: dict[str, int | None], message: str, tmp_path: Path) -> None:
    values = {"backbone.width": 4, "backbone.blocks": 1} | change
    with pytest.raises(InputError, match=message):
        space_of(tmp_path, "").design({key: value for key, value in values.items() if value is not None})


def test_corners_are_the_least_and_the_most(tmp_path: Path) -> None:
    corners = space_of(tmp_path, "", TWO).corners()
    assert list(corners) == ["smallest resnet", "largest resnet", "smallest ds_cnn", "largest ds_cnn"]
    least, most = corners["smallest resnet"], corners["largest resnet"]
    assert least.genes == {"width": 4, "blocks": 1, "stages": 3, "kernel": 3}
    assert (least.backbone_bits, str(least.goal)) == (4, "cycles=-30%")
    assert (most.genes["width"], most.genes["blocks"], most.backbone_bits, most.goal) == (8, 2, None, None)
    assert list(space_of(tmp_path, "", '[backbone]\nfamily = "ds_cnn"\n').corners()) == ["ds_cnn"]
    strides = '[backbone]\nfamily = "mobilenet_v1"\nstem_stride = [1, 2]\n'
    falling = [corner.genes["stem_stride"] for corner in space_of(tmp_path, "", strides).corners().values()]
    assert falling == [2, 1], "a larger stride costs less"


@pytest.mark.parametrize("name", ["ds_cnn", "mobilenet_v1", "mobilenet_v2", "resnet", "resnet8"])
def test_larger_values_of_genes_cost_no_less(name: str) -> None:
    family = backbone_family(name)
    for gene in family.genes:
        values = [v for v in (gene.low, gene.default, gene.high) if not gene.values or v in gene.values]
        if gene.name == "width":
            values[-1] = min(values[-1], 2 * gene.default)
        costs = [counts(family.graph((1, 3, 32, 32), 10, {gene.name: value})) for value in values]
        macs = [found for found, _ in costs]
        assert macs == sorted(macs, reverse=gene.falls) and len(set(macs)) > 1, gene.name


@pytest.mark.parametrize(
    ("mounts", "at_widest", "at_narrowest"),
    [
        ('"all"', ["0.0", "0.1", "1.0", "1.1", "2.0"], ["0.0", "1.0"]),
        ("[0, 3]", ["0.0", "1.1"], ["0.0"]),
        ('["stage_1.block_1", "stage_0.block_0"]', ["0.0", "1.1"], ["0.0"]),
        ('["relu_0"]', ["stem"], ["stem"]),
        ("2", ["0.0", "1.0"], ["0.0", "1.0"]),
    ],
)
def test_mounts(mounts: str, at_widest: list[str], at_narrowest: list[str], tmp_path: Path) -> None:
    before = '[backbone]\nfamily = "resnet"\nwidth = 4\nblocks = [1, 2]\n'
    space = space_of(tmp_path, f"[exits]\nmounts = {mounts}\n", before)
    for design, expected in zip(space.corners().values(), (at_narrowest, at_widest), strict=True):
        found = space.mounts(space.graph(design, IMAGE, 5))
        short = [
            name.removeprefix("stage_").replace("block_", "").removesuffix(".relu.out") for name in found
        ]
        assert short == expected


def test_heads_that_do_not_read_a_mount_are_left_away(tmp_path: Path) -> None:
    space = space_of(tmp_path, '[exits]\nheads = ["feature", "linear"]\n')
    assert [head.name for head in space.heads_on((8, 4, 4), 10)] == ["linear"]
    with pytest.raises(InputError, match=r"exits\.heads: head 'feature' reads no features"):
        space_of(tmp_path, '[exits]\nheads = ["feature"]\n').heads_on((8, 4, 4), 10)


def test_a_network_of_the_user_wants_its_own_images(tmp_path: Path) -> None:
    write_skip_net(tmp_path / "mine.onnx")
    space = space_of(tmp_path, "", '[backbone]\nfile = "mine.onnx"\n')
    design = space.design({})
    assert design.family == "file" and len(space.mounts(space.graph(design, IMAGE, 4))) == 2
    with pytest.raises(InputError, match=r"backbone\.file: .* reads"):
        space.graph(design, (1, 1, 16, 16), 4)


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("[mapping]\npoints = ['fast', 'warp']", "gap9", r"mapping.points\[0\]"),
        (
            "[mapping]\npoints = ['0.8V', '0.65V']\n[constraints]\nmax_latency_cycles = 5",
            "gap9",
            "constraints.max_latency_cycles: a cycle takes another time",
        ),
        (
            "[constraints]\nmax_worst_latency_s = 1",
            "edge_tpu_quad",
            "constraints.max_worst_latency_s: no clock is known",
        ),
        ("[precision]\nbackbone = 5", "diana", "precision.backbone: no core of .* weights of 5 bits"),
        (
            "[precision]\nbackbone = {stem = 5}",
            "diana",
            "precision.backbone: no core of .* weights of 5 bits",
        ),
        (
            "[precision]\nplacement = ['auto', 'analog']",
            "gap9",
            "precision.placement: .* has no analog array",
        ),
    ],
)
def test_what_a_target_does_not_have(text: str, target: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        space_of(tmp_path, text).check_on(load_target(target))


def test_examples_suit_the_targets_they_name() -> None:
    for path in sorted(EXAMPLES.glob("search_*.toml")):
        words = path.read_text().split()
        target = words[words.index("--target") + 1] if "--target" in words else "edge_tpu_quad"
        read_space(path).check_on(load_target(target))
