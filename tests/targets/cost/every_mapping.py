"""All mappings of a small layer: what searches and bounds are held against."""

from __future__ import annotations

import itertools

import numpy as np

from targets.cost.model.allocation import Levels, fitting
from targets.cost.model.batch import Batch
from targets.cost.model.unrolling import Placed
from targets.cost.search.orderings import all_orders, temporal_factors
from targets.cost.search.problem import MappingProblem
from targets.objective import Objective


def every_mapping(problem: MappingProblem, placed: Placed, limit: int | None = None) -> tuple[Batch, Levels]:
    """Return all orders of at most ``limit`` factors, each with all choices of levels of all operands."""
    loops, sizes = all_orders(temporal_factors(placed.remaining, limit))
    count, length = loops.shape
    choices = []
    for op in problem.shape.nest.operands:
        depth = len(problem.hierarchy.levels(op)) - 1
        ends = itertools.combinations_with_replacement(range(length + 1), depth)
        choices.append([(*inner, length) for inner in ends])
    together = list(itertools.product(*choices))
    levels = {
        op: list(np.repeat(np.array([choice[i] for choice in together], np.int64), count, axis=0).T)
        for i, op in enumerate(problem.shape.nest.operands)
    }
    times = (len(together), 1)
    return Batch(problem.shape, np.tile(loops, times), np.tile(sizes, times)), levels


def least_value(
    problem: MappingProblem, placed: Placed, objective: Objective, limit: int | None = None
) -> float:
    """Return the least value of all mappings that fit; infinite if none does."""
    batch, levels = every_mapping(problem, placed, limit)
    fits = fitting(batch, problem.hierarchy, placed, problem.links, levels)
    return float(problem.values(placed, batch, levels, fits, objective)[0].min())
