"""Stream system files, of both generations, with the core files they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from passes.errors import InputError
from targets.description.architecture import Architecture, Core
from targets.description.explain import explain
from targets.description.readers.entry import Entry
from targets.description.readers.wiring import Ends, read_connections, read_graph
from targets.description.readers.zigzag import WORDS, CoreFile, read_core
from targets.description.readers.zigzag_memories import is_left_over
from targets.description.yaml_text import read_yaml

_ROLES = ("pooling_core_id", "simd_core_id", "offchip_core_id")
# Coordinates, process node and kernels change neither energy nor cycles.
_INERT = ("core_coordinates", "technology_node", "kernel_library")
# These change the cost, and nothing here stands for them yet.
_UNSUPPORTED = ("core_memory_sharing", "memory_aliases", "bandwidth", "reconfiguration")


@dataclass(frozen=True)
class _Member:
    """A core of the system: the file it came from, without folder and suffix, and what it says."""

    stem: str
    core: CoreFile
    entry: Entry


def read_stream(document: object, path: Path) -> Architecture:
    """Return the accelerator of a Stream system file.

    Cores keep their order, so that core ids in mapping files stay their indices; the off-chip core comes
    last and becomes the memories off chip. A core is named by its file, with its id where several share it.
    Transfers run beside compute.

    Args:
        document: Content of the file.
        path: The file; core files are looked for in ``cores/`` next to it, then next to it.

    Raises:
        InputError: A wrong value here or in a core file, with its path and the fix.
    """
    entry = Entry(document, str(path))
    graph = isinstance(document, dict) and "graph" in document
    if graph:
        fields = entry.fields(("name", "cores", "graph"))
        holder = fields["graph"].items()
    else:
        optional = ("offchip_core_id", "unit_energy_cost", *_INERT, *_UNSUPPORTED)
        fields = holder = entry.fields(("name", "cores", "core_connectivity"), optional)
    for key in _UNSUPPORTED:
        if key in fields and fields[key].value:
            raise fields[key].wrong("is not supported", "remove it if the accelerator can do without")
    members = _members(fields["cores"], path)
    roles = {key: _core_id(holder[key], len(members)) for key in _ROLES if _is_given(holder, key)}
    offchip_id = roles.get("offchip_core_id")
    if offchip_id is not None and offchip_id != len(members) - 1:
        raise holder["offchip_core_id"].wrong(
            f"core {offchip_id} is not the last", "list it last, so that all other core ids stay as they are"
        )
    names = _names(members)
    cores = tuple(_core(i, m, names[i], roles) for i, m in enumerate(members) if i != offchip_id)
    offchip = members[offchip_id].core.memories if offchip_id is not None else {}
    ends = Ends(names, cores, offchip, offchip_id, path.name)
    links = read_graph(fields["graph"], ends, roles) if graph else read_connections(fields, ends)
    above = {name: level.model_copy(update={"served_dimensions": ()}) for name, level in offchip.items()}
    try:
        return Architecture(name=fields["name"].text(), cores=cores, offchip=above, links=links, overlap=True)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}", f"look in the file of that core; {WORDS}") from None


def _is_given(fields: dict[str, Entry], key: str) -> bool:
    return key in fields and fields[key].value is not None


def _core_id(entry: Entry, count: int) -> int:
    number = entry.integer(least=0)
    if number >= count:
        raise entry.wrong(f"there is no core {number}", f"the ids are 0 to {count - 1}")
    return number


def _members(entry: Entry, path: Path) -> list[_Member]:
    if isinstance(entry.value, dict):
        given = entry.items()
        if list(given) != [str(i) for i in range(len(given))]:
            raise entry.wrong(
                f"the ids are {', '.join(given)[:60]}", "number the cores 0, 1, 2 … in this order"
            )
        items = list(given.values())
    else:
        items = entry.elements(least=1)
    read: dict[str, CoreFile] = {}
    members = []
    for item in items:
        if isinstance(item.value, dict):
            core = read_core(item)
            members.append(_Member(core.name, core, item))
            continue
        name = item.text()
        if name not in read:
            read[name] = _read_core_file(item, path.parent)
        members.append(_Member(Path(name).stem, read[name], item))
    return members


def _read_core_file(entry: Entry, folder: Path) -> CoreFile:
    places = [folder / "cores" / entry.text(), folder / entry.text()]
    for place in places:
        if place.is_file():
            return read_core(Entry(read_yaml(place, "core file", is_left_over), str(place)))
    raise entry.wrong(
        f"there is no core file '{entry.text()[:60]}'",
        f"put it at {places[0]} or {places[1]}, or correct the name",
    )


def _names(members: list[_Member]) -> list[str]:
    stems = [member.stem for member in members]
    return [f"{stem}_{i}" if stems.count(stem) > 1 else stem for i, stem in enumerate(stems)]


def _core(index: int, member: _Member, name: str, roles: dict[str, int]) -> Core:
    core = member.core
    if core.array is None:
        raise member.entry.wrong(
            "a core without multipliers that is not off chip",
            "make it the off-chip core (offchip_core_id), or give its operational_array sizes > 0",
        )
    kind: Literal["mac_array", "imc_array", "pooling", "simd"] = (
        "imc_array" if core.array.imc else "mac_array"
    )
    words = {core.type.rpartition(".")[2], *member.stem.lower().split("_")}
    if index == roles.get("pooling_core_id") or "pooling" in words:
        kind = "pooling"
    elif index == roles.get("simd_core_id") or "simd" in words:
        kind = "simd"
    try:
        return Core(name=name, kind=kind, array=core.array, memories=core.memories, dataflow=core.dataflow)
    except ValidationError as error:
        raise member.entry.wrong(explain(error), f"look in the file of that core; {WORDS}") from None
