"""Words and their energy, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from targets.cost.model.energy import Access, accesses, moved_words
from targets.cost.model.nest import LoopNest
from targets.cost.model.traffic import chains
from targets.description.hierarchy import Hierarchy, Port
from targets.description.mapping import Mapping
from tests.targets.cost.small import WIDE, core, mapped, matmul, memory, outer

ONE = {"D1": 1}


@pytest.mark.parametrize(
    ("granularity", "elements", "bits", "count", "units", "words"),
    [
        # 36 bits are one word of 64, or five parts of 8 bits.
        (None, 3, 12, 4, 2, 8),
        (8, 3, 12, 4, 2, 5),
        # Words are counted whole per transfer: 3.75 and 0.375 of them.
        (8, 1, 40, 6, 1, 3),
        (8, 1, 8, 3, 1, 0),
        # Two words and a bit are three.
        (None, 43, 3, 1, 1, 3),
        (None, 0, 8, 4, 2, 0),
    ],
)
def test_words_by_hand(
    granularity: int | None, elements: float, bits: float, count: float, units: float, words: float
) -> None:
    port = Port(name="r", bandwidth_bits_per_cycle=64, granularity_bits=granularity, serves=("I to_below",))
    moved = moved_words(port, np.array([elements]), bits, np.array([count]), units)
    assert moved.tolist() == [words]


def found(nest: LoopNest, level: Hierarchy, mapping: Mapping) -> dict[tuple[str, str, str], Access]:
    batch, levels, placed = mapped(nest, level, mapping)
    made = accesses(level, chains(batch, levels, placed.mean), {})
    return {(a.operand, a.memory, a.direction): a for a in made}


def test_reads_and_writes_are_told_apart_by_where_data_goes() -> None:
    """Four inputs of a byte enter and leave a register of 16-bit words one by one, in two units."""
    two = {"D1": 2}
    register = memory("I", 64, {"I from_above, I to_below": 16}).model_copy(
        update={"read_energy_pj": 3.0, "write_energy_pj": 5.0}
    )
    level = core(two, register_I=register, outer=outer({}, two))
    mapping = Mapping({"D1": {"D": 2}}, (("C", 4),), {"O": (1,), "W": (1,), "I": (0, 1)})
    moved = found(matmul(d=2, c=4), level, mapping)
    read, written = moved["I", "register_I", "to_below"], moved["I", "register_I", "from_above"]
    assert read.words.tolist() == written.words.tolist() == [4 * 2]
    # One memory serves both units at once, from wide words.
    assert moved["I", "outer", "to_below"].words.tolist() == [4]
    assert read.energy_pj.tolist() == [8 * 3] and written.energy_pj.tolist() == [8 * 5]


def test_outputs_are_written_from_below_and_read_to_above() -> None:
    """One sum adds up four products; it leaves once."""
    sums = memory("O", 8, dict.fromkeys(("O from_below", "O to_below", "O to_above", "O from_above"), 8))
    sums = sums.model_copy(update={"read_energy_pj": 3.0, "write_energy_pj": 5.0})
    level = core(ONE, sums=sums, outer=outer({}, ONE))
    moved = found(matmul(c=4), level, Mapping({}, (("C", 4),), {"O": (1, 1), "W": (1,), "I": (1,)}))
    spent = {
        way: float(moved["O", "sums", way].energy_pj[0]) for way in ("from_below", "to_below", "to_above")
    }
    assert spent == {"from_below": 4 * 5, "to_below": 4 * 3, "to_above": 3}
    # Nothing comes back.
    assert moved["O", "sums", "from_above"].energy_pj.tolist() == [0]


def test_without_a_port_what_moves_costs_all_there_is_and_what_does_not_move_nothing() -> None:
    """Sums that cannot come back from above: fine with all of C below them, not with a part above."""
    sums = memory("O", 8, dict.fromkeys(("O from_below", "O to_below", "O to_above"), WIDE))
    level = core(ONE, sums=sums, outer=outer({}, ONE))
    rest = {"W": (3,), "I": (3,)}
    whole = Mapping({}, (("C", 2), ("C", 2), ("K", 2)), {"O": (2, 3), **rest})
    split = Mapping({}, (("C", 2), ("K", 2), ("C", 2)), {"O": (1, 3), **rest})
    assert ("O", "sums", "from_above") not in found(matmul(c=4, k=2), level, whole)
    lost = found(matmul(c=4, k=2), level, split)["O", "sums", "from_above"]
    assert lost.words.tolist() == lost.energy_pj.tolist() == [math.inf]
    # Side by side, one of them is lost.
    batch, levels, placed = mapped(matmul(c=4, k=2), level, whole, split)
    costs = sum(a.energy_pj for a in accesses(level, chains(batch, levels, placed.mean), {}))
    assert np.isfinite(costs).tolist() == [True, False]
