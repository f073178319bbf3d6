"""``--config``: what a file says reaches the verb as flags do, those given win, and what is wrong is told."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eecompile import api
from eecompile.cli import main as cli
from targets.network.layer import Bits

RUN = """
model = "net.onnx"
exits = ["relu_3", "a,b"]
head = ["conv{kernel=5,size=10}", "linear"]
max-drop = 0.5
objective = "energy"
optimistic = true
recycle = false
prune = { cycles = -0.3 }
out = "there"
seed = 0
[bits]
head = 4
backbone = 8
"""


def taken(monkeypatch: pytest.MonkeyPatch, verb: str, *arguments: object) -> dict[str, Any]:
    """Return what reaches the verb."""
    signature = inspect.signature(getattr(api, verb))
    found: dict[str, Any] = {}

    def stop(*given: Any, **named: Any) -> None:
        found.update(signature.bind(*given, **named).arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(api, verb, stop)
    result = CliRunner().invoke(cli.app, [verb, *(str(item) for item in arguments)])
    assert found, result.stderr
    return found


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_values_reach_the_verb_as_those_of_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = {
        "model": Path("net.onnx"), "exits": ("relu_3", "a,b"), "head": ("conv{kernel=5,size=10}", "linear"),
        "max_drop": 0.5, "objective": "energy", "optimistic": True, "recycle": False,
        "prune": {"cycles": -0.3}, "out": Path("there"), "seed": 0, "bits": {"head": 4, "backbone": 8},
        "target": None, "speculate": False,
    }  # fmt: skip
    found = taken(monkeypatch, "run", "--config", written(tmp_path, RUN))
    assert {name: found[name] for name in expected} == expected


def test_what_is_given_beside_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = written(tmp_path, RUN)
    found = taken(
        monkeypatch,
        "run",
        "other.onnx",
        "--max-drop",
        "2",
        "--exits",
        "1",
        "--config",
        path,
        "--bits",
        "head=2",
    )
    assert (found["model"], found["max_drop"], found["exits"]) == (Path("other.onnx"), 2.0, 1)
    assert found["bits"] == {"head": 2} and found["objective"] == "energy"


@pytest.mark.parametrize(
    ("verb", "text", "expected"),
    [
        (
            "cost",
            'model = "n.onnx"\nexits = 2\nratios = [0.5, 0.25, 0.25]\nbits = [8, 8, 16]\nlocality = false\n'
            'lpf_limit = "full"\nhost-scale = 2',
            {
                "exits": 2, "ratios": (0.5, 0.25, 0.25), "bits": Bits(8, 8, 16, logits=8), "locality": False,
                "lpf_limit": "full", "host_scale": 2.0,
            },
        ),
        (
            "compare", 'runs = ["a", "b"]\nfail_if = ["x>1", "y>2"]',
            {"runs": [Path("a"), Path("b")], "fail_if": ("x>1", "y>2")},
        ),
        ("compare", 'runs = ["a", "b"]\nfail-if = "x>1"', {"fail_if": ("x>1",)}),
        ("front", 'studies = ["a", "b"]', {"studies": [Path("a"), Path("b")]}),
        ("whatif", 'study = "a"\n[settings]\n"l1.bytes" = 7', {"settings": {"l1.bytes": 7.0}}),
        ("search", 'space = "s.toml"\ntarget = ["diana", "gap9"]', {"target": ("diana", "gap9")}),
        ("cache", 'keep = 500', {"keep": 500}),
    ],
)  # fmt: skip
def test_each_verb_has_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str, text: str, expected: dict[str, Any]
) -> None:
    found = taken(monkeypatch, verb, "--config", written(tmp_path, text))
    assert {name: found[name] for name in expected} == expected


def refused(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(item) for item in arguments])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_dorp = 1", "`cost` has no option 'max_dorp'"),
        ("objectve = 'edp'", "`cost` has no option 'objectve'\n  did you mean 'objective'?"),
        ("host_scale = 1\nhost-scale = 2", "'host-scale' is there twice"),
        ("host_scale = 'much'", "host_scale: "),
        ("[host_scale]\nx = 1", "host_scale: "),
        ("ratios = [0.5, [1]]", "ratios[1]: a text or a number is meant, not [1]"),
        ("objective = 1979-05-27", "objective: a text or a number is meant"),
        ("config = 'a'", "has no option 'config'"),
        ("exits 3", "is no TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    result = refused("cost", "net.onnx", "--config", path)
    assert result.exit_code == 2 and result.stderr.startswith(f"error: {path}")
    assert said in result.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = refused("cost", "net.onnx", "--config", tmp_path / "none.toml")
    assert result.exit_code == 2 and "none.toml: No such file" in result.stderr


def test_rules_of_options_hold_for_files_too(tmp_path: Path) -> None:
    result = refused("cost", "net.onnx", "--config", written(tmp_path, "time_limit = 5"))
    assert result.exit_code == 2 and "without --solver it changes nothing" in result.stderr
