"""Heads as they are asked for and recorded: a family and the values of its genes, ``conv{kernel=5}``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from passes.errors import InputError, did_you_mean
from passes.heads.families import FAMILIES, FEATURES, LOGITS, NO_REUSE, REUSE, Gene, GeneValue, HeadFamily
from passes.heads.layers import HeadLayer, Shape, shape_behind
from passes.option_text import NamedOptions, parse_list, print_named, print_value

AUTO = "auto"
MAX_SPATIAL = 2


@dataclass(frozen=True)
class HeadDesign:
    """A member of a family; recorded in each exit that has one.

    Attributes:
        family: The family.
        values: Of its genes, in their order.
    """

    family: HeadFamily
    values: tuple[GeneValue, ...]

    @property
    def genes(self) -> Mapping[str, GeneValue]:
        """Gene -> its value."""
        return dict(zip((gene.name for gene in self.family.genes), self.values, strict=True))

    @property
    def name(self) -> str:
        """As it is written, in files too: the family, and the genes that are not as they are by default."""
        told = {
            gene.name: value
            for gene, value in zip(self.family.genes, self.values, strict=True)
            if value != gene.default
        }
        return print_named(self.family.name, told)

    @property
    def reuse(self) -> str:
        """What it takes over from the exit before: ``none``, ``logits`` or ``features``."""
        return str(self.genes[REUSE.name])

    def alone(self) -> HeadDesign:
        """Return the same head where there is no exit before."""
        return HeadDesign(self.family, (*self.values[:-1], NO_REUSE))

    def on(
        self, mount: Shape, classes: int, reading: Sequence[HeadLayer] = (), joined: int = 0
    ) -> tuple[HeadLayer, ...]:
        """Return all layers of the head.

        Args:
            mount: Shape of what it reads, without batch.
            classes: How many logits it has.
            reading: What makes features of the mount, in front.
            joined: How many features of the exit before it reads; for a head that reuses them.

        Raises:
            InputError: The family has no head on such features, or a gene says nothing of them.
        """
        shape = shape_behind(reading, mount)
        self._check(shape)
        layers = [*reading, *self.family.layers(shape, self.genes)]
        if self.reuse == FEATURES:
            layers.append(HeadLayer("Concat", channels=joined))
        layers.append(HeadLayer("Gemm", channels=classes))
        if self.reuse == LOGITS:
            layers.append(HeadLayer("Add"))
        return tuple(layers)

    def _check(self, shape: Shape) -> None:
        spatial = len(check_features(shape)) - 1
        if spatial not in self.family.spatial:
            others = [name for name, family in FAMILIES.items() if spatial in family.spatial]
            axes = "no spatial axes" if spatial == 0 else f"{spatial} spatial axes"
            raise InputError(
                f"head '{self.family.name}' reads no features with {axes} (shape {list(shape)})",
                f"heads of such features: {', '.join(others)}",
            )
        if spatial:
            return
        for gene, value in zip(self.family.genes, self.values, strict=True):
            if gene.spatial and value != gene.default:
                raise InputError(
                    f"head '{self.name}': features without spatial axes (shape {list(shape)}) have no "
                    f"'{gene.name}': it is {gene.words}",
                    f"leave '{gene.name}' away there; several heads, one per exit, are separated by commas",
                )


def check_features(shape: Shape) -> Shape:
    """Return ``shape`` (channels first, no batch); raises InputError unless a head may read such features."""
    if not 1 <= len(shape) <= MAX_SPATIAL + 1:
        raise InputError(
            f"a head needs features with channels and up to {MAX_SPATIAL} spatial axes, "
            f"got shape {list(shape)}"
        )
    return shape


def parse_heads(heads: str | Sequence[str]) -> tuple[HeadDesign | None, ...]:
    """Parse one head or several, separated by commas or in a sequence; None is ``auto``.

    Raises:
        InputError: No such family, gene or value, or an item of a sequence that is not one head.
    """
    lists = [parse_list(text, "head") for text in ((heads,) if isinstance(heads, str) else heads)]
    if not isinstance(heads, str) and any(len(found) != 1 for found in lists):
        raise InputError(f"heads {list(heads)}: each is one head", "write ['linear', 'conv{kernel=5}']")
    found = [item for items in lists for item in items]
    if not found:
        raise InputError("no head is named", f"heads: {', '.join((AUTO, *FAMILIES))}")
    return tuple(map(_parsed, found))


def parse_head(text: str) -> HeadDesign:
    """Parse one head as files have it; raises InputError for anything else, ``auto`` too."""
    found = parse_list(text, "head")
    design = _parsed(found[0]) if len(found) == 1 else None
    if design is None:
        raise InputError(f"'{text}' is not one head of a family", f"families: {', '.join(FAMILIES)}")
    return design


def heads_text(heads: str | Sequence[str]) -> str:
    """Return heads as a pass has them, separated by commas; raises InputError as :func:`parse_heads`."""
    parse_heads(heads)
    return heads if isinstance(heads, str) else ",".join(heads)


def _parsed(found: NamedOptions) -> HeadDesign | None:
    if found.name == AUTO:
        if found.options:
            raise InputError("head 'auto' has no genes", "name a family: conv{kernel=5}")
        return None
    if found.name not in FAMILIES:
        raise InputError(f"unknown head '{found.name}'", did_you_mean(found.name, (AUTO, *FAMILIES)))
    family = FAMILIES[found.name]
    known = [gene.name for gene in family.genes]
    for name in found.options:
        if name not in known:
            raise InputError(f"head '{family.name}' has no gene '{name}'", did_you_mean(name, known))
    return HeadDesign(family, tuple(_value(family, gene, found.options) for gene in family.genes))


def _value(family: HeadFamily, gene: Gene, given: Mapping[str, Sequence[str]]) -> GeneValue:
    if gene.name not in given:
        return gene.default
    by_text = {print_value(value): value for value in gene.values}
    text = "+".join(given[gene.name])
    if text not in by_text:
        raise InputError(
            f"head '{family.name}': gene '{gene.name}' cannot be '{text}'",
            f"it is {gene.words}: one of {', '.join(by_text)}",
        )
    return by_text[text]


# What `auto` chooses among where it may try more than one head on a mount.
RIVALS: tuple[HeadDesign, ...] = (parse_head("linear"), parse_head("conv"))
LINEAR, CONV = RIVALS
# What it chooses among on maps instead where the network is trained with its exits: such heads read more of a
# map, and the network comes to give them what they need.
WIDE_RIVALS: tuple[HeadDesign, ...] = (
    parse_head("conv{size=16,modules=2}"),
    parse_head("conv{size=32,modules=3}"),
)


def rivals_on(shape: Shape, *, joint: bool) -> tuple[HeadDesign, ...]:
    """Return the heads that `auto` tries on a mount beside the one that is there.

    Args:
        shape: Of its features, channels first, without batch.
        joint: The network is trained with its exits: of ``WIDE_RIVALS`` those are tried, on maps with one or
            two spatial axes, of which each convolution has more than one place to read.
    """
    if not joint or len(check_features(shape)) == 1:
        return RIVALS
    return tuple(design for design in WIDE_RIVALS if _finds_places(design, shape)) or RIVALS


def _finds_places(design: HeadDesign, shape: Shape) -> bool:
    for layer in design.family.layers(shape, design.genes):
        if layer.op == "Conv" and max(shape[1:]) == 1:
            return False
        shape = layer.output_shape(shape)
    return True


def on_features(design: HeadDesign | None, shape: Shape) -> HeadDesign:
    """Return ``design``, or what ``auto`` chooses for features of ``shape`` (channels first, no batch).

    That is a conv head where there are still 8 or more places per spatial axis, a linear head on what is
    smaller or has none.
    """
    if design is not None:
        return design
    return CONV if min(check_features(shape)[1:], default=0) >= 8 else LINEAR


def members(family: HeadFamily) -> Iterator[HeadDesign]:
    """Yield all heads of a family, the default first."""
    for values in itertools.product(*(dict.fromkeys((gene.default, *gene.values)) for gene in family.genes)):
        yield HeadDesign(family, values)


def members_on(shape: Shape, reuse: bool = False) -> tuple[HeadDesign, ...]:
    """Return the heads of all families that differ on features of ``shape``, each once.

    Of several with the same layers the first stays: of families in their order, of values the default.

    Args:
        shape: Of the features, channels first, without batch.
        reuse: There is an exit before, of which a head may reuse something.
    """
    found: dict[tuple[tuple[HeadLayer, ...], str], HeadDesign] = {}
    for family in FAMILIES.values():
        for design in members(family):
            if design.reuse != NO_REUSE and not reuse:
                continue
            try:
                layers = design.on(shape, 2)
            except InputError:
                continue
            found.setdefault((layers, design.reuse), design)
    return tuple(found.values())
