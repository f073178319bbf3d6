from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import yaml

from passes.errors import InputError
from targets.description.readers.mapping import mapping_of
from targets.description.readers.zigzag import read_zigzag
from tests.targets.description.readers.files import COUNTED, IMC, NAMED, SAVED
from tests.targets.description.readers.test_mapping import CORES, WISHES

JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    10**30,
    0.5,
    float("nan"),
    "",
    "x",
    "I1, fh",
    [],
    [[]],
    {},
    {"x": 1},
    [None],
    {1: 2},
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return container and key of every value below ``value``."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *places(value[key])]]


@pytest.mark.parametrize(
    "text", [NAMED, COUNTED, IMC, WISHES, SAVED], ids=["named", "counted", "imc", "wishes", "saved"]
)
def test_any_value_replaced_by_junk_is_read_or_told(text: str) -> None:
    document = yaml.safe_load(text)
    choose = random.Random(0)
    told = 0
    for index in range(len(places(document))):
        for junk in choose.sample(JUNK, 5):
            broken = copy.deepcopy(document)
            container, key = places(broken)[index]
            container[key] = copy.deepcopy(junk)
            try:
                if text in {WISHES, SAVED}:
                    mapping_of(broken, "x.yaml", CORES)
                else:
                    read_zigzag(broken, "x.yaml")
            except InputError as error:
                assert error.message.startswith("x.yaml: ") and ": " in error.message[8:], error.message
                told += 1
    assert told > 100, "most junk is refused"
