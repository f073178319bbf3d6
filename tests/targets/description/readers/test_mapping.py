from __future__ import annotations

import pytest

from passes.errors import InputError
from targets.description.mapping import MappingRule
from targets.description.readers.mapping import parse_mapping, read_mapping
from tests.shared_files import shared
from tests.targets.description.readers.files import changed

CORES = dict.fromkeys(("digital", "analog", "pooling"), ("D1", "D2", "D3"))

WISHES = """
- name: default
  spatial_mapping: {D1: ["K, 8"], D2: ["C, 2", "FX, 3"]}
  spatial_mapping_hint: {D3: [OX, OY]}
  temporal_ordering:
    - [OX, 112]
    - [FX, "*"]
    - ["*", "*"]
    - [K, 2]
  memory_operand_links: {O: O, W: I2, I: I1}
- name: Add
  spatial_mapping:
  memory_operand_links: {O: O, W: I1, I: I2}
  core_allocation: [2, 0]
  intra_core_tiling: ["OY, all"]
- name: conv_1
  core_allocation: 1
  intra_core_tiling: ["OY, all"]
  inter_core_tiling: ["K, 4"]
"""


def test_wishes() -> None:
    rules, notes = parse_mapping(WISHES, "wishes.yaml", CORES)
    assert rules == (
        MappingRule(
            "default",
            spatial={"D1": {"K": 8}, "D2": {"C": 2, "FX": 3}},
            hint={"D3": ("OX", "OY")},
            order=(("OX", 112), ("FX", None), ("*", None), ("K", 2)),
        ),
        MappingRule("Add", links={"W": "I", "I": "W"}, cores=(2, 0)),
        MappingRule("conv_1", cores=(1,)),
    )
    assert notes == (
        "wishes.yaml: intra_core_tiling of Add, conv_1 is not used",
        "wishes.yaml: inter_core_tiling of conv_1 is not used",
    )


WRONG = {
    "dict": ("name: default\n", "", "", "name: unknown key"),
    "text": ("default\n", "", "", "expected a list of entries"),
    "empty": ("[]\n", "", "", "needs 1 or more entries"),
    "no name": (WISHES, "name: Add\n  spatial_mapping:", "spatial_mapping:", "[1].name: is missing"),
    "twice": (WISHES, "name: Add", "name: default", "[1].name: 'default' is there twice"),
    "key": (WISHES, "core_allocation: 1", "core_alocation: 1", "did you mean 'core_allocation'"),
    "factor": (WISHES, '"K, 8"', '"K, x"', "[0].spatial_mapping.D1[0]: 'K, x' is no loop with a factor"),
    "loop": (WISHES, '"K, 8"', '"k, 8"', "[0].spatial_mapping.D1[0]: 'k' is no loop name"),
    "order loop": (WISHES, "[OX, 112]", "[XX, 112]", "[0].temporal_ordering[0][0]: 'XX' is no loop name"),
    "dimension": (
        WISHES,
        'D1: ["K',
        'D9: ["K',
        "[0].spatial_mapping.D9: no core it is for has such an array",
    ),
    "accelerator": ("cores: []\n", "", "", "describes an accelerator, not mappings\ngive it with `target`"),
    "hint": (WISHES, "[OX, OY]", "[OX, 8]", "[0].spatial_mapping_hint.D3[1]: expected text, not 8"),
    "order factor": (
        WISHES,
        "[OX, 112]",
        "[OX, 0]",
        "[0].temporal_ordering[0][1]: must be a finite number >= 1",
    ),
    "order text": (
        WISHES,
        "[OX, 112]",
        "[OX, all]",
        "[0].temporal_ordering[0][1]: expected a number, not 'all'",
    ),
    "order pair": (WISHES, "[OX, 112]", "[OX]", "[0].temporal_ordering[0]: has 1 entries"),
    "order any": (
        WISHES,
        "[OX, 112]",
        '["*", 112]',
        "[0].temporal_ordering[0][1]: loops left open have no factor",
    ),
    "order any twice": (
        WISHES,
        "[OX, 112]",
        '["*", "*"]',
        "[0].temporal_ordering[2]: ['*', '*'] is there twice",
    ),
    "link": (WISHES, "W: I2, I: I1", "W: I2, I: I3", "[0].memory_operand_links.I: 'I3' is not known here"),
    "links": (WISHES, "W: I2, I: I1", "W: I1, I: I1", "[0].memory_operand_links: O keeps its memories"),
    "missing link": (WISHES, "W: I2, I: I1", "W: I2", "[0].memory_operand_links.I: is missing"),
    "core": (WISHES, "[2, 0]", "[2, 3]", "[1].core_allocation[1]: there is no core 3\nthe ids are 0 to 2"),
}


@pytest.mark.parametrize(("text", "old", "new", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_mappings_name_the_path(text: str, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_mapping(changed(text, old, new), "map.yaml", CORES)
    assert caught.value.message.startswith("map.yaml: ") and message in str(caught.value)


def test_rules_name_dimensions_of_the_cores_they_are_for() -> None:
    text = '[{name: Conv, spatial_mapping: {D2: ["K, 8"]}, core_allocation: [CORE]}]'
    cores = {"wide": ("D1",), "deep": ("D1", "D2"), "host": ()}
    assert parse_mapping(text.replace("CORE", "0, 1"), "map.yaml", cores)[0][0].spatial == {"D2": {"K": 8}}
    with pytest.raises(InputError, match=r"map.yaml: \[0\].spatial_mapping.D2: .*\ndid you mean 'D1'"):
        parse_mapping(text.replace("CORE", "0"), "map.yaml", cores)


def test_hints_of_dimensions_that_are_not_there_are_told() -> None:
    text = "[{name: Conv, spatial_mapping_hint: {D1: [K], D3: [C]}}]".replace("D1", "rows")
    _, notes = parse_mapping(text, "map.yaml", {"core": ("rows",)})
    assert notes == ("map.yaml: spatial_mapping_hint.D3 (known: rows) of Conv is not used",)


@pytest.mark.parametrize(
    ("path", "notes"),
    [
        ("eenn/mapping/edge_tpu_like_quad_core.yaml", 0),
        ("stream_quad_tpu/mapping/tpu_like_quad_core_ga.yaml", 2),
    ],
)
def test_published_mappings(path: str, notes: int) -> None:
    file = shared("reference", path)
    rules, told = read_mapping(file, {f"core_{i}": ("D1", "D2", "D3", "D4") for i in range(6)})
    assert {rule.name: rule.cores for rule in rules} == {
        **dict.fromkeys(("default", "Conv", "Gemm"), (0, 1, 2, 3)),
        **dict.fromkeys(("Pool", "MaxPool", "AveragePool", "GlobalAveragePool"), (4,)),
        "Add": (5,),
    }
    assert len(told) == notes
