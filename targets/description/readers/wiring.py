"""Links between the cores of a Stream system: a list of links and buses, or a mesh with attached cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from targets.description.architecture import OFFCHIP, Core, Link
from targets.description.hierarchy import MemoryLevel
from targets.description.readers.entry import Entry

_Direction = Literal["both", "from_offchip", "to_offchip"]


@dataclass(frozen=True)
class Ends:
    """What links may join.

    Attributes:
        names: Names by core id, the off-chip core among them.
        cores: The cores without the off-chip one.
        offchip: Memories off chip.
        offchip_id: Id of the off-chip core.
        source: What the numbers are said to come from.
    """

    names: list[str]
    cores: tuple[Core, ...]
    offchip: dict[str, MemoryLevel]
    offchip_id: int | None
    source: str

    def name(self, index: int) -> str:
        """Return what links call a core."""
        return OFFCHIP if index == self.offchip_id else self.names[index]

    def link(
        self,
        kind: Literal["point_to_point", "bus"],
        cores: list[str],
        bandwidth: float | None,
        energy_per_cycle: float = 0.0,
        direction: _Direction = "both",
    ) -> Link:
        """Return a link; Stream's energy is per busy cycle, ours per bit at full bandwidth."""
        return Link(
            kind=kind,
            cores=tuple(cores),
            bandwidth_bits_per_cycle=bandwidth,
            energy_pj_per_bit=energy_per_cycle / bandwidth if bandwidth else 0.0,
            direction=direction,
            known="published",
            source=self.source,
        )


def read_connections(fields: dict[str, Entry], ends: Ends) -> tuple[Link, ...]:
    """Return the links of ``core_connectivity``. Raises InputError."""
    default = fields["unit_energy_cost"].number() if "unit_energy_cost" in fields else 0.0
    links = []
    for item in fields["core_connectivity"].elements():
        connection = item.fields(("cores", "bandwidth"), ("type", "unit_energy_cost"))
        kind = connection["type"].choice(("link", "bus")) if "type" in connection else "link"
        joined = []
        for core in connection["cores"].elements(least=2):
            index = core.integer(least=0)
            if index >= len(ends.names):
                raise core.wrong(f"there is no core {index}", f"the ids are 0 to {len(ends.names) - 1}")
            if ends.name(index) in joined:
                raise core.wrong(f"core {index} is named twice", "remove one")
            joined.append(ends.name(index))
        if kind == "link" and len(joined) != 2:
            raise connection["cores"].wrong(f"a link joins 2 cores, not {len(joined)}", "use type: bus")
        energy = connection["unit_energy_cost"].number() if "unit_energy_cost" in connection else default
        bandwidth = _positive(connection["bandwidth"])
        links.append(ends.link("bus" if kind == "bus" else "point_to_point", joined, bandwidth, energy))
    return tuple(links)


def read_graph(entry: Entry, ends: Ends, roles: dict[str, int]) -> tuple[Link, ...]:
    """Return the links of a ``graph`` of type ``2d_mesh``.

    Rules, as Stream builds it:
        1. Compute cores fill the mesh column by column; neighbours in rows and columns are joined.
        2. The pooling core is joined to each of them by links of the same bandwidth.
        3. The SIMD core is joined to each of them and to the pooling core, without limit or energy.
        4. All share the ports of the memory off chip: one bus where it has one port, else one per direction.

    Raises:
        InputError: A wrong value, with its path and the fix.
    """
    fields = entry.fields(
        ("type", "nb_rows", "nb_cols", "bandwidth"),
        ("unit_energy_cost", "pooling_core_id", "simd_core_id", "offchip_core_id"),
    )
    fields["type"].choice(("2d_mesh",))
    bandwidth = _positive(fields["bandwidth"])
    energy = fields["unit_energy_cost"].number() if "unit_energy_cost" in fields else 0.0
    rows, columns = fields["nb_rows"].integer(), fields["nb_cols"].integer()
    mesh = [name for i, name in enumerate(ends.names) if i not in roles.values()]
    if rows * columns != len(mesh):
        raise fields["nb_rows"].wrong(
            f"a mesh of {rows} x {columns} has no place for {len(mesh)} compute cores",
            "nb_rows times nb_cols is the number of cores that are neither pooling, SIMD nor off chip",
        )
    pairs = [[mesh[i], mesh[i + 1]] for i in range(len(mesh) - 1) if (i + 1) % rows]
    pairs += [[mesh[i], mesh[i + rows]] for i in range(len(mesh) - rows)]
    pooling = [ends.names[roles[key]] for key in ("pooling_core_id",) if key in roles]
    pairs += [[name, extra] for extra in pooling for name in mesh]
    links = [ends.link("point_to_point", pair, bandwidth, energy) for pair in pairs]
    simd = [ends.names[roles[key]] for key in ("simd_core_id",) if key in roles]
    links += [ends.link("point_to_point", [name, extra], None) for extra in simd for name in mesh + pooling]
    if ends.offchip_id is not None:
        links += _offchip_links(entry, ends, [*mesh, *pooling, *simd, OFFCHIP], energy)
    return tuple(links)


def _offchip_links(entry: Entry, ends: Ends, names: list[str], energy: float) -> list[Link]:
    level = next((level for level in ends.offchip.values() if "O" in level.operands), None)
    reading = level.port_of("O", "to_below") if level else None
    writing = level.port_of("O", "from_below") if level else None
    if level is None or reading is None or writing is None:
        raise entry.wrong(
            "no memory off chip reads and writes operand O",
            "give it ports with 'tl' and 'fl' of O in its core file",
        )
    if len(level.ports) == 1:
        return [ends.link("bus", names, writing.bandwidth_bits_per_cycle, energy)]
    return [
        ends.link("bus", names, writing.bandwidth_bits_per_cycle, energy, "to_offchip"),
        ends.link("bus", names, reading.bandwidth_bits_per_cycle, energy, "from_offchip"),
    ]


def _positive(entry: Entry) -> float:
    value = entry.number()
    if not value:
        raise entry.wrong("must be > 0", "give the bits moved per cycle")
    return value
