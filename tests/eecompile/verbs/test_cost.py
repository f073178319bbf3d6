"""`cost` hands on what was told, refuses early, and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from eecompile.run.schedule_options import ScheduleOptions
from eecompile.verbs.work.cost import CostOptions
from passes.errors import InputError
from targets.network.layer import Bits
from targets.objective import EDP, ENERGY
from tests.eecompile.small_models import write_skip_net
from tests.eecompile.verbs.handed_on import handed_on, words
from tests.targets.small_arch import small_text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        (
            {"objective": "energy", "target": "gap9", "exits": ["relu_2"], "head": "conv", "host_scale": 0.0},
            {"objective": ENERGY, "target": "gap9", "exits": ("relu_2",), "head": "conv", "host_scale": 0.0},
        ),
        (
            {"mapping": "m.yaml", "locality": False, "fusion": False, "lpf_limit": "full", "cost_model": "c"},
            {
                "options": CostOptions(Path("m.yaml"), locality=False, fusion=False, lpf_limit="full"),
                "cost_model": "c",
            },
        ),
        (
            {"bits": Bits(8, 8, 16), "save_mapping": "s", "point": "p", "max_latency": 0.5, "trace": "t",
             "rules": "zigzag"},
            {
                "options": CostOptions(
                    bits=Bits(8, 8, 16), save_mapping=Path("s"), point="p", max_latency_s=0.5,
                    trace=Path("t"),
                    rules="zigzag",
                )
            },
        ),
        (
            {
                "schedule": "split", "weights": "fetch", "ratios": [0.5, 0.5], "speculate": True,
                "solver": "exact", "time_limit": 5.0, "lpf_limit": 1,
            },
            {
                "options": CostOptions(
                    lpf_limit=1,
                    scheduling=ScheduleOptions("split", "fetch", (0.5, 0.5), True, "exact", 5.0),
                )
            },
        ),
    ],
    ids=["defaults", "network", "mapping", "files", "schedule"],
)  # fmt: skip
def test_cost_hands_on_what_was_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    defaults = {
        "model": Path("net.onnx"), "target": "diana", "objective": EDP, "cost_model": None, "exits": None,
        "head": "auto", "host_scale": None, "options": CostOptions(), "progress": words,
    }  # fmt: skip
    found = handed_on(
        monkeypatch,
        "eecompile.verbs.work.cost.cost_network",
        lambda: api.cost("net.onnx", **given, progress=words),
    )
    assert found.arguments == defaults | expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lpf_limit": 0}, "`lpf_limit` must be at least 1, or 'full', not 0"),
        ({"head": "liner", "exits": 1}, "unknown head 'liner'"),
        ({"objective": "eap"}, "unknown objective 'eap'"),
        ({"time_limit": 5.0}, "`time_limit` .* changes nothing"),
    ],
)
def test_cost_refuses_values_before_it_opens_a_file(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        api.cost("missing.onnx", **given)
    assert caught.value.hint and caught.value.exit_code == 2


def test_a_file_of_an_accelerator_is_costed_as_asked(tmp_path: Path) -> None:
    model = write_skip_net(tmp_path / "net.onnx")
    (tmp_path / "small.yaml").write_text(small_text())
    (tmp_path / "mapping.yaml").write_text(
        '- name: default\n  spatial_mapping: {D1: ["K, 4"], D2: ["C, 4"]}\n'
    )
    report = api.cost(
        model,
        str(tmp_path / "small.yaml"),
        mapping=tmp_path / "mapping.yaml",
        lpf_limit=4,
        bits=Bits(8, 8, 32, logits=8),
    )
    assert report.target.search is not None and report.target.search.lpf_limit == 4
    assert report.bits == Bits(8, 8, 32, logits=8)


@pytest.mark.parametrize("exits", [1, "relu_0", ["relu_0"], ("relu_0",)])
def test_exits_are_a_number_or_names_and_nothing_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], exits: int | str | Sequence[str]
) -> None:
    model = write_skip_net(tmp_path / "net.onnx")
    found = api.cost(str(model), exits=exits, head="linear")
    assert [path.name for path in found.exits] == ["exit_0", "final"]
    best_or_named = next(
        m.tensor for m in api.inspect(model).mounts if (m.rank == 1 if exits == 1 else m.name == "relu_0")
    )
    assert found.exits[0].mount == best_or_named
    assert capsys.readouterr() == ("", "")
