from __future__ import annotations

from dataclasses import dataclass

import pytest

from passes.errors import InputError
from targets.contract.registry import load_target, target_table
from targets.contract.target import Target
from targets.description.architecture import Architecture
from targets.description.changes import Change, changed
from targets.diana.whole_layers import WholeLayers

QUAD = load_target("edge_tpu_quad").arch
GAP9 = load_target("gap9").arch


def test_a_number_is_found_by_names_and_says_where_it_comes_from() -> None:
    arch, changes = changed(GAP9, {"memories.l1.size_bytes": 65536})
    assert changes == (Change("memories.l1.size_bytes", 131072, 65536),)
    assert arch.size_bytes("l1") == 65536 and GAP9.size_bytes("l1") == 131072
    figure = arch.memory("l1").size_bytes
    assert (figure.known, figure.source) == ("placeholder", "what if: instead of 131072")
    assert changed(GAP9, {"memories[0].size_bytes": 65536})[0] == arch


def test_a_star_stands_for_all_parts_that_have_the_number() -> None:
    before = {core.name: core.array.operation_energy_pj for core in QUAD.cores if core.array}
    arch, changes = changed(QUAD, {"cores.*.array.operation_energy_pj": 7})
    after = {core.name: core.array.operation_energy_pj for core in arch.cores if core.array}
    assert set(after.values()) == {7} and len(changes) == len(after) == len(before) < len(QUAD.cores) + 1
    told = arch.figures()["cores[0].array.operation_energy_pj"]
    assert (told.known, told.source.partition(":")[0]) == ("placeholder", "what if")
    assert {change.path: change.old for change in changes} == {
        f"cores.{name}.array.operation_energy_pj": old for name, old in before.items()
    }


def test_nothing_else_changes() -> None:
    for name in target_table():
        arch = load_target(name).arch
        path = next(path for path in arch.figures() if path.startswith("cores[0]"))
        value = arch.figures()[path].value
        again, _ = changed(arch, {path: value})
        assert {p: f.value for p, f in again.figures().items()} == {
            p: f.value for p, f in arch.figures().items()
        }


def test_energy_follows_the_voltage_again() -> None:
    assert GAP9.operating_points[1].energy_scale is not None
    told = GAP9.model_dump(exclude_unset=True)
    point = dict(told["operating_points"][1])
    derived = {key: value for key, value in point.items() if key != "energy_scale"}
    told["operating_points"] = (told["operating_points"][0], derived)
    arch = Architecture.model_validate(told)
    lower, _ = changed(arch, {"operating_points[1].voltage_v": 0.4})
    assert lower.operating_points[1].scale == pytest.approx((0.4 / 0.8) ** 2)


@pytest.mark.parametrize(
    ("path", "value", "said", "hint"),
    [
        ("memories.l4.size_bytes", 1, "memories: has no 'l4'", "did you mean 'l"),
        ("memory.l1.size_bytes", 1, "the description: has no 'memory'", "'memories'"),
        ("memories.l1", 1, "memories.l1: is no number", "size_bytes"),
        ("name", 1, "name: is no number", ""),
        ("memories.l1.size_bytes.value.x", 1, "size_bytes.value: is a number itself", "leave '.x' away"),
        ("cores.*.nothing", 1, "no part of gap9 has it", "it has"),
        ("memories..size_bytes", 1, "is no path of a number", "example"),
        ("memories.l1.size_bytes", float("inf"), "is no finite number", "example"),
    ],
)
def test_what_is_no_number_of_the_hardware(path: str, value: float, said: str, hint: str) -> None:
    with pytest.raises(InputError) as error:
        changed(GAP9, {path: value})
    assert said in error.value.message and hint in error.value.hint


def test_a_number_that_it_cannot_have() -> None:
    with pytest.raises(
        InputError, match=r"gap9 with memories.l1.size_bytes: memories\[0\].size_bytes: must be"
    ):
        changed(GAP9, {"memories.l1.size_bytes": -1})


@pytest.mark.parametrize("name", sorted(target_table()))
def test_targets_take_another_description(name: str) -> None:
    target = load_target(name)
    path = next(path for path in target.arch.figures() if path.startswith("cores[0]"))
    arch, _ = changed(target.arch, {path: 2 * target.arch.figures()[path].value})
    other = target.with_architecture(arch)
    assert other.arch == arch != target.arch and type(other) is type(target)


@dataclass(frozen=True)
class _Fixed(WholeLayers):
    @property
    def arch(self) -> Architecture:
        return GAP9


def test_one_that_does_not_look_there_refuses() -> None:
    target: Target = _Fixed()
    with pytest.raises(InputError, match="do not follow from a description that may be changed"):
        target.with_architecture(GAP9.model_copy(update={"name": "other"}))
