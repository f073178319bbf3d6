"""The size of a space, against counting one network after the other."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from eecompile.search.space import size
from eecompile.search.space.reading import read_space
from passes.errors import InputError
from tests.eecompile.search.space.files import EXAMPLES, space_of
from tests.eecompile.small_models import write_skip_net

IMAGE = (1, 3, 16, 16)


def test_the_space_of_the_paper_has_118098_networks() -> None:
    found = size.size_of(read_space(EXAMPLES / "search_paper.toml"), (1, 3, 32, 32), 10)
    assert (found.designs, found.exits, found.mounts, found.networks) == (1, 118_098, 10, 118_098)
    assert found.words == (
        "1 design to train x 118,098 choices of exits and heads on 10 mounts: 118,098 networks, "
        "thresholds apart"
    )


@pytest.mark.parametrize("thresholds", ["individual", "global"])
@pytest.mark.parametrize("at_most", [None, 0, 1, 2])
def test_counted_one_by_one(at_most: int | None, thresholds: str, tmp_path: Path) -> None:
    limited = "" if at_most is None else f"at_most = {at_most}\n"
    exits = 'heads = ["linear", "conv", "mlp"]\nconfidence = ["margin", "entropy"]\n' if at_most != 0 else ""
    text = (
        f'[exits]\n{limited}{exits}thresholds = "{thresholds}"\n' if at_most != 0 else f"[exits]\n{limited}"
    )
    before = '[backbone]\nfamily = "resnet"\nwidth = [4, 8]\nblocks = 1\nstages = [2, 3]\n'
    space = space_of(
        tmp_path, text + '[mapping]\npoints = ["a", "b"]\n[precision]\nheads = "usual"\n', before
    )
    networks = 0
    for mounts in (1, 2):
        rules = ["all"] if thresholds == "individual" else ["margin", "entropy"]
        options = [None, *itertools.product(("linear", "conv", "mlp"), ("margin", "entropy"))]
        if thresholds == "global":
            options = [None, "linear", "conv", "mlp"]  # type: ignore[list-item]
        for rule, chosen in itertools.product(rules, itertools.product(options, repeat=mounts)):
            count = sum(item is not None for item in chosen)
            no_rule = count == 0 and rule != rules[0]
            networks += count <= (mounts if at_most is None else at_most) and not no_rule
    assert size.size_of(space, IMAGE, 5).networks == networks * 2 * 2


@pytest.mark.parametrize("at_most", [None, 2])
def test_heads_that_read_the_exit_before_are_not_for_the_first(at_most: int | None, tmp_path: Path) -> None:
    limited = "" if at_most is None else f"at_most = {at_most}\n"
    heads = ("linear", "linear{reuse=logits}", "mlp{reuse=features}")
    text = f"[exits]\n{limited}heads = {list(heads)}\nconfidence = ['margin', 'patience']\n"
    space = space_of(tmp_path, text, '[backbone]\nfamily = "resnet"\nwidth = 4\nblocks = 2\nstages = 2\n')
    networks = 0
    for chosen in itertools.product([None, *itertools.product(heads, ("margin", "patience"))], repeat=3):
        kept = [item[0] for item in chosen if item is not None]
        networks += (not kept or kept[0] == "linear") and len(kept) <= (at_most or 3)
    assert size.size_of(space, IMAGE, 5).networks == networks


def test_too_many_heads_that_read_each_other_are_refused(tmp_path: Path) -> None:
    """One plain head and one that reads: 2^9 - 1 chains over nine mounts, 129 of three exits at most."""
    heads = "heads = ['linear', 'linear{reuse=logits}']\n"
    before = '[backbone]\nfamily = "resnet"\nwidth = 4\nblocks = 5\nstages = 2\n'
    with pytest.raises(InputError, match=r"exits.heads: .* 511 heads on 9 mounts, and 150 at most") as error:
        size.size_of(space_of(tmp_path, f"[exits]\n{heads}", before), IMAGE, 5)
    assert error.value.hint.startswith(
        "say `at_most` = 3, which makes 129; name fewer `mounts`, or fewer `heads`"
    )
    fewer = size.size_of(space_of(tmp_path, f"[exits]\nat_most = 3\n{heads}", before), IMAGE, 5)
    assert fewer.networks == 1 + 9 + 36 * 2 + 84 * 4


def test_what_is_too_much_to_count_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = '[backbone]\nfamily = "resnet"\nwidth = 4\nblocks = [1, 2]\nstages = [2, 3]\n'
    space = space_of(tmp_path, "", before)
    counted = size.size_of(space, IMAGE, 5)
    monkeypatch.setattr(size, "COUNTED", 3)
    bounded = size.size_of(space, IMAGE, 5)
    assert counted.exact and counted.networks == 3 + 9 + 27 + 243
    assert not bounded.exact and bounded.networks == 4 * 243 and "at most" in bounded.words
    assert counted.words == (
        "4 designs to train x up to 243 choices of exits and heads on 5 mounts: 282 networks, "
        "thresholds apart"
    )


def test_pruning_of_a_network_of_the_user_is_counted(tmp_path: Path) -> None:
    write_skip_net(tmp_path / "mine.onnx")
    text = '[pruning]\ngoal = ["none", "cycles=-20%"]\n[exits]\nheads = "linear"\n'
    found = size.size_of(space_of(tmp_path, text, '[backbone]\nfile = "mine.onnx"\n'), IMAGE, 4)
    assert (found.designs, found.exits, found.networks) == (2, 4, 8)


@pytest.mark.parametrize(
    ("mounts", "message"),
    [
        ("3", r"exits.mounts: 3 mounts asked for, and no backbone has more than 2: stage_0.block_0, stage_1"),
        ("[0, 2]", r"exits.mounts\[1\]: no backbone has a mount index 2"),
        ('["stage_0.block_0", "stage_9"]', r"exits.mounts\[1\]: no backbone has a mount 'stage_9'"),
        ('["stage_0.block_0.conv_1"]', r"exits.mounts\[0\]: no backbone has a mount"),
    ],
)
def test_mounts_that_no_backbone_has(mounts: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        size.size_of(space_of(tmp_path, f"[exits]\nmounts = {mounts}\n"), IMAGE, 5)


def test_a_wrong_mount_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        size.size_of(space_of(tmp_path, '[exits]\nmounts = ["first"]\n'), IMAGE, 5)
    assert error.value.hint == "the largest has: stage_0.block_0, stage_1.block_0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[exits]\nheads = ["linear", "feature"]', r"exits.heads\[1\]: head 'feature' reads features with 0"),
        (
            '[exits]\nfinal_heads = ["own", "feature"]',
            r"exits.final_heads\[1\]: head 'feature' reads no features",
        ),
        ("[precision]\nbackbone = [8, {stage_3 = 4, stem = 8}]", "no backbone has a layer or part 'stage_3'"),
    ],
)
def test_what_is_in_no_network(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        size.size_of(space_of(tmp_path, text), IMAGE, 5)


def test_a_space_without_any_place_for_an_exit(tmp_path: Path) -> None:
    before = '[backbone]\nfamily = "resnet"\nblocks = 1\nstages = 1\n'
    with pytest.raises(InputError, match="no backbone of this space has a place for an exit"):
        size.size_of(space_of(tmp_path, "", before), IMAGE, 5)
    assert size.size_of(space_of(tmp_path, "[exits]\nat_most = 0\n", before), IMAGE, 5).networks == 1
