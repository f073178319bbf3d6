"""The file of a space: TOML, read with a path in each complaint."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from eecompile.search.space.choices import Table, first_complaint, shown
from eecompile.search.space.searched_backbones import TABLE, OwnBackbone, read_backbones
from eecompile.search.space.space import Space
from eecompile.search.space.tables import (
    ACCURACY,
    IN_SECONDS,
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

TABLES: Mapping[str, type[Table]] = {
    "exits": ExitsTable,
    "precision": PrecisionTable,
    "pruning": PruningTable,
    "mapping": MappingTable,
    "objectives": ObjectivesTable,
    "constraints": ConstraintsTable,
    "training": TrainingTable,
    "sampler": SamplerTable,
}
Read = TypeVar("Read", bound=Table)


def read_space(path: Path) -> Space:
    """Return the space that a TOML file describes.

    Raises:
        InputError: No such file, no TOML, an unknown key, or a wrong value, with its path and what to do.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no file {path}", "give the TOML file of a search space") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", "give the TOML file of a search space") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}", "example of a line: width = [8, 16]") from None
    try:
        return _space(data, path)
    except InputError as error:
        raise InputError(f"{path}: {error.message}", error.hint) from None


def _space(data: Mapping[str, Any], path: Path) -> Space:
    for key in data:
        if key not in (TABLE, *TABLES):
            raise InputError(f"{key}: unknown table", did_you_mean(key, (TABLE, *TABLES)))
    if TABLE not in data:
        raise InputError(
            f"{TABLE}: is missing", f'add [{TABLE}] with family = "resnet", or file = "model.onnx"'
        )
    backbones = read_backbones(data[TABLE], path.parent)
    tables = {name: _table(kind, data.get(name, {}), name) for name, kind in TABLES.items()}
    space = Space(path.name, backbones, **tables)  # type: ignore[arg-type]
    _check_together(space)
    return space


def _table(kind: type[Read], given: object, name: str) -> Read:
    if not isinstance(given, dict):
        raise InputError(
            f"{name}: expected a table of keys with values, not {shown(given)}", f"write [{name}]"
        )
    for key in given:
        if key not in kind.model_fields:
            raise InputError(f"{name}.{key}: unknown key", did_you_mean(key, kind.model_fields))
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise first_complaint(error, name) from None


def _check_together(space: Space) -> None:
    """Refuse what says nothing, or nothing new, beside another table."""
    bounded = space.constraints.min_accuracy is not None or space.constraints.max_drop is not None
    if ACCURACY not in space.objectives.front and not bounded:
        raise InputError(
            "objectives.front: without accuracy the smallest network is the best",
            "add 'accuracy', or say how accurate networks must be: constraints.min_accuracy or max_drop",
        )
    for pair in IN_SECONDS.items():
        if None not in (getattr(space.constraints, name) for name in pair):
            raise InputError(f"constraints.{pair[0]}: {pair[1]} bounds the same", "say one of the two")
    if space.exits.at_most == 0 and space.constraints.max_final_ratio not in (None, 1.0):
        raise InputError(
            "constraints.max_final_ratio: without exits (exits.at_most = 0) all images reach the final one",
            "leave it away, or allow exits",
        )
    if isinstance(space.backbones, OwnBackbone) and space.exits.final_heads != (None,):
        raise InputError("exits.final_heads: a network of your own keeps its classifier", "leave it away")
    if space.training.inherit and (isinstance(space.backbones, OwnBackbone) or space.designs == 1):
        raise InputError(
            "training.inherit: there are no siblings to start from", "leave it away, or give genes choices"
        )
    if space.training.share:
        _check_shared(space)
    if space.exits.at_most == 0 and any(width is not None for width in space.precision.heads):
        raise InputError(
            "precision.heads: without exits (exits.at_most = 0) there are no heads of early exits",
            "leave it away",
        )


def _check_shared(space: Space) -> None:
    """Refuse designs that cannot be slices of one network, whose path is ``training.share``."""
    key = "training.share"
    if isinstance(space.backbones, OwnBackbone):
        raise InputError(f"{key}: a network of your own has no siblings", "leave it away, or search a family")
    if all(item.designs == 1 for item in space.backbones):
        raise InputError(f"{key}: there are no siblings to share weights", "give genes choices")
    if space.pruning.goal != (None,):
        raise InputError(
            f"{key}: what pruning takes is chosen for each network by itself, so it is no slice of another",
            "leave pruning.goal away, or search without `share`",
        )
    if space.exits.reads_before:
        raise InputError(
            f"{key}: a head with `reuse` has weights of its own for each exit before it, and these are "
            "others in each design",
            "leave the heads with `reuse` away, or search without `share`",
        )
    for item in space.backbones:
        for gene in item.family.genes:
            if len(item.choices[gene.name]) > 1 and not gene.shares:
                raise InputError(
                    f"{key}: networks of '{item.name}' that differ in `{gene.name}` cannot share weights",
                    f"give `{gene.name}` one value, or search without `share`",
                )
    varied = any(
        gene.makes_blocks and len(item.choices[gene.name]) > 1
        for item in space.backbones
        for gene in item.family.genes
    )
    if varied and len(space.exits.final_heads) > 1:
        raise InputError(
            f"{key}: several final heads are on the last block, which is another one in each design",
            "give one of exits.final_heads, or the genes that make blocks one value",
        )
    mounts = space.exits.mounts
    if isinstance(mounts, int) or (varied and any(isinstance(mount, int) for mount in mounts)):
        raise InputError(
            f"{key}: mounts by number are others in each design, and a head shares its weights on one mount",
            'say exits.mounts = "all", or name them: ["stage_1.block_0"]',
        )
