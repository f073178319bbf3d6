"""Which branches go before channels do: whole layers that are only added to something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import onnx_graphsurgeon as gs

from passes.errors import NoSolutionError
from passes.pruning.prune_branches import Branch, find_branches

Found = TypeVar("Found")
_ATTEMPTS = 8  # to reach the goal with one branch less each


@dataclass(frozen=True)
class Attempt(Generic[Found]):
    """A network that reaches the goal without some of its branches, before it is trained.

    Attributes:
        branches: What ``prune-branches`` removes.
        loss: On images that nothing was fitted to.
        found: The network.
    """

    branches: tuple[str, ...]
    loss: float
    found: Found


def choose_branches(
    graph: gs.Graph,
    needed: float,
    saved: Callable[[tuple[str, ...]], float],
    loss: Callable[[tuple[str, ...]], float],
    attempt: Callable[[tuple[str, ...]], Attempt[Found]],
) -> Attempt[Found]:
    """Return the best of the networks that reach a goal without none, one or more branches of ``graph``.

    Branches are taken one by one, in the order of what each adds to the loss alone per cost that it saves and
    that is needed. Beside each the rest of the goal is reached by channels, and it goes where the loss of
    what comes out falls, or the goal was not reached yet. At last they are given back one by one, likewise.

    Args:
        graph: The network.
        needed: What is to be saved, in what the goal is about.
        saved: What is saved without some branches.
        loss: Without some branches, once what is left is fitted.
        attempt: Reaches the goal without these branches.

    Raises:
        NoSolutionError: The goal cannot be reached without any of them either; says what can.
    """
    whole = loss(())
    order: list[tuple[float, Branch]] = []
    for branch in find_branches(graph):
        useful = min(needed, saved((branch.text,)))
        if useful > 0:
            order.append(((loss((branch.text,)) - whole) / useful, branch))
    order.sort(key=lambda item: (item[0], item[1].text))
    best, failed = _tried(attempt, ())
    taken: list[Branch] = []
    for _, branch in order[:_ATTEMPTS]:
        if any(other.add == branch.add for other in taken):
            continue  # one operand stays
        branches = (*(other.text for other in taken), branch.text)
        if best is not None and loss(branches) >= best.loss:
            continue  # without channels that go, too
        found, problem = _tried(attempt, branches)
        failed = problem or failed
        if best is None or (found is not None and found.loss < best.loss):
            best = found
            taken.append(branch)
    if best is None:
        raise failed or ValueError("a goal was neither reached nor refused")
    for branch in taken[:-1]:  # the last was tried with all others
        found, _ = _tried(attempt, tuple(text for text in best.branches if text != branch.text))
        if found is not None and found.loss < best.loss:
            best = found
    return best


def _tried(
    attempt: Callable[[tuple[str, ...]], Attempt[Found]], branches: tuple[str, ...]
) -> tuple[Attempt[Found] | None, NoSolutionError | None]:
    try:
        return attempt(branches), None
    except NoSolutionError as problem:
        return None, problem
