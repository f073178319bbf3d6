"""Which branches go, against all choices there are."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.pruning.branches import Attempt, choose_branches
from passes.errors import NoSolutionError
from passes.model.graph import from_model
from tests.passes.net_builder import NetBuilder

TEXTS = [f"add_{number}/3:{operand}" for number, operand in ((0, 1), (1, 0), (1, 1), (2, 1))]


def network() -> gs.Graph:
    """Return a network with three Adds, one of which joins two branches."""
    net = NetBuilder((1, 2, 4, 4))
    x = net.op("Relu", net.conv("x", 2, 4))
    for both in (False, True, False):
        x = net.op("Relu", net.op("Add", net.conv(x, 4, 4) if both else x, net.conv(x, 4, 4)))
    return from_model(net.model(net.conv(x, 4, 2)))


class Market:
    """What branches save and add to the loss; the rest is paid in channels, the dearer the more go."""

    def __init__(self, seed: int, needed: float, channels: float) -> None:
        rng = np.random.default_rng(seed)
        self.saves = dict(zip(TEXTS, rng.uniform(0, 4, len(TEXTS)), strict=True))
        self.adds = dict(zip(TEXTS, rng.uniform(0, 4, len(TEXTS)), strict=True))
        self.needed, self.channels, self.attempts = needed, channels, list[tuple[str, ...]]()

    def saved(self, branches: tuple[str, ...]) -> float:
        return float(sum(self.saves[text] for text in branches))

    def loss(self, branches: tuple[str, ...]) -> float:
        return float(1 + sum(self.adds[text] for text in branches))

    def total(self, branches: tuple[str, ...]) -> float:
        left = max(0.0, self.needed - self.saved(branches))
        return self.loss(branches) + left**2 if left <= self.channels else np.inf

    def attempt(self, branches: tuple[str, ...]) -> Attempt[str]:
        self.attempts.append(branches)
        if self.total(branches) == np.inf:
            raise NoSolutionError(f"{self.saved(branches):.3f} at most", "ask for less")
        return Attempt(branches, self.total(branches), "+".join(branches))

    def choose(self) -> Attempt[str]:
        return choose_branches(network(), self.needed, self.saved, self.loss, self.attempt)


def sets() -> list[tuple[str, ...]]:
    """Return all sets of branches that leave each Add an operand."""
    found = [c for size in range(4) for c in itertools.combinations(TEXTS, size)]
    return [c for c in found if not {"add_1/3:0", "add_1/3:1"} <= set(c)]


@pytest.mark.parametrize("channels", [9.0, 2.0])
@pytest.mark.parametrize("seed", range(8))
def test_the_loss_is_close_to_the_least_of_all_choices(seed: int, channels: float) -> None:
    market = Market(seed, needed=4.0, channels=channels)
    found = market.choose()
    losses = [market.total(branches) for branches in sets()]
    assert found.loss == market.total(found.branches) and found.found == "+".join(found.branches)
    assert min(losses) - 1e-9 <= found.loss <= 1.3 * min(losses)
    assert len(market.attempts) < len(losses)
    assert not any({"add_1/3:0", "add_1/3:1"} <= set(tried) for tried in market.attempts)


def test_branches_that_save_nothing_stay() -> None:
    market = Market(0, needed=2.0, channels=9.0)
    market.saves = dict.fromkeys(TEXTS, 0.0) | {TEXTS[0]: -1.0}
    market.adds = dict.fromkeys(TEXTS, -0.5)
    assert market.choose().branches == ()
    assert market.attempts == [()]


def test_what_cannot_be_reached_without_them_either_says_what_can() -> None:
    market = Market(0, needed=40.0, channels=2.0)
    with pytest.raises(NoSolutionError) as error:
        market.choose()
    most = max(market.saved(branches) for branches in sets())
    assert float(str(error.value).split(" ")[0]) == pytest.approx(most, abs=1.5)
