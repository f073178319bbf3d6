from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest

from eecompile.search.study.proposals import OFFERED, SAMPLERS, Params, Proposals

GENES = {"width": (8, 16, 24, 32), "family": ("resnet", "mobile"), "bits": (8, 4)}


def worth(params: Params) -> tuple[float, float]:
    """Return accuracy and cost: wide networks of eight bits are good and dear."""
    width, bits = int(params["width"]), int(params["bits"])
    return width * bits / 256, width * bits + (100.0 if params["family"] == "mobile" else 0.0)


def asked(proposals: Proposals, batches: list[int]) -> list[Params]:
    found: list[Params] = []
    for size in batches:
        some = [proposals.propose() for _ in range(size)]
        for params in some:
            assert params is not None
            proposals.tell(len(found), worth(params))
            found.append(params)
    return found


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_all_candidates_come_once_and_the_same_for_a_seed(sampler: str) -> None:
    def made(seed: int) -> list[Params]:
        proposals = Proposals(GENES, ("maximize", "minimize"), sampler, seed, population=4)
        found = asked(proposals, [3, 3, 3, 3, 3, 1])
        assert proposals.propose() is None and proposals.size == 16
        return found

    found = made(1)
    assert found == made(1) != made(2)
    every = {tuple(p.values()) for p in found}
    assert every == set(itertools.product(*GENES.values()))


EIGHT = {f"gene{number}": tuple(range(8)) for number in range(6)}


def halves(params: Params) -> tuple[float, float]:
    first, last = list(params.values())[:3], list(params.values())[3:]
    return float(sum(map(int, first))), float(sum(map(int, last)))


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_what_was_told_decides_what_is_proposed(sampler: str) -> None:
    proposals = Proposals(EIGHT, ("minimize", "minimize"), sampler, 0, population=8)
    sums = []
    for index in range(96):
        params = proposals.propose()
        assert params is not None
        proposals.tell(index, halves(params))
        sums.append(sum(halves(params)))
    assert sum(sums[-32:]) < 0.75 * sum(sums[:32])


def test_candidates_that_break_a_constraint_come_behind() -> None:
    proposals = Proposals(EIGHT, ("minimize", "minimize"), "nsga2", 0, population=8)
    kept = []
    for index in range(96):
        params = proposals.propose()
        assert params is not None
        first, last = halves(params)
        kept.append(first >= 16)
        if index % 10 == 9:
            proposals.tell(index, None)  # a failure
        elif first < 16:
            proposals.tell(index, None, violation=16 - first)
        else:
            proposals.tell(index, (first, last))
    assert sum(kept[-64:]) > 20  # of any 64 candidates 8 keep it


def test_a_gene_that_does_not_count_makes_no_other_candidate() -> None:
    def active(params: Params) -> Params:
        return {name: v for name, v in params.items() if name != "bits" or params["family"] == "resnet"}

    proposals = Proposals(GENES, ("maximize", "minimize"), active=active, size=12)
    found: list[Params] = []
    while (params := proposals.propose()) is not None:
        proposals.tell(len(found), (0.0, float(params["width"])))
        found.append(params)
    assert len(found) == 12 == len({tuple(sorted(params.items())) for params in found})
    assert all(("bits" in params) == (params["family"] == "resnet") for params in found)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_of_several_proposals_one_may_be_chosen(sampler: str) -> None:
    offered: list[list[Params]] = []

    def narrowest(several: Sequence[Params]) -> int:
        offered.append(list(several))
        return min(range(len(several)), key=lambda n: int(several[n]["width"]))

    def made(choose: Callable[[Sequence[Params]], int] | None) -> list[Params]:
        proposals = Proposals(GENES, ("maximize", "minimize"), sampler, 3, population=4, choose=choose)
        found = asked(proposals, [2, 2, 2, 2, 2, 2, 2, 2])
        assert proposals.propose() is None
        return found

    found = made(narrowest)
    assert sorted(map(str, found)) == sorted(map(str, made(None))), "in the end all are tried, each once"
    assert max(map(len, offered)) == OFFERED
    for several in offered:
        assert len({str(params) for params in several}) == len(several) > 1
    first = [found.index(min(several, key=lambda params: int(params["width"]))) for several in offered[:6]]
    assert first == sorted(first), "what is chosen is what is tried"
    before = list(offered)
    offered.clear()
    assert made(narrowest) == found and offered == before


def test_an_unknown_sampler_is_no_sampler() -> None:
    with pytest.raises(ValueError, match="no sampler is called 'nsga3'"):
        Proposals(GENES, ("maximize",), "nsga3")
