"""Tell what choosing among proposals by a prediction is worth to a search.

    python -m tools.experiments.chosen_proposals --space SPACE.toml --data D --cache DIR [--target gap9]
        [--trials 24] [--seeds 20] [--samplers nsga2 tpe random]

All designs of a small space are trained first, and kept in the cache. Searches are then replayed from what
was found, one design at a time, with and without `predictor`, for each seed: the same sampler, the same
seeds. Printed are the hypervolume of their front in % of that of all designs after every eighth design, mean
and standard error over the seeds, in how many seeds the prediction was ahead at the end, and how predictions
made before training ranked designs.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.search.study.front import GrowingFront
from eecompile.search.study.predictor import WORTH, WorthPredictor
from eecompile.search.study.proposals import SAMPLERS, Params, Proposals
from eecompile.search.worth.design_facts import design_facts
from eecompile.search.worth.evaluation import DesignEvaluation, Question
from eecompile.search.worth.inner_front import KEYS
from eecompile.search.worth.part_costs import cost_figures

Figures = Mapping[str, Any]
EVERY = 8
POPULATION = 8
_MOST = 500


class Replay:
    """Searches of a space all of whose designs are known."""

    def __init__(self, evaluation: DesignEvaluation) -> None:
        self._space = evaluation.space
        self._genes = {gene.name: gene.choices for gene in self._space.genes}
        if self._space.designs > _MOST:
            raise SystemExit(f"{self._space.designs} designs are too many to train them all")
        self._facts = design_facts(self._space, evaluation.images)
        self._known: dict[str, Figures] = {}
        for number, values in enumerate(itertools.product(*self._genes.values())):
            params: Params = dict(zip(self._genes, values, strict=True))
            self._known[str(params)] = evaluation(number, params, 0, "")
        costs = [evaluation.costs(design) for design in self._space.corners().values()]
        edp = max(cost_figures(one.static)["edp_j_cycles"] for one in costs)
        self._reference = np.array([0.0, edp])
        whole = self._front()
        for result in self._known.values():
            whole.take(0, result["points"])
        self._most = whole.share

    def _front(self) -> GrowingFront:
        return GrowingFront((KEYS["accuracy"], KEYS["edp"]), frozenset({KEYS["accuracy"]}), self._reference)

    def run(
        self, sampler: str, seed: int, trials: int, *, predicts: bool
    ) -> tuple[list[float], Mapping[str, float]]:
        """Return the hypervolume after each design, in % of all, and the rank correlation of predictions."""
        front, predictor = self._front(), WorthPredictor(self._genes, self._facts, seed)
        choose = predictor.choose if predicts else None
        sides = ["maximize", "minimize"]
        proposals = Proposals(self._genes, sides, sampler, seed, POPULATION, choose=choose)
        shares = []
        for number in range(trials):
            params = proposals.propose()
            assert params is not None
            predicted = predictor.predict([params])[0] if predicts else {}
            result = self._known[str(params)]
            points = result["points"]
            values = front.vectors([points[front.stands_for(points)]])[0].tolist() if points else None
            proposals.tell(number, values, float(result["violation"]))
            front.take(number, points)
            measured = {WORTH: front.own(points), KEYS["accuracy"]: result["static"][KEYS["accuracy"]]}
            predictor.tell(params, measured, predicted)
            shares.append(100 * front.share / self._most)
        return shares, predictor.report["rank_correlation"]


def told(values: NDArray[np.float64]) -> str:
    """Return a mean with its standard error."""
    return f"{values.mean():.2f} ± {values.std(ddof=1) / np.sqrt(len(values)):.2f}"


def main() -> None:
    """Print a line for each sampler, without and with predictions."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--space", type=Path, required=True, metavar="FILE")
    parser.add_argument("--data", required=True, metavar="D")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR")
    parser.add_argument("--target", default="gap9", metavar="T")
    parser.add_argument("--trials", type=int, default=24, metavar="N")
    parser.add_argument("--seeds", type=int, default=20, metavar="N")
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    asked = parser.parse_args()
    question = Question(asked.space, asked.target, asked.data, "auto", 0, asked.cache, 4 * 2**30)
    replay = Replay(DesignEvaluation(question))
    places = range(EVERY - 1, asked.trials, EVERY)
    for sampler in asked.samplers:
        ends = []
        for predicts in (False, True):
            runs = [replay.run(sampler, seed, asked.trials, predicts=predicts) for seed in range(asked.seeds)]
            shares = np.array([found for found, _ in runs])
            columns = ", ".join(f"{told(shares[:, place])} after {place + 1}" for place in places)
            print(f"{sampler}, {'predicted' if predicts else 'as proposed'}: {columns}", flush=True)
            ends.append(shares[:, -1])
            for name in runs[0][1]:
                values = np.array([found[name] for _, found in runs if name in found])
                print(f"  rank correlation of {name}: {told(values)}", flush=True)
        ahead, behind = int((ends[1] > ends[0]).sum()), int((ends[1] < ends[0]).sum())
        print(f"{sampler}: the prediction ahead in {ahead} of {asked.seeds} seeds, behind in {behind}")


if __name__ == "__main__":
    main()
