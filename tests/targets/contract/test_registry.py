from __future__ import annotations

import pytest

from passes.errors import InputError
from targets.contract import registry
from targets.diana.target import DianaTarget


def test_load_by_name_with_options() -> None:
    target = registry.load_target("diana", cost_model="odimo", host_scale=4.0)
    assert target == DianaTarget("odimo", 4.0)
    assert registry.load_target("diana").cost_model == "match"


def test_unknown_targets_get_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"unknown target 'daina'\ndid you mean 'diana'\?"):
        registry.load_target("daina")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no.such.module:X", "cannot be loaded"),
        ("targets.network.layer:Nope", "cannot be loaded"),
        ("json:loads", "not a Target"),
    ],
)
def test_broken_entry_points_are_told(value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILTIN, "broken", value)
    with pytest.raises(InputError, match=message):
        registry.load_target("broken")
