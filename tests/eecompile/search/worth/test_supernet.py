from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.cache.bundle import bytes_of_graph, graph_of_bytes
from eecompile.cache.content import network_hash
from eecompile.search.worth.evaluation import DesignEvaluation
from eecompile.search.worth.sibling import Sibling
from eecompile.search.worth.supernet import Reach
from passes.errors import InputError
from passes.state import state_of
from tests.eecompile.search.small import GENES, SPACE, question

RUNGS = SPACE.replace("epochs = 3\n", "epochs = 3\nrungs = [1]\n")


def test_all_heads_are_on_all_mounts(tmp_path: Path) -> None:
    evaluation = DesignEvaluation(question(tmp_path))
    graph = evaluation.supernets.untrained(evaluation.space.design(GENES))
    exits = state_of(graph).exits
    assert [item.head.name for item in exits[:-1] if item.head] == ["linear", "mlp"]
    assert len({item.mount for item in exits[:-1]}) == 1 and exits[-1].name == "final"


def test_a_supernet_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    evaluation = DesignEvaluation(question(tmp_path), told.append)
    design = evaluation.space.design(GENES)
    first = evaluation.supernets.trained(design, Reach(0))
    again = DesignEvaluation(question(tmp_path))
    monkeypatch.setattr(type(again.supernets), "_train", lambda *_: pytest.fail("it is there"))
    assert network_hash(again.supernets.trained(design, Reach(0))) == network_hash(first)
    assert any("epoch 3 of 3" in line for line in told)
    assert not (tmp_path / "cache" / "training").exists() or not any(
        (tmp_path / "cache" / "training").iterdir()
    )


def test_a_key_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supernets = DesignEvaluation(question(tmp_path)).supernets
    space = DesignEvaluation(question(tmp_path)).space
    small, large = (space.design({**GENES, "backbone.width": width}) for width in (2, 4))
    found = [supernets.key(design, Reach(0)) for design in (small, large)]
    assert found[0] != found[1]
    monkeypatch.setattr(type(supernets), "untrained", lambda *_: pytest.fail("it was built before"))
    assert [supernets.key(design, Reach(0)) for design in (small, large)] == found


def test_rungs_add_epochs(tmp_path: Path) -> None:
    told: list[str] = []
    evaluation = DesignEvaluation(question(tmp_path, RUNGS), told.append)
    assert evaluation.supernets.epochs == (1, 2)
    design = evaluation.space.design(GENES)
    low, high = (evaluation.supernets.trained(design, Reach(rung)) for rung in (0, 1))
    assert network_hash(low) != network_hash(high)
    assert [line.partition(",")[0] for line in told] == [
        "training: epoch 1 of 1", "training: epoch 1 of 2", "training: epoch 2 of 2",
    ]  # fmt: skip


def test_what_it_depends_on_makes_another_one(tmp_path: Path) -> None:
    def digest(space: str = SPACE, width: int = 4, seed: int = 0) -> str:
        asked = dataclasses.replace(question(tmp_path, space), seed=seed)
        evaluation = DesignEvaluation(asked)
        design = evaluation.space.design({**GENES, "backbone.width": width})
        return evaluation.supernets.key(design, Reach(0)).digest

    others = [
        digest(width=2),
        digest(seed=1),
        digest(SPACE.replace("epochs = 3", "epochs = 4")),
        digest(SPACE.replace('"mlp"', '"conv"')),
        digest(RUNGS),
    ]
    assert len({digest(), *others}) == 6
    assert digest(SPACE.replace("finalists = 2", "finalists = 3")) == digest()


def test_a_design_may_start_from_a_sibling(tmp_path: Path) -> None:
    told: list[str] = []
    evaluation = DesignEvaluation(question(tmp_path), told.append)
    small, large = (evaluation.space.design({**GENES, "backbone.width": width}) for width in (2, 4))
    evaluation.supernets.trained(small, Reach(0))
    digest = evaluation.supernets.key(small, Reach(0)).digest
    told.clear()
    inherited = evaluation.supernets.trained(large, Reach(0, digest))
    after = told[0]
    told.clear()
    fresh = evaluation.supernets.trained(large, Reach(0))
    assert network_hash(inherited) != network_hash(fresh)

    def loss(line: str) -> float:
        return float(line.partition("loss ")[2].partition(",")[0])

    assert loss(after) < loss(told[0]), "it goes on from where its sibling was"
    evaluation.cache.shrink(0)
    with pytest.raises(InputError, match="not in the cache any more"):
        evaluation.supernets.trained(large, Reach(0, digest))


def test_a_sibling_that_left_the_cache_is_trained_again(tmp_path: Path) -> None:
    """Of a chain of three the first two are gone: what comes out is the same, bit for bit."""
    told: list[str] = []
    space = SPACE.replace("epochs = 3", "epochs = 1").replace("[2, 4]", "[2, 3, 4]")
    evaluation = DesignEvaluation(question(tmp_path, space), told.append)
    nets, start, made = evaluation.supernets, "", {}
    for width in (2, 3, 4):
        params = {**GENES, "backbone.width": width}
        design, reach = evaluation.space.design(params), Reach(0, start)
        made[width] = bytes_of_graph(nets.trained(design, reach))
        last = reach
        start = Sibling(nets.key(design, reach).digest, params, 0, start).text
    evaluation.cache.shrink(0)
    told.clear()
    fresh = DesignEvaluation(question(tmp_path, space), told.append)
    design = fresh.space.design({**GENES, "backbone.width": 4})
    assert bytes_of_graph(fresh.supernets.trained(design, last)) == made[4]
    assert sum("it is trained again" in line for line in told) == 2
    told.clear()
    middle = fresh.space.design({**GENES, "backbone.width": 3})
    again = fresh.supernets.trained(middle, Reach(0, Sibling.of(last.start).start))
    assert bytes_of_graph(again) == made[3] and not told, "it is in the cache again"
    fresh.cache.shrink(0)
    params = {**GENES, "backbone.width": 2}
    other = Sibling(Sibling.of(last.start).digest, params).text
    with pytest.raises(InputError, match="and would come out otherwise"):
        fresh.supernets.trained(design, Reach(0, other))


SHARED = SPACE.replace("epochs = 3\n", "epochs = 3\nshare = true\n", 1)


def test_shared_weights_are_trained_once_for_all_designs(tmp_path: Path) -> None:
    told: list[str] = []
    evaluation = DesignEvaluation(question(tmp_path, SHARED), told.append)
    small, large = (evaluation.space.design({**GENES, "backbone.width": width}) for width in (2, 4))
    networks = [evaluation.supernets.trained(design, Reach(0)) for design in (small, large)]
    assert [line.partition(",")[0] for line in told] == [
        f"shared network: epoch {number} of 3" for number in (1, 2, 3)
    ]
    classifiers = [graph.tensors()["classifier.weight"].values for graph in networks]
    assert np.array_equal(classifiers[0], classifiers[1][:, : classifiers[0].shape[1]])
    exits = [[(e.mount, e.head_name) for e in state_of(graph).exits] for graph in networks]
    assert exits[0] == exits[1] and len(exits[0]) == 3
    again = DesignEvaluation(question(tmp_path, SHARED))
    assert network_hash(again.supernets.trained(small, Reach(0))) == network_hash(networks[0])
    assert not (tmp_path / "cache" / "training").exists() or not any(
        (tmp_path / "cache" / "training").iterdir()
    )


def test_what_shared_weights_depend_on_makes_others(tmp_path: Path) -> None:
    def digests(space: str = SHARED, seed: int = 0) -> tuple[str, str]:
        evaluation = DesignEvaluation(dataclasses.replace(question(tmp_path, space), seed=seed))
        design = evaluation.space.design({**GENES, "backbone.width": 4})
        nets = evaluation.supernets
        return nets.shared_key("resnet").digest, nets.key(design, Reach(0)).digest

    others = [
        digests(seed=1),
        digests(SHARED.replace("[2, 4]", "[3, 4]")),
        digests(SHARED.replace("[2, 4]", "[2, 4, 5]")),
        digests(SHARED.replace("epochs = 3", "epochs = 4")),
        digests(SHARED.replace('"mlp"', '"conv"')),
    ]
    for found in zip(digests(), *others, strict=True):
        assert len(set(found)) == 6
    assert digests(SHARED.replace("finalists = 2", "finalists = 3")) == digests()
    evaluation = DesignEvaluation(question(tmp_path, SPACE))
    design = evaluation.space.design({**GENES, "backbone.width": 4})
    assert evaluation.supernets.key(design, Reach(0)).digest != digests()[1]


def test_a_pruned_backbone_is_smaller_and_its_supernet_too(tmp_path: Path) -> None:
    space = SPACE + '[pruning]\ngoal = ["none", "cycles=-10%"]\n'
    evaluation = DesignEvaluation(question(tmp_path, space))
    whole, pruned = (
        evaluation.space.design({**GENES, "pruning.goal": goal}) for goal in ("none", "cycles=-10%")
    )
    costs = [evaluation.costs(design).static.latency_cycles for design in (whole, pruned)]
    assert costs[1] <= 0.9 * costs[0]
    sizes = [
        sum(
            t.values.size
            for t in evaluation.supernets.trained(design, Reach(0)).tensors().values()
            if hasattr(t, "values")
        )
        for design in (whole, pruned)
    ]
    assert sizes[1] < sizes[0]


def test_networks_come_back_with_their_exits(tmp_path: Path) -> None:
    evaluation = DesignEvaluation(question(tmp_path))
    graph = evaluation.supernets.trained(evaluation.space.design(GENES), Reach(0))
    again = graph_of_bytes(bytes_of_graph(graph))
    assert state_of(again).exits == state_of(graph).exits
    mine, theirs = (
        {n: t.values for n, t in g.tensors().items() if hasattr(t, "values")} for g in (graph, again)
    )
    assert mine.keys() == theirs.keys() and all(np.array_equal(v, theirs[n]) for n, v in mine.items())
