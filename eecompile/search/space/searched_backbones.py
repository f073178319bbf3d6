"""``[backbone]``: families with the choices of their genes, or a network of the user."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_graphsurgeon as gs

from eecompile.search.backbones.family import BackboneFamily, Number
from eecompile.search.backbones.registry import backbone_family
from eecompile.search.space.choices import distinct, shown, text_of
from passes.errors import EecompileError, InputError
from passes.exits.mounts import find_mounts, resolve_mounts
from passes.exits.recognise import check_classifier
from passes.model.graph import load
from passes.option_text import print_named
from passes.registry import parse_pipeline
from passes.state import state_of

TABLE, FAMILY, FILE = "backbone", "family", "file"


@dataclass(frozen=True)
class SearchedFamily:
    """A family and what its genes may be.

    Attributes:
        family: The family.
        choices: Gene -> its values, rising; all genes, in their order.
    """

    family: BackboneFamily
    choices: Mapping[str, tuple[Number, ...]]

    @property
    def name(self) -> str:
        """Name of the family."""
        return self.family.name

    @property
    def designs(self) -> int:
        """How many backbones it has."""
        return math.prod(len(values) for values in self.choices.values())

    def wirings(self) -> Iterator[tuple[dict[str, Number], int]]:
        """Yield a backbone for each set of blocks there is, and how many backbones have that set."""
        blocks = [gene.name for gene in self.family.genes if gene.makes_blocks]
        others = {name: values[0] for name, values in self.choices.items() if name not in blocks}
        alike = math.prod(len(self.choices[name]) for name in others)
        for values in itertools.product(*(self.choices[name] for name in blocks)):
            yield others | dict(zip(blocks, values, strict=True)), alike


@dataclass(frozen=True)
class OwnBackbone:
    """A network of the user: a file, of which nothing is chosen. Its weights are kept.

    Attributes:
        path: The file.
        text: The file as designs name it, by its content.
    """

    path: Path
    text: str

    @property
    def name(self) -> str:
        """What stands for the name of a family."""
        return FILE

    @property
    def designs(self) -> int:
        """How many backbones it is."""
        return 1

    def graph(self) -> gs.Graph:
        """Return the network in canonical form, without exits.

        Raises:
            InputError: A bad file, no classifier, exits already, absent weights, or no place for an exit.
        """
        where = f"{TABLE}.{FILE}"
        try:
            graph = load(self.path)
            if state_of(graph).exits or len(graph.outputs) != 1:
                raise InputError(
                    f"{self.path} has exits already",
                    "give the network without exits; the search puts them in",
                )
            if state_of(graph).symbolic:
                raise InputError(
                    f"{self.path} has no weights",
                    "a backbone of your own keeps its weights: give it with them",
                )
            parse_pipeline("canonicalize,fold-batchnorm")(graph)
            check_classifier(graph)
            if not any(mount.ok for mount in find_mounts(graph)):
                resolve_mounts(graph, "1")  # says why there is none
        except EecompileError as error:
            raise InputError(f"{where}: {error.message}", error.hint) from None
        return graph


def read_backbones(given: object, folder: Path) -> tuple[SearchedFamily, ...] | OwnBackbone:
    """Return what ``[backbone]`` says.

    Args:
        given: The table.
        folder: Where the file of the space lies; ``file`` is relative to it.

    Raises:
        InputError: With the path of the value.
    """
    if not isinstance(given, dict):
        raise InputError(f"{TABLE}: expected a table of keys with values, not {shown(given)}")
    if (FAMILY in given) == (FILE in given):
        what = "names both a family and a file" if FAMILY in given else "says neither `family` nor `file`"
        raise InputError(f"{TABLE}: {what}", 'say one: family = "resnet", or file = "model.onnx"')
    rest = {key: value for key, value in given.items() if key not in (FAMILY, FILE)}
    if FILE in given:
        if rest:
            raise InputError(
                f"{TABLE}.{next(iter(rest))}: a network of your own has no genes",
                "leave it away, or search a `family` instead",
            )
        return _own(given[FILE], folder)
    if isinstance(given[FAMILY], list):
        return _several(given[FAMILY], rest)
    with _At(f"{TABLE}.{FAMILY}"):
        family = backbone_family(text_of(given[FAMILY]))
    return (_searched(family, rest, TABLE),)


class _At:
    """Puts the path of a value before what is wrong with it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, InputError):
            raise InputError(f"{self._path}: {error.message}", error.hint) from None


def _own(given: object, folder: Path) -> OwnBackbone:
    with _At(f"{TABLE}.{FILE}"):
        path = folder / text_of(given)
        if not path.is_file():
            raise InputError(f"there is no file {path}", "a relative path starts where the space's file lies")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return OwnBackbone(path, print_named(FILE, {"sha256": digest}))


def _several(names: list[object], tables: Mapping[str, object]) -> tuple[SearchedFamily, ...]:
    families = []
    for number, name in enumerate(names):
        with _At(f"{TABLE}.{FAMILY}[{number}]"):
            families.append(backbone_family(text_of(name)))
    with _At(f"{TABLE}.{FAMILY}"):
        families = list(distinct(families))
    known = [family.name for family in families]
    for key, table in tables.items():
        if key not in known:
            raise InputError(
                f"{TABLE}.{key}: of several families each has its genes in a table of its own",
                f"write [{TABLE}.{known[0]}] and put genes there",
            )
        if not isinstance(table, dict):
            raise InputError(f"{TABLE}.{key}: expected a table of keys with values, not {shown(table)}")
    return tuple(
        _searched(family, dict(tables.get(family.name, {})), f"{TABLE}.{family.name}")  # type: ignore[call-overload]
        for family in families
    )


def _searched(family: BackboneFamily, given: Mapping[str, object], path: str) -> SearchedFamily:
    for key in given:
        with _At(f"{path}.{key}"):
            family.gene(key)
    found = {}
    for gene in family.genes:
        value = given.get(gene.name, gene.default)
        checked = []
        for number, one in enumerate(value if isinstance(value, list) else [value]):
            with _At(f"{path}.{gene.name}" + (f"[{number}]" if isinstance(value, list) else "")):
                checked.append(gene.check(one))
        with _At(f"{path}.{gene.name}"):
            found[gene.name] = tuple(sorted(distinct(checked)))
    return SearchedFamily(family, found)
