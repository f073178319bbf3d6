"""What candidates will be worth, predicted from those that were told: a forest over genes and cheap facts.

A candidate is predicted before it is trained, by what was told until then. How well predictions rank
candidates is therefore known without any that were held back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eecompile.search.study.proposals import Params, Value

Float64 = NDArray[np.float64]
Figures = Mapping[str, float]

WORTH = "worth"
LEAST_TOLD = 5
"""Of fewer candidates nothing is predicted."""
_TREES = 100


class WorthPredictor:
    """Predicts figures of candidates, each by its own forest.

    Args:
        genes: Name of each gene -> its choices.
        facts: From genes to numbers that are known before anything is trained.
        seed: Of the forests.

    Attributes:
        judged: What was predicted of candidates and what came out, as far as anything was predicted.
    """

    def __init__(
        self,
        genes: Mapping[str, Sequence[Value]],
        facts: Callable[[Params], Sequence[float]] = lambda _: (),
        seed: int = 0,
    ) -> None:
        self._genes = {name: tuple(choices) for name, choices in genes.items() if len(choices) > 1}
        self._facts, self._seed = facts, seed
        self._known: dict[tuple[tuple[str, Value], ...], Float64] = {}
        self._rows: list[Float64] = []
        self._measured: list[Figures] = []
        self.judged: list[tuple[Figures, Figures]] = []

    def predict(self, candidates: Sequence[Params]) -> list[dict[str, float]]:
        """Return what is predicted of each candidate; nothing as long as too few were told."""
        found: list[dict[str, float]] = [{} for _ in candidates]
        if len(self._rows) < LEAST_TOLD or not candidates:
            return found
        from sklearn.ensemble import ExtraTreesRegressor

        rows, asked = np.stack(self._rows), np.stack([self._row(params, 1.0) for params in candidates])
        for name in self._measured[-1]:
            forest = ExtraTreesRegressor(_TREES, random_state=self._seed)
            forest.fit(rows, [figures[name] for figures in self._measured])
            for one, value in zip(found, forest.predict(asked).tolist(), strict=True):
                one[name] = float(value)
        return found

    def choose(self, candidates: Sequence[Params]) -> int:
        """Return which candidate is predicted to be worth most; the first as long as nothing is predicted."""
        worths = [figures.get(WORTH, 0.0) for figures in self.predict(candidates)]
        return int(np.argmax(worths))

    def tell(self, params: Params, measured: Figures, predicted: Figures, trained: float = 1.0) -> None:
        """Tell what came out of a candidate.

        Args:
            params: Its genes.
            measured: Its figures, the same of each candidate.
            predicted: What was predicted of it before, for all training there is; empty: nothing was.
            trained: Share of the rungs it was trained on.
        """
        self._rows.append(self._row(params, trained))
        self._measured.append(dict(measured))
        if predicted and trained == 1.0:
            self.judged.append((dict(predicted), dict(measured)))

    @property
    def report(self) -> dict[str, Any]:
        """How well predictions ranked candidates: of how many, and Spearman's correlation of each figure."""
        return {"designs": len(self.judged), "rank_correlation": self._correlations()}

    def _correlations(self) -> dict[str, float]:
        names = self.judged[0][1] if self.judged else ()
        pairs = {name: [(p[name], m[name]) for p, m in self.judged] for name in names}
        found = {name: rank_correlation(*zip(*both, strict=True)) for name, both in pairs.items()}
        return {name: value for name, value in found.items() if value is not None}

    def _row(self, params: Params, trained: float) -> Float64:
        """Return the numbers that a candidate is predicted from; genes that do not count are -1."""
        key = tuple(sorted(params.items()))
        if key not in self._known:
            row: list[float] = []
            for name, choices in self._genes.items():
                chosen = params.get(name)
                if all(isinstance(choice, int | float) for choice in choices):
                    row.append(-1.0 if chosen is None else float(chosen))
                else:
                    row += [float(choice == chosen) for choice in choices]
            self._known[key] = np.array([*row, *self._facts(params)], np.float64)
        return np.append(self._known[key], trained)


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float | None:
    """Return the rank correlation of Spearman, ties at their mean rank; ``None`` where there is no order."""
    ranks = [_ranks(np.asarray(values, np.float64)) for values in (first, second)]
    if len(ranks[0]) < 3 or any(np.ptp(rank) == 0 for rank in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Float64) -> Float64:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    middle: Float64 = (last - (counts - 1) / 2)[place]
    return middle
