"""Ways to run a layer: what is held, on which cores, in how many parts; each by hand from the sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from targets.network.layer import Layer
from targets.schedule.freedom import Freedom
from targets.schedule.network import ALL_HELD, Held, Network
from targets.schedule.plan import LayerChoice, Segment
from targets.schedule.search.candidates import Candidates, single
from targets.schedule.tiles import WHOLE, Cut, tiles_of
from tests.targets.schedule.hand_networks import TableCosts, bus_machine, conv, image, network, pointwise


def held_of(made: Network, freedom: Freedom | None = None) -> list[str]:
    (tile,) = tiles_of(made.layer(0), WHOLE)
    found = Candidates(made, freedom or Freedom()).held_for(0, tile, "a")
    return ["".join(sorted(held)) for held in found]


# A convolution of 512 bits in and out and weights of 128. Where not all fits, weights are left off chip
# first, then results, then images, then two of them, then all.
@pytest.mark.parametrize(
    ("size_bits", "held"),
    [
        (None, ["IOW", "IO", "IW", "OW", "I", "O", "W", ""]),
        (1152, ["IOW", "IO", "IW", "OW", "I", "O", "W", ""]),
        (1151, ["IO", "IW", "OW", "I", "O", "W", ""]),
        (1023, ["IW", "OW", "I", "O", "W", ""]),
        (639, ["I", "O", "W", ""]),
        (511, ["W", ""]),
        (127, [""]),
    ],
)
def test_most_is_held_first_and_nothing_that_does_not_fit(size_bits: int | None, held: list[str]) -> None:
    made = network([conv("one", "x")], TableCosts({}), bus_machine("ab", size_bits))
    assert held_of(made) == held
    assert held_of(made, Freedom(hold=False)) == [""]


def test_each_store_has_its_own_room_and_off_chip_it_does_not_matter() -> None:
    machine = bus_machine("ab", 600, 1)
    stores = {("a", "I"): "a.sram", ("a", "O"): "b.sram"}
    made = network([conv("one", "x")], TableCosts({}), replace(machine, operand_stores=stores))
    # Image and result have a store each; the weights lie off chip anyway, however little fits there.
    assert held_of(made)[0] == "IOW"


def test_results_are_held_together_or_not_at_all() -> None:
    both = replace(pointwise("one", "x"), outputs=(image("first"), image("second")))
    for size_bits, held in ((1536, ["IOW", "IW", "OW", "W"]), (1535, ["IW", "OW", "W"]), (1023, ["IW", "W"])):
        made = network([both], TableCosts({}), bus_machine("ab", size_bits))
        assert held_of(made) == held


def test_an_operand_there_is_none_of_is_not_left_out() -> None:
    made = network([pointwise("one", "x")], TableCosts({}), bus_machine("ab", 1024))
    assert held_of(made) == ["IOW", "IW", "OW", "W"]
    # The second input of a sum is its operand W.
    made = network([pointwise("one", "x", "y")], TableCosts({}), bus_machine("ab", 1024))
    assert held_of(made) == ["IO", "IW", "OW", "I", "O", "W", ""]


def without_weights(tile: Layer, core: str, held: Held) -> bool:  # noqa: ARG001
    """Refuse to hold weights on the first two cores."""
    return core in "ab" and "W" in held


def test_whole_on_the_first_core_of_each_kind_with_the_most_that_has_a_mapping() -> None:
    costs = TableCosts({"one": 100}, ("a", "b", "c", "d"), {"b": 2, "d": 3}, refuses=without_weights)
    made = network([conv("one", "x")], replace(costs, only={"one": ("a", "b", "c")}))
    candidates = Candidates(made, Freedom())
    assert candidates.groups(0) == [("a", "c"), ("b",)], "alike cores together, and none that does not run it"
    without = frozenset("IO")
    assert candidates.whole(0) == (
        LayerChoice(("a",), WHOLE, without),
        LayerChoice(("b",), WHOLE, without),
    )
    nowhere = replace(made, costs=replace(costs, refuses=lambda *_: True))
    assert Candidates(nowhere, Freedom()).whole(0) == ()


def splits(made: Network, freedom: Freedom | None = None) -> list[tuple[str, int, str]]:
    """Return axis, parts and cores of all splits of the first layer."""
    found = Candidates(made, freedom or Freedom()).split(0)
    return [(choice.cut.axis, choice.cut.parts, "".join(choice.cores)) for choice in found]


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        ("a", []),
        ("ab", [("OY", 2, "ab"), ("K", 2, "ab")]),
        # There are but 4 channels.
        (
            "abcdef",
            [("OY", 2, "ab"), ("OY", 4, "abcd"), ("OY", 6, "abcdef"), ("K", 2, "ab"), ("K", 4, "abcd")],
        ),
    ],
)
def test_layers_are_cut_over_as_many_alike_cores_as_there_are_and_over_fewer(
    cores: str, expected: list[tuple[str, int, str]]
) -> None:
    made = network([conv("one", "x")], TableCosts({"one": 96}, tuple(cores)))
    assert splits(made) == expected
    assert splits(made, Freedom(split=False)) == splits(made, Freedom(hold=False)) == []


def test_every_part_needs_a_mapping() -> None:
    def two_rows(tile: Layer, core: str, held: Held) -> bool:  # noqa: ARG001
        return tile.outputs[0].shape[2] == 2

    # Of three parts of 8 rows the last has 2.
    made = network([conv("one", "x")], TableCosts({"one": 96}, ("a", "b", "c"), refuses=two_rows))
    assert splits(made) == [("OY", 2, "ab"), ("K", 2, "ab"), ("K", 3, "abc")]


def test_alike_cores_share_a_layer_and_others_do_not() -> None:
    made = network([conv("one", "x")], TableCosts({"one": 96}, ("a", "b", "c"), {"b": 2}))
    assert splits(made) == [("OY", 2, "ac"), ("K", 2, "ac")]


# Whole 100 cycles, halves 50, and what any tile takes to start: 449 are less than 0.9 of 499, 450 no less
# than 0.9 of 500.
@pytest.mark.parametrize(("starting", "counts"), [(0, True), (399, True), (400, False)])
def test_a_cut_counts_only_if_it_is_much_shorter(starting: int, counts: bool) -> None:
    made = network([conv("one", "x")], TableCosts({"one": 100}, starting=starting))
    assert bool(splits(made)) is counts


@pytest.mark.parametrize(
    ("size_bits", "expected"),
    [
        # Whole, image and result take 512 bits each; by rows or channels halves take 256, quarters 128.
        (1024, []),
        (1023, [("OY", 2, "aa"), ("OY", 4, "aaaa"), ("K", 2, "aa"), ("K", 4, "aaaa")]),
        # Halves hold both, of which the whole holds one.
        (512, [("OY", 2, "aa"), ("OY", 4, "aaaa"), ("K", 2, "aa"), ("K", 4, "aaaa")]),
        # Halves hold one of them, of which the whole holds none.
        (511, [("OY", 2, "aa"), ("OY", 4, "aaaa"), ("K", 2, "aa"), ("K", 4, "aaaa")]),
        # Halves hold none either.
        (128, [("OY", 4, "aaaa"), ("OY", 8, "aaaaaaaa"), ("K", 4, "aaaa")]),
        (63, []),
    ],
)
def test_one_core_takes_parts_in_turn_where_they_can_be_held_and_the_whole_cannot(
    size_bits: int, expected: list[tuple[str, int, str]]
) -> None:
    made = network([pointwise("one", "x")], TableCosts({"one": 96}, ("a",)), bus_machine("a", size_bits))
    assert splits(made) == expected
    found = Candidates(made, Freedom())
    assert all(len(choice.held) > len(found.whole(0)[0].held) for choice in found.split(0))


def test_what_runs_in_parts_alone_is_cut() -> None:
    def only_rows(tile: Layer, core: str, held: Held) -> bool:  # noqa: ARG001
        return tile.outputs[0].shape[2] > 2

    made = network([pointwise("one", "x")], TableCosts({"one": 96}, ("a",), refuses=only_rows))
    assert Candidates(made, Freedom()).whole(0) == ()
    assert splits(made) == [("OY", 4, "aaaa"), ("OY", 8, "aaaaaaaa")]


@pytest.mark.parametrize(("layers", "parts"), [(400, 4), (401, 3), (534, 2), (900, 2)])
def test_the_more_layers_the_fewer_parts(layers: int, parts: int) -> None:
    # 1,600 parts for all layers together, but two of each are always tried.
    chain = [pointwise(f"l{i}", f"l{i - 1}.out" if i else "x") for i in range(layers)]
    made = network(chain, TableCosts({layer.name: 96 for layer in chain}, ("a", "b", "c", "d")))
    assert max(count for _, count, _ in splits(made)) == parts


def test_the_cost_of_a_tile_is_that_of_its_part() -> None:
    made = network([pointwise("one", "x")], TableCosts({"one": 128}, ("a", "b"), {"b": 2}))
    candidates = Candidates(made, Freedom())
    # Of 8 rows the first two of three parts have 3, the last 2; the second core takes twice as long.
    choice = LayerChoice(("a", "b", "a"), Cut("OY", 3))
    assert [candidates.cost(0, choice, n).latency_cycles for n in range(3)] == [48, 96, 32]
    never = Candidates(replace(made, costs=TableCosts({}, refuses=lambda *_: True)), Freedom())
    with pytest.raises(ValueError, match=r"'one\[2/3\]' does not run on b"):
        never.cost(0, choice, 1)


def test_ways_are_found_once_for_networks_that_do_not_differ_in_them() -> None:
    asked: list[str] = []

    def asking(tile: Layer, core: str, held: Held) -> bool:  # noqa: ARG001
        asked.append(core)
        return False

    made = network([conv("one", "x")], TableCosts({"one": 96}, refuses=asking))
    candidates = Candidates(made, Freedom())
    found: Sequence[LayerChoice] = (*candidates.whole(0), *candidates.split(0))
    count = len(asked)
    other = candidates.on(replace(made, thrifty=True, keep_share=1.0))
    assert other.network.thrifty and not candidates.network.thrifty
    assert (*other.whole(0), *other.split(0)) == tuple(found)
    assert len(asked) == count


def test_a_layer_alone_is_a_segment_of_one() -> None:
    choice = LayerChoice(("a",), WHOLE, ALL_HELD)
    assert single(3, choice) == Segment((3,), (choice,))


def test_what_only_fits_in_parts_has_no_way_where_nothing_may_be_cut() -> None:
    def never_whole(tile: Layer, core: str, held: Held) -> bool:  # noqa: ARG001
        return tile.outputs[0].shape == image("x").shape

    made = network([conv("one", "x")], TableCosts({"one": 100}, refuses=never_whole))
    found = Candidates(made, Freedom())
    assert found.complete and found.split(0) and not found.whole(0)
    whole = found.allowed(Freedom(split=False))
    assert not whole.complete and not whole.split(0)
    assert found.split(0), "what is found with less freedom takes nothing away"
    assert found.allowed(Freedom(fuse=False)).split(0) == found.split(0)
