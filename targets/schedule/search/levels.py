"""The best plan with some freedom.

Plans are settled before they are compared, and those found with less freedom are among those that are
compared: more freedom never gives a worse plan.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from targets.objective import EDP, ENERGY, LATENCY, Objective
from targets.schedule.freedom import Freedom
from targets.schedule.network import has_weights, weights_name
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import Plan, Resident, cut_tiles, finished, simulate
from targets.schedule.search.candidates import Candidates, single
from targets.schedule.search.heuristic import Search
from targets.schedule.search.residency import resident_weights, settled
from targets.schedule.state import State

# Beyond so many layers fewer ways to a plan are tried.
MANY_LAYERS = 100
# Plans that local search starts from in smaller networks.
STARTS = 2


class Level(NamedTuple):
    """What plans of a level may do, each with all that the levels below it may.

    Attributes:
        split: Layers may be cut over cores.
        fuse: Layers may be fused.
        keep: Weights may stay on chip between inferences.
    """

    split: bool
    fuse: bool
    keep: bool

    def within(self, freedom: Freedom) -> Level:
        """Return what of it ``freedom`` leaves: where nothing is held, nothing is cut, fused or kept."""
        hold = freedom.hold
        return Level(
            self.split and freedom.split and hold, self.fuse and freedom.fuse and hold, self.keep and hold
        )

    def below(self) -> Iterator[Level]:
        """Yield the next levels with less freedom: what is fused may also be split."""
        if self.fuse:
            yield self._replace(fuse=False)
        elif self.split:
            yield self._replace(split=False)
        if self.keep:
            yield self._replace(keep=False)


@dataclass(frozen=True)
class Found:
    """A plan, with what stays on chip, as it would run.

    Attributes:
        resident: Weights that stay on chip between inferences; none of them is ever fetched.
        state: Its schedule.
        value: Its expected cost.
    """

    plan: Plan
    resident: Resident
    state: State
    value: float

    @property
    def key(self) -> tuple[object, ...]:
        """What was decided."""
        return self.plan, tuple(sorted(self.resident.items()))


class LevelSearch:
    """Finds the best plan of each level, once.

    Args:
        candidates: Ways to run layers, with all the freedom there is.
        objective: What is minimised.
        ratios: Share of inputs that leave at each exit.
    """

    def __init__(self, candidates: Candidates, objective: Objective, ratios: Sequence[float]) -> None:
        self.objective = objective
        self.ratios = ratios
        network = candidates.network
        self._large = len(network.order) > MANY_LAYERS
        hold = candidates.freedom.hold
        self._searches = {
            split: Search(candidates.allowed(Freedom(split, fuse=False, hold=hold)), objective, ratios)
            for split in {False, candidates.freedom.split}
        }
        self._best: dict[Level, Found | None] = {}
        self._starts: dict[tuple[bool, bool], list[Found]] = {}
        self._searched: dict[tuple[object, ...], Found] = {}
        self._obstacle = NoRoomError("", 0, "", 0)

    def best(self, level: Level) -> Found:
        """Return the best plan of ``level``: none of a level below it is better.

        Raises:
            NoRoomError: No plan fits the memories.
        """
        found = self._at(level)
        if found is None:
            raise self._obstacle
        return found

    def _at(self, level: Level) -> Found | None:
        if level not in self._best:
            self._best[level] = self._find(level)
        return self._best[level]

    def _find(self, level: Level) -> Found | None:
        """Return the best of the plans made for this level, as they are and improved, and of those below."""
        less = [found for below in level.below() if (found := self._at(below)) is not None]
        starts = self._starts_of(level.split, level.keep)
        improved = [self._improved(level, start) for start in starts[: 1 if self._large else STARTS]]
        own = [*improved, *starts]
        best = min((*own, *less), key=lambda found: found.value, default=None)
        if best is not None and best not in own:
            # What is best so far has not been improved with the freedom of this level.
            best = min(best, self._improved(level, best), key=lambda found: found.value)
        return self._streaming(level, best) if best is not None and level.keep and not self._large else best

    def _starts_of(self, split: bool, keep: bool) -> list[Found]:
        """Return plans of a level without fused layers, the best first.

        Without weights that stay there is one, made as if all were fetched. With them, as many of its weights
        stay as lower its cost; others are made for weights that stay from the first time they are needed.
        """
        if (split, keep) not in self._starts:
            made = self._keeping(self._searches[split]) if keep else self._fetching(self._searches[split])
            found = {start.key: start for start in made}
            self._starts[split, keep] = sorted(found.values(), key=lambda start: start.value)
        return self._starts[split, keep]

    def _fetching(self, search: Search) -> Iterator[Found]:
        if not search.candidates.complete:
            return
        try:
            yield self._as_it_runs(search.first()[0], {})
        except NoRoomError as error:
            self._obstacle = error

    def _keeping(self, search: Search) -> Iterator[Found]:
        if not search.candidates.complete:
            return
        for plan, resident in (*self._kept_of_fetched(search), *self._kept_from_the_start(search)):
            try:
                yield self._as_it_runs(plan, resident)
            except NoRoomError:
                continue

    def _kept_of_fetched(self, search: Search) -> Iterator[tuple[Plan, Resident]]:
        for start in self._starts_of(search.candidates.freedom.split, keep=False):
            yield start.plan, self._resident(search, start.plan)

    def _kept_from_the_start(self, fetching: Search) -> Iterator[tuple[Plan, Resident]]:
        """Yield plans made for weights that stay, with what stays.

        They are made for weights that may take all or half of each store, or take no room at all, of which
        then stays what fits; and for the other objectives: least energy leaves most room for weights, which
        pays for whatever is asked.
        """
        network = fetching.network
        ways = tuple(
            dict.fromkeys(
                (
                    (1.0, self.objective), (0.5, self.objective), (math.inf, self.objective),
                    (1.0, ENERGY), (1.0, EDP), (1.0, LATENCY),
                )
            )
        )  # fmt: skip
        for share, sought in ways[:1] if self._large else ways:
            candidates = fetching.candidates.on(replace(network, keep_share=share))
            search = Search(candidates, sought, self.ratios)
            try:
                plan, state = search.first(uniform=share == 1.0 and not self._large)
            except NoRoomError:
                continue
            yield plan, state.kept if math.isfinite(share) else self._resident(fetching, plan)

    def _resident(self, search: Search, plan: Plan) -> Resident:
        """Return the weights that stay on chip: as many as make the expected cost less."""
        try:
            state = simulate(search.network, plan)
        except NoRoomError:
            return {}
        reached = [sum(self.ratios[stage:]) for stage in range(len(self.ratios))]
        order = list(
            resident_weights(search.network, plan, finished(state), dict(enumerate(reached))).items()
        )
        best: Resident = {}
        value = search.value(state)
        for count in (len(order), len(order) // 2, len(order) // 4):
            # What is kept leaves less room to fetch the rest ahead of time, so fewer may be better.
            resident = dict(order[:count])
            try:
                kept = search.value(simulate(search.network, plan, resident))
            except NoRoomError:
                kept = math.inf
            if kept < value:
                best, value = resident, kept
        return best

    def _improved(self, level: Level, start: Found) -> Found:
        """Return what fusing layers and local search make of a plan; ``start`` if that is no better.

        What has been fused leaves room for weights that did not fit beside whole tensors.
        """
        search = self._searches[level.split]
        fused = search.fused(start.plan, start.resident) if level.fuse else start.plan
        key = (level.split, level.keep, fused, *start.key)
        if key not in self._searched:
            plan = search.improved(fused, start.resident)
            found = self._better(start, ((plan, start.resident), (fused, start.resident)))
            if level.keep:
                found = self._better(found, ((found.plan, self._resident(search, found.plan)),))
            self._searched[key] = found
        return self._searched[key]

    def _streaming(self, level: Level, best: Found) -> Found:
        """Return ``best`` with weights that are fetched each time left off chip, where that is better.

        A layer that reads each of its weights once gains nothing by a copy of them on chip.
        """
        candidates = self._searches[level.split].candidates
        network = candidates.network
        for position, segment in enumerate(best.plan):
            (index, *others), choice = segment.layers, segment.choices[0]
            layer = network.layer(index)
            if others or "W" not in choice.held or not has_weights(layer):
                continue
            streamed = choice._replace(held=choice.held - {"W"})
            tiles = cut_tiles(layer, choice.cut)
            if weights_name(layer) in best.resident or any(
                candidates.option(tile, core, streamed.held) is None
                for tile, core in zip(tiles, choice.cores, strict=True)
            ):
                continue
            plan = (*best.plan[:position], single(index, streamed), *best.plan[position + 1 :])
            best = self._better(best, ((plan, best.resident),))
        return best

    def _better(self, start: Found, others: Iterable[tuple[Plan, Resident]]) -> Found:
        """Return the best of ``start`` and other plans as they would run."""
        best = start
        for plan, resident in others:
            try:
                found = self._as_it_runs(plan, resident)
            except NoRoomError:
                continue
            best = min(best, found, key=lambda one: one.value)
        return best

    def _as_it_runs(self, plan: Plan, resident: Resident) -> Found:
        """Return a plan with the weights that truly stay; raises NoRoomError where it does not fit."""
        search = self._searches[False]
        kept, state = settled(search.network, plan, resident)
        return Found(plan, kept, state, search.value(state))
