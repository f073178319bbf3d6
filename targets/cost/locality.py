"""Which tensors stay on chip between the layers that write and read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from targets.cost.nests import nest_of
from targets.cost.residency import Residency
from targets.layer import Layer
from targets.workload import Workload

# Per operand, memories that can hold a whole tensor of it and their bits, outermost first.
Stores = Mapping[str, tuple[tuple[str, int], ...]]


@dataclass(frozen=True)
class _Kept:
    """A tensor that may stay on chip: between which layers, in which memory of which core."""

    name: str
    bits: int
    core: str
    memory: str
    size_bits: int
    uses: tuple[tuple[int, str], ...]

    @property
    def producer(self) -> int:
        return self.uses[0][0]


def operand_tensors(layer: Layer) -> dict[str, tuple[str, ...]]:
    """Return the tensors behind each operand of the loop nest of ``layer``; constant weights have none."""
    names = tuple(t.name for t in layer.inputs)
    found = {"O": tuple(t.name for t in layer.outputs)}
    if "W" not in nest_of(layer).operands:
        return found | {"I": names}
    return found | {"I": names[:1], "W": () if layer.weight is not None else names[1:2]}


def plan_residency(
    workload: Workload,
    core_of: Mapping[str, str],
    stores_of: Callable[[Layer, str], Stores],
    can_run: Callable[[Layer, Residency], bool],
) -> dict[str, Residency]:
    """Choose the tensors that stay on chip.

    1. A tensor may stay if its producer and all its readers run on one core, in the outermost memory on
       chip that all of them reach it through. Inputs and outputs of the network and weights do not.
    2. Tensors are taken in the order of their producers, stage by stage, if they fit beside all taken
       before that may be alive at the same time: in any order of layers that keeps dependencies and
       stages, so that the plan holds whatever the scheduler chooses.
    3. Where one operand stands for several tensors, all of them stay or none.
    4. Each layer must find a mapping in what is left. Where one does not, the largest tensor it uses that
       stays, else the largest that stays beside it, goes; then all layers are tried again.

    Args:
        workload: The layers.
        core_of: The core of each layer, by name; those without are left out.
        stores_of: Memories on a core that can hold whole tensors of a layer's operands.
        can_run: Whether a layer finds a mapping.

    Returns:
        Per layer, by name, what stays around it; layers that nothing stays around are left out.
    """
    return _Planner(workload, core_of, stores_of).plan(can_run)


class _Planner:
    def __init__(
        self,
        workload: Workload,
        core_of: Mapping[str, str],
        stores_of: Callable[[Layer, str], Stores],
    ) -> None:
        self.layers = workload.layers
        self.outputs = workload.outputs
        self.core_of = core_of
        self.stores_of = stores_of
        self.used = [i for stage in workload.stages() for i in stage]
        self.order = [i for i in self.used if self.layers[i].name in core_of]
        self.operands = {i: operand_tensors(self.layers[i]) for i in self.used}
        self.before = _always_before(workload)
        self.kept: list[_Kept] = []

    def plan(self, can_run: Callable[[Layer, Residency], bool]) -> dict[str, Residency]:
        for tensor in self._candidates():
            if self._fits(tensor):
                self.kept.append(tensor)
        self._drop_parts()
        while (hindrance := self._first_in_the_way(can_run)) is not None:
            self.kept.remove(hindrance)
            self._drop_parts()
        return {self.layers[i].name: r for i in self.order if (r := self._residency(i)) is not None}

    def _candidates(self) -> Iterator[_Kept]:
        uses: dict[str, list[tuple[int, str]]] = {}
        for index in self.used:
            for operand, names in self.operands[index].items():
                for name in names:
                    uses.setdefault(name, []).append((index, operand))
        bits = {t.name: t.elements * t.bits for i in self.order for t in self.layers[i].outputs}
        for name, own in uses.items():
            produced = own[0][1] == "O"
            cores = {self.core_of.get(self.layers[i].name) for i, _ in own}
            core = next(iter(cores))
            if core is None or len(cores) > 1 or not produced or len(own) < 2 or name in self.outputs:
                continue
            shared = self._shared_store(core, own)
            if shared is not None:
                yield _Kept(name, bits[name], core, *shared, tuple(own))

    def _shared_store(self, core: str, uses: list[tuple[int, str]]) -> tuple[str, int] | None:
        lists = [self.stores_of(self.layers[i], core).get(operand, ()) for i, operand in uses]
        return next((store for store in lists[0] if all(store in others for others in lists[1:])), None)

    def _alive(self, tensor: _Kept, index: int) -> bool:
        """Whether ``tensor`` may be there while layer ``index`` runs."""
        if self.core_of[self.layers[index].name] != tensor.core:
            return False
        if any(user == index for user, _ in tensor.uses):
            return True
        gone = all(self._precedes(user, index) for user, _ in tensor.uses[1:])
        return not gone and not self._precedes(index, tensor.producer)

    def _precedes(self, first: int, second: int) -> bool:
        return bool(self.before[second] >> first & 1)

    def _fits(self, tensor: _Kept) -> bool:
        same = [other for other in self.kept if (other.core, other.memory) == (tensor.core, tensor.memory)]
        return all(
            tensor.bits + sum(other.bits for other in same if self._alive(other, i)) <= tensor.size_bits
            for i in self.order
            if self._alive(tensor, i)
        )

    def _drop_parts(self) -> None:
        """Drop tensors that share an operand with one that does not stay, or stays elsewhere."""
        while True:
            home = {tensor.name: tensor.memory for tensor in self.kept}
            parts = {
                name
                for index in self.order
                for names in self.operands[index].values()
                for name in names
                if len({home.get(other) for other in names}) > 1
            }
            remaining = [tensor for tensor in self.kept if tensor.name not in parts]
            if len(remaining) == len(self.kept):
                return
            self.kept = remaining

    def _first_in_the_way(self, can_run: Callable[[Layer, Residency], bool]) -> _Kept | None:
        """Return the tensor to drop for the first layer that finds no mapping; ``None`` if all do."""
        for index in self.order:
            residency = self._residency(index)
            if residency is None or can_run(self.layers[index], residency):
                continue
            around = [tensor for tensor in self.kept if self._alive(tensor, index)]
            own = [tensor for tensor in around if any(user == index for user, _ in tensor.uses)]
            return max(own or around, key=lambda tensor: (tensor.bits, tensor.name))
        return None

    def _residency(self, index: int) -> Residency | None:
        around = {tensor.name: tensor for tensor in self.kept if self._alive(tensor, index)}
        if not around:
            return None
        operands = []
        for operand, names in self.operands[index].items():
            tensors = [around.pop(name) for name in names if name in around]
            if tensors:
                operands.append((operand, tensors[0].memory, sum(tensor.bits for tensor in tensors)))
        reserved: dict[str, int] = {}
        for tensor in around.values():
            reserved[tensor.memory] = reserved.get(tensor.memory, 0) + tensor.bits
        core = self.core_of[self.layers[index].name]
        return Residency(core, tuple(sorted(operands)), tuple(sorted(reserved.items())))


def _always_before(workload: Workload) -> list[int]:
    """Return per layer, as bits of a number, the layers that run before it in every order."""
    stage_of = {index: stage for stage, members in enumerate(workload.stages()) for index in members}
    earlier: dict[int, int] = {}
    for stage in sorted(set(stage_of.values())):
        earlier[stage] = sum(1 << i for i, other in stage_of.items() if other < stage)
    before: list[int] = []
    for index, layer in enumerate(workload.layers):
        mask = earlier.get(stage_of.get(index, -1), 0)
        for producer in layer.producers:
            mask |= before[producer] | 1 << producer
        before.append(mask)
    return before
