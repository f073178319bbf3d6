"""Which designs share the weights of which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.search.worth.shared import SharedFamily
from passes.state import state_of
from tests.eecompile.search.space.files import space_of

SEVERAL = """
[backbone]
family = ["resnet", "mobilenet_v1"]
[backbone.resnet]
width = [4, 2]
blocks = [1, 2]
[precision]
backbone = [4, 8]
"""


def test_the_largest_holds_all_others(tmp_path: Path) -> None:
    space = space_of(tmp_path, "", SEVERAL)
    (resnet, other) = space.families
    family = SharedFamily(space, resnet, lambda design: space.graph(design, (1, 3, 8, 8), 4))
    assert (family.smallest, family.largest) == ((2, 1, 3, 3), (4, 2, 3, 3))
    rng = np.random.default_rng(0)
    assert len({family.draw(rng) for _ in range(100)}) == 4
    graph = family.build(family.largest)
    assert not state_of(graph).symbolic and graph.tensors()["stem.weight"].values.shape == (4, 3, 3, 3)
    assert state_of(family.absent(family.largest)).symbolic
    assert SharedFamily(space, other, family.network).choices["stem_stride"] == (2,)


def test_of_a_gene_that_falls_the_smallest_value_costs_most(tmp_path: Path) -> None:
    space = space_of(tmp_path, "", '[backbone]\nfamily = "mobilenet_v1"\nstem_stride = [1, 2]\n')
    family = SharedFamily(space, space.families[0], lambda design: space.graph(design, (1, 3, 8, 8), 4))
    assert family.largest[-1] == 1 and family.smallest[-1] == 2
