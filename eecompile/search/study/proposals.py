"""What is tried next: a function of the seed, of the index of the candidate and of the results before it.

Optuna's samplers choose (ask and tell). Each candidate has a sampler of its own, seeded from seed and index,
on a study in memory that holds what was told so far, so that a search that was interrupted proposes the same
again once it was told the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from eecompile.search.study.optuna_needed import import_optuna

if TYPE_CHECKING:
    import optuna

Value = str | int | float | bool
Params = dict[str, Value]

NSGA2, TPE, RANDOM = "nsga2", "tpe", "random"
SAMPLERS = (NSGA2, TPE, RANDOM)
OFFERED = 8
"""So many proposals there are for each candidate where one of them is chosen."""
# How often a sampler is asked anew for a candidate that is none of those before.
_ATTEMPTS = 20
# Below so many candidates those that are left are listed.
_LISTED = 100_000


class Proposals:
    """Candidates one after the other.

    Args:
        genes: Name of each gene -> its choices; numbers are taken as ordered.
        directions: ``minimize`` or ``maximize``, of each objective.
        sampler: ``nsga2``, ``tpe`` or ``random``.
        seed: Of all that is drawn.
        population: Candidates of a generation of ``nsga2``, and those before ``tpe`` learns.
        active: From one choice for each gene to those that count: a gene of a family that was not chosen does
            not. Candidates are the same if these are. All count if it is absent.
        size: How many candidates there are, where that are fewer than choices multiplied.
        choose: From several proposals of the sampler to the one that is tried; the first if it is absent.
    """

    def __init__(
        self,
        genes: Mapping[str, Sequence[Value]],
        directions: Sequence[str],
        sampler: str = NSGA2,
        seed: int = 0,
        population: int = 16,
        active: Callable[[Params], Params] = lambda params: params,
        size: int | None = None,
        choose: Callable[[Sequence[Params]], int] | None = None,
    ) -> None:
        if sampler not in SAMPLERS:
            raise ValueError(f"no sampler is called '{sampler}'")
        self._optuna = import_optuna()
        self.genes = {name: tuple(choices) for name, choices in genes.items()}
        self._sampler, self._seed, self._population = sampler, seed, population
        self._study = self._optuna.create_study(directions=list(directions))
        self._trials: list[optuna.Trial] = []  # in memory, by candidate
        self._active, self._choose = active, choose
        self._seen: set[tuple[tuple[str, Value], ...]] = set()
        self._choices = [len(choices) for choices in self.genes.values()]
        self.size = math.prod(self._choices) if size is None else size

    def propose(self) -> Params | None:
        """Return the next candidate, another one than all before; ``None`` if all were proposed."""
        if len(self._seen) == self.size:
            return None
        index = len(self._trials)
        offered: dict[tuple[tuple[str, Value], ...], tuple[optuna.Trial, Params]] = {}
        for attempt in range(_ATTEMPTS):
            self._study.sampler = self._sampler_of(index, attempt)
            trial, found = self._asked()
            if _key(found) in self._seen or _key(found) in offered:
                self._drop(trial)
                continue
            offered[_key(found)] = trial, found
            if len(offered) == (1 if self._choose is None else OFFERED):
                break
        if not offered:
            self._study.enqueue_trial(dict(zip(self.genes, self._unseen(index), strict=True)))
            trial, found = self._asked()
            offered[_key(found)] = trial, found
        several = list(offered.values())
        if self._choose is not None and len(several) > 1:
            several.insert(0, several.pop(self._choose([params for _, params in several])))
        (trial, found), *others = several
        for other, _ in others:
            self._drop(other)
        self._seen.add(_key(found))
        self._trials.append(trial)
        return found

    def tell(self, index: int, values: Sequence[float] | None, violation: float = 0.0) -> None:
        """Tell what became of a candidate.

        Args:
            index: Which one.
            values: Of the objectives; ``None`` if nothing was found out, or it breaks a constraint.
            violation: By how much it breaks constraints; candidates that break none come first, then those
            that
                break them least.
        """
        trial = self._trials[index]
        if values is None and violation <= 0:
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            return
        trial.set_constraint("violation", violation)
        self._study.tell(trial, [0.0] * len(self._study.directions) if values is None else list(values))

    def _drop(self, trial: optuna.Trial) -> None:
        self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)

    def _asked(self) -> tuple[optuna.Trial, Params]:
        """Return a candidate of the sampler, by the positions of its choices."""
        trial = self._study.ask()
        found = []
        for name, choices in self.genes.items():
            if all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices):
                found.append(trial.suggest_int(name, 0, len(choices) - 1))
            else:
                found.append(trial.suggest_categorical(name, list(range(len(choices)))))
        return trial, self._params(found)

    def _params(self, positions: Sequence[int]) -> Params:
        chosen = zip(self.genes.items(), positions, strict=True)
        return self._active({name: choices[k] for (name, choices), k in chosen})

    def _unseen(self, index: int) -> tuple[int, ...]:
        """Draw one of the candidates that are left."""
        rng = np.random.default_rng([self._seed, index])
        if math.prod(self._choices) <= _LISTED:
            every = np.ndindex(*self._choices)
            left = [each for each in every if _key(self._params(each)) not in self._seen]
            return left[int(rng.integers(len(left)))]
        while True:
            found = tuple(int(rng.integers(count)) for count in self._choices)
            if _key(self._params(found)) not in self._seen:
                return found

    def _sampler_of(self, index: int, attempt: int) -> optuna.samplers.BaseSampler:
        seed = int(np.random.SeedSequence([self._seed, index, attempt]).generate_state(1)[0])
        samplers = self._optuna.samplers
        if self._sampler == RANDOM:
            chosen = samplers.RandomSampler(seed=seed)
        elif self._sampler == TPE:
            chosen = samplers.TPESampler(seed=seed, n_startup_trials=self._population, multivariate=True)
        else:
            chosen = samplers.NSGAIISampler(population_size=self._population, seed=seed)
        found: optuna.samplers.BaseSampler = chosen
        return found


def _key(params: Params) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(params.items()))
