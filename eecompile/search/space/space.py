"""The space that is searched: its genes, its designs, and the networks that each design holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import onnx_graphsurgeon as gs

from eecompile.pruning.goal import PruningGoal
from eecompile.quantization.layer_schemes import has_array
from eecompile.search.backbones.family import Number, Shape, mounts_of_blocks
from eecompile.search.space.bits import BackboneBits, BitsByPart, bits_size, bits_text
from eecompile.search.space.design import Design, SpaceGene, Value
from eecompile.search.space.searched_backbones import FAMILY, TABLE, OwnBackbone, SearchedFamily
from eecompile.search.space.tables import (
    IN_SECONDS,
    NO_PRUNING,
    ConstraintsTable,
    ExitsTable,
    MappingTable,
    ObjectivesTable,
    PrecisionTable,
    PruningTable,
    SamplerTable,
    TrainingTable,
)
from passes.errors import InputError, did_you_mean
from passes.exits.added_head import reading_on
from passes.exits.exit_chains import count_chained
from passes.exits.mounts import find_mounts, resolve_mounts
from passes.exits.recognise import classifier_exits
from passes.heads.designs import HeadDesign
from passes.heads.families import NO_REUSE
from passes.integers.schemes import scheme
from targets.contract.target import Target

Bits = TypeVar("Bits", bound=BackboneBits)
SMALLEST, LARGEST = "smallest", "largest"
MOST_CHAINED = 150
"""So many early exits has a supernet at most whose heads read exits before them."""


@dataclass(frozen=True)
class Space:
    """What is searched, as its file says.

    Attributes:
        where: The file, as messages call it.
        backbones: The families, or the network of the user.
        exits: Mounts, heads, rules, thresholds.
        precision: Numbers.
        pruning: What is pruned.
        mapping: Operating points and what schedules minimise.
        objectives: The front.
        constraints: What all of its points keep.
        training: How long is trained.
        sampler: What proposes designs.
    """

    where: str
    backbones: tuple[SearchedFamily, ...] | OwnBackbone
    exits: ExitsTable
    precision: PrecisionTable
    pruning: PruningTable
    mapping: MappingTable
    objectives: ObjectivesTable
    constraints: ConstraintsTable
    training: TrainingTable
    sampler: SamplerTable

    @cached_property
    def genes(self) -> tuple[SpaceGene, ...]:
        """All choices that make a design, in the order in which they are made; some have one value alone."""
        found = []
        if not isinstance(self.backbones, OwnBackbone):
            several = len(self.backbones) > 1
            if several:
                names = tuple(item.name for item in self.backbones)
                found.append(SpaceGene(f"{TABLE}.{FAMILY}", names))
            for item in self.backbones:
                stem = f"{TABLE}.{item.name}" if several else TABLE
                of = item.name if several else ""
                found += [
                    SpaceGene(f"{stem}.{gene.name}", item.choices[gene.name], of, True, gene.falls)
                    for gene in item.family.genes
                ]
        goals = tuple(NO_PRUNING if goal is None else str(goal) for goal in self.pruning.goal)
        found += [
            SpaceGene("precision.backbone", tuple(map(bits_text, self.precision.backbone))),
            SpaceGene("precision.heads", tuple(map(bits_text, self.precision.heads))),
            SpaceGene("precision.placement", self.precision.placement),
            SpaceGene("pruning.goal", goals),
        ]
        return tuple(found)

    @property
    def designs(self) -> int:
        """How many designs there are."""
        backbones = self.backbones if isinstance(self.backbones, tuple) else (self.backbones,)
        return sum(item.designs for item in backbones) * self.designs_of_backbone

    @property
    def designs_of_backbone(self) -> int:
        """How many designs each backbone makes."""
        tables = (*vars(self.precision).values(), self.pruning.goal)
        return math.prod(len(choices) for choices in tables)

    def design(self, values: Mapping[str, Value]) -> Design:
        """Return the design of one choice for each gene.

        Args:
            values: By name of the gene. Genes of families that were not chosen count for nothing, and those
                with one choice need not be there.

        Raises:
            InputError: A gene that is missing or unknown, or a value that is no choice.
        """
        genes = {gene.name: gene for gene in self.genes}
        for name in values:
            if name not in genes:
                raise InputError(f"{self.where} has no gene '{name}'", did_you_mean(name, genes))
        item = self._chosen(values)
        if isinstance(item, OwnBackbone):
            chosen, text = {}, item.text
        else:
            stem = f"{TABLE}.{item.name}" if len(self.families) > 1 else TABLE
            chosen = {g: item.family.gene(g).check(self._value(f"{stem}.{g}", values)) for g in item.choices}
            text = item.family.text(chosen)
        backbone_bits = self._bits("precision.backbone", values, self.precision.backbone)
        head_bits = self._bits("precision.heads", values, self.precision.heads)
        goal = str(self._value("pruning.goal", values))
        return Design(
            item.name,
            chosen,
            text,
            backbone_bits,
            head_bits,
            str(self._value("precision.placement", values)),
            None if goal == NO_PRUNING else PruningGoal.parse(goal),
        )

    def backbone_design(self, item: SearchedFamily, genes: Mapping[str, Number]) -> Design:
        """Return a design of a backbone of one of the families, of the first choices of all else."""
        stem = f"{TABLE}.{item.name}" if len(self.families) > 1 else TABLE
        values: dict[str, Value] = {gene.name: gene.choices[0] for gene in self.genes}
        values |= {f"{stem}.{name}": value for name, value in genes.items()}
        if len(self.families) > 1:
            values[f"{TABLE}.{FAMILY}"] = item.name
        return self.design(values)

    @property
    def families(self) -> tuple[SearchedFamily, ...]:
        """The families that are searched; none where the backbone is a network of the user."""
        return () if isinstance(self.backbones, OwnBackbone) else self.backbones

    def _chosen(self, values: Mapping[str, Value]) -> SearchedFamily | OwnBackbone:
        if isinstance(self.backbones, OwnBackbone):
            return self.backbones
        if len(self.backbones) == 1:
            return self.backbones[0]
        name = self._value(f"{TABLE}.{FAMILY}", values)
        return next(item for item in self.backbones if item.name == name)

    def _bits(self, name: str, values: Mapping[str, Value], choices: tuple[Bits, ...]) -> Bits:
        text = self._value(name, values)
        return next(bits for bits in choices if bits_text(bits) == text)

    def _value(self, name: str, values: Mapping[str, Value]) -> Value:
        gene = next(gene for gene in self.genes if gene.name == name)
        if name not in values and len(gene.choices) > 1:
            raise InputError(f"no value for gene '{name}'", f"one of {', '.join(map(str, gene.choices))}")
        value = values.get(name, gene.choices[0])
        if value not in gene.choices:
            raise InputError(
                f"gene '{name}' cannot be {value!r}", f"one of {', '.join(map(str, gene.choices))}"
            )
        return value

    def corners(self) -> dict[str, Design]:
        """Return the designs that cost least and most of each family, by name: ``smallest resnet``.

        That is by their genes, of which larger values cost no less, fewest and most bits, and the farthest
        and nearest goal of pruning; ``usual`` bits count as 8. Where both are the same design it is there
        once, by the name of the family.
        """
        found: dict[str, Design] = {}
        for item in self.backbones if isinstance(self.backbones, tuple) else (self.backbones,):
            ends = [self.design(self._corner(item, end)) for end in (min, max)]
            if ends[0] == ends[1]:
                found[item.name] = ends[0]
            else:
                found |= {f"{SMALLEST} {item.name}": ends[0], f"{LARGEST} {item.name}": ends[1]}
        return found

    def _corner(self, item: SearchedFamily | OwnBackbone, end: Callable[..., Any]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for gene in self.genes:
            if gene.name == f"{TABLE}.{FAMILY}":
                values[gene.name] = item.name
            elif gene.name.startswith(f"{TABLE}."):
                rising = gene.choices[::-1] if gene.falls else gene.choices
                values[gene.name] = rising[end(0, len(rising) - 1)]
            elif gene.name == "pruning.goal":
                values[gene.name] = end(gene.choices, key=_left)
            elif gene.name == "precision.placement":
                values[gene.name] = gene.choices[0]
        for key in ("backbone", "heads"):
            values[f"precision.{key}"] = bits_text(end(getattr(self.precision, key), key=bits_size))
        return values

    def graph(self, design: Design, input_shape: Shape, classes: int) -> gs.Graph:
        """Return the backbone of a design, unpruned; weights of a family are absent until they are drawn.

        Raises:
            InputError: The images do not fit it.
        """
        if isinstance(self.backbones, OwnBackbone):
            graph = self.backbones.graph()
            read, made = (tuple(tensors[0].shape) for tensors in (graph.inputs, graph.outputs))
            if read != tuple(input_shape) or made != (1, classes):
                raise InputError(
                    f"{TABLE}.file: {self.backbones.path} reads {list(read)} and answers {list(made)}; "
                    f"the images are {list(input_shape)} of {classes} classes",
                    "give the images it was trained on",
                )
            return graph
        item = next(item for item in self.backbones if item.name == design.family)
        return item.family.graph(input_shape, classes, design.genes)

    def mounts(self, graph: gs.Graph) -> tuple[str, ...]:
        """Return the tensors of a backbone where exits may go, shallow to deep.

        Mounts that this backbone does not have are left away; see :meth:`missing_mounts`.
        """
        if self.exits.at_most == 0:
            return ()
        there, asked = mounts_of_blocks(graph), self.exits.mounts
        if asked == ():
            return there
        if isinstance(asked, int):
            ranks = {mount.tensor: mount.rank or 0 for mount in find_mounts(graph)}
            best = sorted(there, key=lambda name: ranks[name])[:asked]
            return tuple(name for name in there if name in best)
        chosen = {_mount_of(graph, there, item) for item in asked}
        return tuple(mount.tensor for mount in find_mounts(graph) if mount.tensor in chosen)

    def missing_mounts(self, graph: gs.Graph) -> frozenset[str | int]:
        """Return which of the mounts that are asked for by name or index this backbone does not have."""
        if isinstance(self.exits.mounts, int):
            return frozenset()
        there = mounts_of_blocks(graph)
        return frozenset(item for item in self.exits.mounts if _mount_of(graph, there, item) is None)

    def missing_parts(self, graph: gs.Graph) -> frozenset[str]:
        """Return the parts whose bits are chosen that this backbone does not have."""
        found = (bits for bits in self.precision.backbone if isinstance(bits, BitsByPart))
        return frozenset(part for bits in found for part in bits.missing(graph))

    def heads_on(self, shape: Shape, classes: int) -> tuple[HeadDesign, ...]:
        """Return the heads that an exit on features of ``shape`` (channels first, no batch) chooses among.

        Raises:
            InputError: None of them reads such features.
        """
        found, refused = [], None
        for head in self.exits.heads:
            try:
                head.on(tuple(shape), classes)
                found.append(head)
            except InputError as error:
                refused = error
        if not found and refused is not None:
            raise InputError(f"exits.heads: {refused.message}", refused.hint)
        if found and all(head.reuse != NO_REUSE for head in found):
            raise InputError(
                f"exits.heads: of the heads that read features of shape {list(shape)} each reads the exit "
                "before it too: nothing can be the first exit there",
                f"add one without `reuse`: '{found[0].alone().name}'",
            )
        return tuple(found)

    def check_chains(self, graph: gs.Graph) -> None:
        """Raise InputError where heads, with what they may read, are too many on a backbone without exits."""
        if self.exits.reads_before:
            classes, tensors = int(graph.outputs[0].shape[1]), graph.tensors()
            classifier_exits(graph)
            shapes = [reading_on(tensors[name], graph).shape for name in self.mounts(graph)]
            check_chains([self.heads_on(shape, classes) for shape in shapes], self.exits.at_most)

    def check_on(self, target: Target) -> None:
        """Raise InputError for an operating point, a width or a placement that ``target`` does not have."""
        for number, point in enumerate(self.mapping.points):
            try:
                target.at_point(point)
            except InputError as error:
                raise InputError(f"mapping.points[{number}]: {error.message}", error.hint) from None
        self.check_clocks(target)
        names = {name for core in target.arch.cores for name in target.scheme_names(core.name)}
        known = sorted({scheme(name).weights.bits for name in names})
        for key, found in (("backbone", self.precision.backbone), ("heads", self.precision.heads)):
            for width in (width for bits in found for width in _widths(bits)):
                if width not in known:
                    raise InputError(
                        f"precision.{key}: no core of {target.title} computes with weights of {width} bits",
                        f"it has {', '.join(map(str, known))}" if known else "it computes with no integers",
                    )
        if any(place != "auto" for place in self.precision.placement) and not has_array(target):
            raise InputError(
                f"precision.placement: {target.title} has no analog array", "leave `placement` away"
            )

    def check_clocks(self, target: Target) -> None:
        """Raise InputError for bounds in seconds without a clock, or in cycles of several clocks."""
        for in_seconds, in_cycles in IN_SECONDS.items():
            if getattr(self.constraints, in_cycles) is not None and len(self.mapping.points) > 1:
                raise InputError(
                    f"constraints.{in_cycles}: a cycle takes another time at each operating point",
                    f"say it in seconds: {in_seconds}",
                )
            if getattr(self.constraints, in_seconds) is not None and target.operating_point is None:
                raise InputError(
                    f"constraints.{in_seconds}: no clock is known of {target.title}",
                    f"say it in cycles: {in_cycles}",
                )


def check_chains(heads: Sequence[Sequence[HeadDesign]], at_most: int | None) -> None:
    """Raise InputError where heads on mounts, with what they may read, are too many to be trained together.

    Args:
        heads: Of each mount, shallow to deep.
        at_most: Exits of a network; ``None``: as many as there are mounts.
    """
    count = count_chained(heads, at_most)
    if count <= MOST_CHAINED:
        return
    fits = [most for most in range(2, len(heads)) if count_chained(heads, most) <= MOST_CHAINED]
    fewer = f"say `at_most` = {fits[-1]}, which makes {count_chained(heads, fits[-1])}; " if fits else ""
    raise InputError(
        "exits.heads: a head with `reuse` has weights of its own for each exit that it may read, which may "
        f"read another in turn: these are {count:,} heads on {len(heads)} mounts, and {MOST_CHAINED} at most "
        "are trained together",
        f"{fewer}name fewer `mounts`, or fewer `heads`, those with `reuse` first",
    )


def _widths(bits: BackboneBits) -> tuple[int, ...]:
    if isinstance(bits, BitsByPart):
        return tuple(width for _, width in bits.parts)
    return () if bits is None else (bits,)


def _left(goal: Value) -> float:
    return 1.0 if goal == NO_PRUNING else 1.0 - PruningGoal.parse(str(goal)).less


def _mount_of(graph: gs.Graph, there: Sequence[str], item: str | int) -> str | None:
    """Return the tensor of a mount by its index or name; ``None`` if this backbone has none of that."""
    if isinstance(item, int):
        return there[item] if item < len(there) else None
    try:
        return resolve_mounts(graph, [item])[0].tensor
    except InputError:
        return None
