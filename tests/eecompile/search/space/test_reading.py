"""The file of a space: each wrong value is told with its path and what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnx
import pytest

from eecompile.search.backbones.family import mounts_of_blocks
from eecompile.search.backbones.registry import BUILTIN, backbone_family
from eecompile.search.space.reading import TABLES, read_space
from passes.errors import InputError
from tests.eecompile.search.space.files import EXAMPLES, SMALL, space_of
from tests.passes.small_nets import chain

ALONE = '[backbone]\nfamily = "resnet"\n'


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("exits = 3", "exits: expected a table of keys with values, not 3", "[exits]"),
        ("[exist]", "exist: unknown table", "'exits'"),
        ("[exits]\nhead = ['linear']", "exits.head: unknown key", "'heads'"),
        ("[exits]\nheads = []", "exits.heads: is empty", "one value or more"),
        (
            "[exits]\nheads = ['linear', 'conv', 'linaer']",
            "exits.heads[2]: unknown head 'linaer'",
            "'linear'",
        ),
        (
            "[exits]\nheads = ['conv{kernel=4}']",
            "exits.heads[0]: head 'conv': gene 'kernel' cannot be '4'",
            "3, 5",
        ),
        ("[exits]\nheads = ['linear', 'linear']", "exits.heads: 'linear' is there twice", "once"),
        ("[exits]\nheads = ['auto']", "exits.heads[0]: 'auto' is not one head", "families"),
        (
            "[exits]\nheads = 'linear{reuse=logits}'",
            "exits: no head is for the first exit: 'linear{reuse=logits}' reads the exit before it",
            "add one without `reuse` to `heads`: 'linear'",
        ),
        (
            "[exits]\nat_most = 1\nheads = ['linear', 'conv{reuse=features}']",
            "exits: head 'conv{reuse=features}' reads the exit before it, and with at_most = 1 there is none",
            "at_most = 2",
        ),
        (
            "[exits]\nfinal_heads = ['own', 'linear{reuse=logits}']",
            "exits.final_heads[1]: head 'linear{reuse=logits}' reads the exit before it",
            "reuse",
        ),
        (
            "[exits]\nheads = [{family = 'conf'}]",
            "exits.heads[0]: `family` of a head cannot be 'conf'",
            "'conv'",
        ),
        ("[exits]\nheads = [{kernel = 3}]", "exits.heads[0]: `family` of a head is missing", "conv"),
        (
            "[exits]\nheads = [{family = 'conv', kernel = [3, 7]}]",
            "exits.heads[0]: head 'conv': gene",
            "3, 5",
        ),
        (
            "[exits]\nheads = [{family = 'conv', kernel = []}]",
            "exits.heads[0]: `kernel` is empty",
            "one value",
        ),
        (
            "[constraints]\nmax_edp_js = 1\nmax_edp_j_cycles = 1",
            "constraints.max_edp_js: max_edp_j_cycles bounds the same",
            "one of the two",
        ),
        ("[exits]\nmounts = 'some'", "exits.mounts: cannot be 'some'", "all"),
        ("[exits]\nmounts = 0", "exits.mounts: cannot be 0", "at_most = 0"),
        ("[exits]\nmounts = [1, -1]", "exits.mounts: -1 is no index", "from 0"),
        ("[exits]\nmounts = [1, 1]", "exits.mounts: '1' is there twice", "once"),
        ("[exits]\nat_most = -1", "exits.at_most: must be at least 0, not -1", ""),
        (
            "[exits]\nat_most = 0\nheads = 'linear'",
            "exits: without exits (at_most = 0) `heads` would",
            "leave",
        ),
        ("[exits]\nconfidence = 'sure'", "exits.confidence: unknown confidence rule 'sure'", "known"),
        ("[exits]\nthresholds = 'one'", "exits.thresholds: cannot be 'one'", "global"),
        ("[precision]\nbackbone = [8, 16]", "precision.backbone[1]: cannot be 16", "2 to 8"),
        ("[precision]\nbackbone = {stem = 9}", "precision.backbone: 'stem' cannot be 9", "2 to 8"),
        (
            "[precision]\nbackbone = [8, {stem = 'usual'}]",
            "precision.backbone[1]: 'stem' has the usual",
            "leave",
        ),
        ("[precision]\nbackbone = [8, {}]", "precision.backbone[1]: says nothing", "stem = 8"),
        ("[precision]\nheads = {stem = 8}", "precision.heads: cannot be a table", "2 to 8"),
        ("[precision]\nheads = '8'", "precision.heads: cannot be '8'", "usual"),
        ("[precision]\nplacement = ['auto', 'mixed']", "precision.placement[1]: cannot be 'mixed'", "auto"),
        ("[pruning]\ngoal = ['none', 'cycles=30%']", "pruning.goal[1]: cannot be 'cycles=30%'", "-30%"),
        (
            "[pruning]\ngoal = ['cycles=-15%', 'cycles=-15.0%']",
            "pruning.goal: 'cycles=-15%' is there twice",
            "once",
        ),
        ("[objectives]\nfront = 'edp'", "objectives.front: has 1 entry, and at least 2", ""),
        (
            "[objectives]\nfront = ['accuracy', 'edpp']",
            "objectives.front[1]: unknown objective 'edpp'",
            "'edp'",
        ),
        ("[objectives]\nfront = ['edp', 'memory']", "objectives.front: without accuracy", "max_drop"),
        (
            "[constraints]\nmax_final_ratio = 2",
            "constraints.max_final_ratio: must be at most 1, not 2",
            "0.5 for",
        ),
        ("[constraints]\nmin_accuracy = -1", "constraints.min_accuracy: must be at least 0, not -1", ""),
        (
            "[constraints]\nmin_accuracy = 95",
            "constraints.min_accuracy: must be at most 1, not 95",
            "fraction",
        ),
        ("[constraints]\nmax_macs = nan", "constraints.max_macs: expected a finite number", ""),
        ("[constraints]\nmax_drop = true", "constraints.max_drop: expected a number, not true", ""),
        (
            "[constraints]\nmax_final_ratio = 0.5\n[exits]\nat_most = 0",
            "constraints.max_final_ratio: without",
            "exits",
        ),
        ("[precision]\nheads = 8\n[exits]\nat_most = 0", "precision.heads: without exits", "leave it away"),
        ("[training]\nepochs = '8'", "training.epochs: expected a whole number, not '8'", ""),
        ("[training]\nrungs = [4, 2]\nepochs = 8", "training: `rungs` must rise", "[2, 4]"),
        (
            "[training]\nrungs = [2, 4]\nepochs = 4",
            "training: the last of `rungs` (4) is not less",
            "epochs = 8",
        ),
        (
            "[training]\nrungs = [2, 4]",
            "training: the last of `rungs` (4) is not less than `epochs` (absent)",
            "",
        ),
        (
            "[training]\nrungs = [2]\nepochs = 4\nshare = true",
            "training: with `share` no design is trained by itself before it is a finalist",
            "leave `rungs` away",
        ),
        (
            "[training]\ninherit = true\nshare = true",
            "training: with `share` all designs have their weights from one network",
            "leave `inherit` away",
        ),
        ("[training]\nrungs = [0, 4]", "training.rungs[0]: cannot be 0", "1 at least"),
        (
            "[training]\nkeep = 0.5",
            "training: without `rungs` `keep` would change nothing",
            "leave `keep` away",
        ),
        (
            "[training]\nquantize = 'ptq'\nqat_epochs = 3",
            'training: with quantize = "ptq" `qat_epochs`',
            "leave",
        ),
        ("[sampler]\nname = 'tpe'\npopulation = 9", 'sampler: with name = "tpe" `population` would', "leave"),
        ("[sampler]\nname = 'nsga'", "sampler.name: cannot be 'nsga'", "'nsga2'"),
    ],
)
def test_wrong_values(text: str, message: str, hint: str, tmp_path: Path) -> None:
    # keys of the root stand before all tables
    with pytest.raises(InputError) as error:
        space_of(tmp_path, *(("", f"{text}\n{SMALL}") if text[0] != "[" else (text, SMALL)))
    assert error.value.message.removeprefix(f"{tmp_path / 'space.toml'}: ").startswith(message)
    assert hint in error.value.hint


def test_siblings_are_needed_to_inherit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.inherit: there are no siblings"):
        space_of(tmp_path, "[training]\ninherit = true", ALONE)
    assert space_of(tmp_path, "[training]\ninherit = true").training.inherit


@pytest.mark.parametrize(
    ("before", "text", "message"),
    [
        (ALONE, "", "there are no siblings"),
        (SMALL, '[pruning]\ngoal = ["none", "cycles=-10%"]', "what pruning takes is chosen for each"),
        ('[backbone]\nfamily = "resnet"\nstages = [2, 3]\n', "", "'resnet' that differ in `stages` cannot"),
        ('[backbone]\nfamily = "mobilenet_v1"\nstem_stride = [1, 2]\n', "", "differ in `stem_stride`"),
        (
            SMALL.replace("= 1", "= [1, 2]"),
            '[exits]\nfinal_heads = ["own", "linear"]',
            "several final heads are on the last block, which is another one",
        ),
        (SMALL, '[exits]\nheads = ["linear", "linear{reuse=logits}"]', "weights of its own for each exit"),
        (SMALL, "[exits]\nmounts = 1", "mounts by number are others in each design"),
        (SMALL.replace("= 1", "= [1, 2]"), "[exits]\nmounts = [1]", "mounts by number are others"),
    ],
)
def test_what_cannot_share_weights(before: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.share: ") as error:
        space_of(tmp_path, f"{text}\n[training]\nshare = true", before)
    assert message in error.value.message


def test_a_network_of_your_own_shares_with_nobody(tmp_path: Path) -> None:
    onnx.save(chain(3, 3), tmp_path / "own.onnx")
    with pytest.raises(InputError, match=r"training\.share: a network of your own has no siblings"):
        space_of(tmp_path, "[training]\nshare = true", '[backbone]\nfile = "own.onnx"\n')


def test_designs_may_share_weights(tmp_path: Path) -> None:
    several = (
        '[backbone]\nfamily = ["resnet", "mobilenet_v2"]\n[backbone.mobilenet_v2]\nkernel_late = [3, 7]\n'
    )
    for before, text in (
        (SMALL, ""), (several, ""), (SMALL, '[exits]\nfinal_heads = ["own", "linear"]'),
        (SMALL, "[exits]\nmounts = [0]"),
        (SMALL.replace("= 1", "= [1, 2]"), '[exits]\nmounts = ["stage_0.block_0"]'),
    ):  # fmt: skip
        assert space_of(tmp_path, f"{text}\n[training]\nshare = true", before).training.share


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[backbone\n", "is not TOML"), (b"\xff", "cannot be read"), (b"[exits]\n", "backbone: is missing"),
        (None, "there is no file"),
    ],
)  # fmt: skip
def test_what_is_no_space(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_space(path)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("search_*.toml")), ids=lambda path: path.stem)
def test_examples_are_read(path: Path) -> None:
    assert read_space(path).where == path.name


def test_the_page_has_every_key_and_gene() -> None:
    page = (EXAMPLES.parent / "docs" / "search.md").read_text(encoding="utf-8")
    keys = [f"`{key}`" for table in TABLES.values() for key in table.model_fields]
    assert len(keys) > 30 and [key for key in keys if key not in page] == []
    for name in BUILTIN:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert [gene.name for gene in backbone_family(name).genes if f"`{gene.name}`" not in row] in (
            [],
            ["depth_2", "depth_3", "depth_4"],
        )
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    made: dict[str, Any] = {}
    exec(code, made)  # what the page shows of families of others
    assert mounts_of_blocks(made["PLAIN"].graph((1, 3, 16, 16), 4, {"width": 8})) == ("block_0", "block_1")
