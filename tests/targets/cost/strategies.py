"""Random small cores, layers and mappings for property tests of the cost engine."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from targets.cost.model.allocation import fitting
from targets.cost.model.nest import LoopNest, Shape
from targets.cost.model.nest_of_layer import nest_of
from targets.cost.model.unrolling import place
from targets.cost.search.orderings import temporal_factors
from targets.description.array_access import check_array_access
from targets.description.hierarchy import Hierarchy, MacArray, MemoryLevel, OperandName, Port
from targets.description.mapping import Mapping, Unrolling
from targets.network.layer import Layer, LoopDims, Operand
from tests.targets.cost.small import mapped, matmul

HUGE = 10**9
NAMES: tuple[OperandName, ...] = ("W", "I", "O")
BUFFERS: tuple[tuple[OperandName, ...], ...] = (
    *(("W", "I", "O"), ("O", "W", "I"), ("I", "O"), ("W", "I")),
    *(("O",), ()),
)
MOVES: dict[str, tuple[str, ...]] = {
    "W": ("W from_above", "W to_below"),
    "I": ("I from_above", "I to_below"),
    "O": ("O from_below", "O to_above", "O from_above", "O to_below"),
}
WRITES = ("from_above", "from_below")


@st.composite
def memories(
    draw: st.DrawFn, operands: tuple[OperandName, ...], size_bits: int, served: tuple[str, ...]
) -> MemoryLevel:
    """Draw a memory with one port for all, one each for reads and writes, or one per operand."""
    moves = [move for op in operands for move in MOVES[op]]
    layout = draw(st.sampled_from(("one", "read_write", "per_operand")))
    groups: dict[str, list[str]] = {}
    for move in moves:
        direction = move.split()[1]
        name = {"one": "rw", "read_write": "w" if direction in WRITES else "r", "per_operand": move[0]}[
            layout
        ]
        groups.setdefault(name, []).append(move)
    ports = []
    for name, served_moves in groups.items():
        bandwidth = draw(st.sampled_from((8, 16, 24, 64, 128)))
        granularity = draw(st.sampled_from((None, 8)))
        ports.append(
            Port(
                name=name,
                bandwidth_bits_per_cycle=bandwidth,
                granularity_bits=granularity,
                serves=tuple(served_moves),
            )
        )
    return MemoryLevel(
        size_bits=size_bits,
        read_energy_pj=draw(st.integers(0, 20)),
        write_energy_pj=draw(st.integers(0, 20)),
        operands=operands,
        ports=tuple(ports),
        served_dimensions=served,
    )


@st.composite
def hierarchies(draw: st.DrawFn) -> Hierarchy:
    """Draw an array of one to three dimensions, up to two registers, at most one buffer, an outer memory."""
    dimensions = {f"D{i + 1}": draw(st.sampled_from((2, 3, 4, 8))) for i in range(draw(st.integers(1, 3)))}
    every = tuple(dimensions)
    levels: dict[str, MemoryLevel] = {}
    for operand in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2)):
        bits = draw(st.sampled_from((16, 32, 64, 128)))
        served = tuple(d for d in every if draw(st.booleans()))
        levels[f"register_{operand}"] = draw(memories((operand,), bits, served))
    buffer = draw(st.sampled_from(BUFFERS))
    if buffer:
        levels["buffer"] = draw(memories(buffer, draw(st.sampled_from((512, 2048, 65536))), every))
    last = draw(st.permutations(NAMES))
    levels["outer"] = draw(memories(tuple(last), HUGE, every))
    core = Hierarchy(array=MacArray(dimensions=dimensions, operation_energy_pj=0.5), memories=levels)
    check_array_access(core, list(levels))
    return core


def _sizes(largest: int) -> st.SearchStrategy[int]:
    return st.integers(1, largest)


def _layer(
    op_type: str, dims: LoopDims | None, inputs: list[tuple[int, ...]], shape: tuple[int, ...]
) -> Layer:
    macs = dims.iterations if dims and op_type in ("Conv", "MatMul") else 0
    return Layer(
        "layer",
        op_type,
        (),
        macs,
        dims,
        tuple(Operand(f"x{i}", own, 8) for i, own in enumerate(inputs)),
        (Operand("y", shape, 8),),
        weight=Operand("w", (1,), 8) if macs else None,
        accumulator_bits=16,
    )


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Draw a convolution (grouped, strided, dilated), matrix product, pooling or sum of two tensors."""
    kind = draw(st.sampled_from(("Conv", "MatMul", "MaxPool", "Add")))
    if kind == "MatMul":
        rows, columns, inner, groups = (draw(_sizes(n)) for n in (12, 12, 12, 3))
        product = LoopDims(rows, groups, columns, inner, 1, 1, 1, 1, 1, 1)
        return _layer(kind, product, [(groups, rows, inner)], (groups, rows, columns))
    if kind == "Add":
        shape = tuple(draw(_sizes(8)) for _ in range(4))
        other = tuple(size if draw(st.booleans()) else 1 for size in shape)
        return _layer(kind, None, [shape, other], shape)
    g, k, c = (draw(_sizes(n)) for n in (4, 10, 10))
    k, c = (k, c) if kind == "Conv" else (1, 1)
    oy, ox, fy, fx = draw(_sizes(10)), draw(_sizes(10)), draw(_sizes(3)), draw(_sizes(3))
    stride, dilation, padding = draw(_sizes(3)), draw(_sizes(2)), draw(st.integers(0, 1))
    iy, ix = (max(1, (o - 1) * stride + (f - 1) * dilation + 1 - padding) for o, f in ((oy, fy), (ox, fx)))
    dims = LoopDims(1, g, k, c, oy, ox, fy, fx, iy, ix, stride, stride, dilation, dilation)
    return _layer(kind, dims, [(1, g * c, iy, ix)], (1, g * k, oy, ox))


nests = layers().map(nest_of)
# Small enough to try all mappings of.
small_products = st.builds(matmul, *[st.integers(1, 6)] * 3).map(
    lambda nest: replace(nest, bits=(("W", 8), ("I", 8), ("O", 16), ("O_final", 8)))
)


@st.composite
def unrollings(draw: st.DrawFn, core: Hierarchy, nest: LoopNest) -> Unrolling:
    """Draw an unrolling of at most one loop per array dimension, each loop once; it may leave remainders."""
    free = [loop for loop, size in nest.loops if size > 1]
    result: dict[str, dict[str, int]] = {}
    for dimension, size in core.array.dimensions.items():
        loop = draw(st.sampled_from((None, *free)))
        if loop is None:
            continue
        free.remove(loop)
        result[dimension] = {loop: draw(st.integers(1, min(size, nest.sizes[loop])))}
    return result


@dataclass(frozen=True)
class Case:
    """A core, a layer and a complete mapping of it that fits."""

    core: Hierarchy
    nest: LoopNest
    mapping: Mapping


@st.composite
def cases(draw: st.DrawFn, whole: bool = False) -> Case:
    """Draw a case; with ``whole``, unrollings leave no remainder. Memories grow until the mapping fits."""
    core, nest = draw(hierarchies()), draw(nests)
    unrolling = draw(unrollings(core, nest))
    if whole:
        unrolling = {
            d: {loop: max(f for f in range(1, factor + 1) if nest.sizes[loop] % f == 0)}
            for d, factors in unrolling.items()
            for loop, factor in factors.items()
        }
    mapping = draw(mappings(core, nest, unrolling))
    return Case(_grown(core, nest, mapping), nest, mapping)


def _grown(core: Hierarchy, nest: LoopNest, mapping: Mapping) -> Hierarchy:
    batch, levels, placed = mapped(nest, core, mapping)
    while not fitting(batch, core, placed, {}, levels)[0]:
        memories = {
            name: level.model_copy(update={"size_bits": min(HUGE, 2 * level.size_bits)})
            for name, level in core.memories.items()
        }
        core = core.model_copy(update={"memories": memories})
    return core


@st.composite
def mappings(draw: st.DrawFn, core: Hierarchy, nest: LoopNest, unrolling: Unrolling) -> Mapping:
    """Draw an order of the temporal loops, and levels for each operand, at random."""
    shape = Shape(nest)
    rng = random.Random(draw(st.integers(0, 2**16)))
    factors = list(temporal_factors(place(shape, core, unrolling, {}).remaining, 6))
    rng.shuffle(factors)
    levels = {}
    for op in nest.operands:
        inner = sorted(rng.randint(0, len(factors)) for _ in core.levels(op)[1:])
        levels[op] = (*inner, len(factors))
    return Mapping(unrolling, tuple((shape.names[i], size) for i, size in factors), levels)
