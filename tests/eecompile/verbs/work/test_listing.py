from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import onnx_graphsurgeon as gs
import pytest

from eecompile.verbs.work import listing
from eecompile.verbs.work.listing import list_passes, list_targets
from passes.base import Pass, to_text
from passes.errors import InputError
from passes.registry import TABLE, parse_pass, pass_class
from targets.contract.registry import load_target, target_table
from tests.targets.small_arch import small_text
from tests.targets.validated import COVERAGE, validate


@dataclass(frozen=True)
class Example(Pass):
    """Does ``this`` and that.

    A note before the rules.

    1. The first rule,
       told on two lines.
    2. A second with ``code`` in it.

    A note behind them.
    """

    name: ClassVar[str] = "example"
    count: int
    at: tuple[str, ...] = ("a", "b")
    deep: bool = True

    def run(self, graph: gs.Graph) -> bool:
        return graph is None


def test_a_pass_is_told_as_its_documentation_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "pass_class", lambda _: Example)
    found = list_passes("example")
    assert found.detailed
    (entry,) = found.passes
    assert entry.summary == "Does 'this' and that."
    assert entry.rules == ("The first rule, told on two lines.", "A second with 'code' in it.")
    assert "A note before the rules." in entry.notes and "A note behind them." in entry.notes
    assert "rule" not in entry.notes.replace("rules", "")
    options = [(option.name, option.type, option.default) for option in entry.options]
    assert options == [("count", "int", "required"), ("at", "tuple[str …]", "a+b"), ("deep", "bool", "true")]


def test_every_pass_says_what_it_does_by_which_rules_with_which_options() -> None:
    found = list_passes()
    assert [entry.name for entry in found.passes] == list(TABLE)
    assert not found.detailed
    for entry in found.passes:
        assert entry.summary.endswith("."), entry.name
        assert entry.rules, entry.name
        assert all("``" not in text for text in (entry.summary, entry.notes, *entry.rules))
        fields = [item.name for item in dataclasses.fields(pass_class(entry.name))]  # type: ignore[arg-type]
        assert [option.name for option in entry.options] == fields


@pytest.mark.parametrize("name", TABLE)
def test_defaults_are_those_the_text_form_leaves_out(name: str) -> None:
    """Written out in full, the defaults give the pass that its bare name gives."""
    options = list_passes(name).passes[0].options
    given = [f"{o.name}={o.default}" for o in options if o.default not in ("required", "", "None")]
    if any(option.default == "required" for option in options):
        pytest.skip("has no bare form")
    full = parse_pass(f"{name}{{{','.join(given)}}}" if given else name)
    assert to_text(full) == to_text(parse_pass(name))


def test_unknown_names_get_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        list_passes("canonicalise")
    assert caught.value.hint == "did you mean 'canonicalize'?"
    with pytest.raises(InputError) as caught:
        list_targets("dianna")
    assert caught.value.hint == "did you mean 'diana'?; or give the path of the .yaml of an accelerator"
    path = tmp_path / "mine.yaml"
    path.write_text(small_text())
    (found,) = list_targets(str(path)).targets
    assert [core.schemes for core in found.cores] == [("int8-channel",)] and "Conv" in found.cores[
        0
    ].operators


@pytest.mark.parametrize("name", target_table())
def test_a_target_is_told_as_it_is(name: str) -> None:
    found = list_targets(name)
    target = load_target(name)
    assert found.detailed
    (entry,) = found.targets
    assert entry.name == name
    assert entry.summary.endswith(".")
    assert [core.name for core in entry.cores] == [core.name for core in target.arch.cores]
    for core in entry.cores:
        assert core.schemes == target.schemes.get(core.name, ())
        assert set(core.operators) == {row.op_type for row in entry.support if row.core == core.name}
    assert list(entry.cost_models) == list(target.cost_models), "the first is the default"
    assert list(entry.schedules) == list(target.schedules), "the first is the default"
    assert all(len(words.split()) > 3 for words in entry.schedules.values())
    assert entry.clock_hz == target.arch.clock_hz
    if entry.operating_points:
        first = entry.operating_points[0]
        assert (first.clock_hz, first.energy_scale) == (entry.clock_hz, 1.0)
    figures = target.arch.figures()
    assert {figure.path: (figure.value, figure.known) for figure in entry.figures} == {
        path: (figure.value, figure.known) for path, figure in figures.items()
    }
    assert all(figure.source for figure in entry.figures)


def test_each_cost_model_tells_its_error_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    validate(monkeypatch, "diana")
    models = list_targets("diana").targets[0].cost_models
    assert models["match"]["validation"] == "measured"
    assert models["match"]["intervals"]["latency"]["nominal_coverage"] == pytest.approx(COVERAGE)
    assert models["odimo"]["validation"] == "none" and models["odimo"]["intervals"] is None


def test_lists_are_whole_and_of_one_form() -> None:
    targets, passes = list_targets(), list_passes()
    assert [entry.name for entry in targets.targets] == sorted(target_table())
    for document, key in ((targets.to_json(), "targets"), (passes.to_json(), "passes")):
        assert document["schema_version"] == 1
        assert list(document) == ["schema_version", key]
        assert json.loads(json.dumps(document))[key][0]["name"] == document[key][0]["name"]
    one = list_targets("gap9").to_json()["targets"][0]
    assert one == next(entry for entry in targets.to_json()["targets"] if entry["name"] == "gap9")


def test_a_target_of_an_installed_package_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_target.py").write_text(
        "from targets.gap9.target import Gap9Target\n"
        "class Theirs(Gap9Target):\n    '''A board of theirs.'''\n    name = 'theirs'\n"
    )
    information = tmp_path / "theirs-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[eecompile.targets]\ntheirs = their_target:Theirs\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        (entry,) = (target for target in list_targets().targets if target.name == "theirs")
    finally:
        sys.modules.pop("their_target", None)
    assert entry.summary == "A board of theirs."
