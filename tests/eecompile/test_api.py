"""The typed face: what each verb hands on, what it fills in, and that it prints nothing."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest

from eecompile import api
from eecompile.run.options import RunOptions
from eecompile.run.schedule_options import ScheduleOptions
from eecompile.verbs.compare import compare_runs
from eecompile.verbs.cost import CostOptions
from eecompile.verbs.listing import list_passes, list_targets
from passes.errors import InputError
from targets.network.layer import Bits
from targets.objective import EDP, ENERGY, LATENCY
from tests.eecompile.fabricated_run import write_run
from tests.eecompile.small_models import write_skip_net
from tests.passes.net_builder import NetBuilder
from tests.targets.small_arch import small_text


class StopHereError(Exception):
    """Ends a verb where it would begin to work."""


def handed_on(monkeypatch: pytest.MonkeyPatch, place: str, call: Callable[[], Any]) -> inspect.BoundArguments:
    """Return what ``call`` hands on to the function at ``place``, by the names that has for it."""
    module, _, name = place.rpartition(".")
    function = getattr(__import__(module, fromlist=[name]), name)
    taken: list[inspect.BoundArguments] = []

    def stop(*arguments: Any, **named: Any) -> None:
        taken.append(inspect.signature(function).bind(*arguments, **named))
        raise StopHereError

    with monkeypatch.context() as patch, pytest.raises(StopHereError):
        patch.setattr(place, stop)
        call()
    return taken[0]


def words(text: str) -> None:
    """Take a line of progress."""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, RunOptions(Path("net.onnx"))),
        (
            {"data": "digits", "exits": ["relu_2", "add_1"], "out": "out", "objective": "latency"},
            RunOptions(
                Path("net.onnx"), data="digits", exits=("relu_2", "add_1"), out=Path("out"),
                objective=LATENCY, told=frozenset({"data", "exits", "out"}),
            ),
        ),
        (
            {
                "target": "gap9", "data": "digits", "exits": 3, "head": "conv", "max_drop": 0.0, "seed": 0,
                "optimistic": True, "preprocess": "raw", "cost_model": "m", "point": "p", "speculate": True,
                "min_gain": 0.0, "rules": "zigzag", "schedule": "layers", "max_latency": 0.5,
                "confidence": "gate",
            },
            RunOptions(
                Path("net.onnx"), "gap9", "digits", None, 3, "conv", EDP, 0.0, True, "raw", "m", 0, "p", True,
                0.0, "zigzag", "layers",
                frozenset({
                    "data", "exits", "head", "max_drop", "seed", "optimistic", "preprocess", "cost_model",
                    "point", "speculate", "min_gain", "rules", "schedule", "max_latency", "confidence",
                }),
                0.5,
                confidence="gate",
            ),
        ),
    ],
    ids=["defaults", "some", "zeros are told"],
)  # fmt: skip
def test_run_hands_on_what_was_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], expected: RunOptions
) -> None:
    models: tuple[str | Path, ...] = ("net.onnx", Path("net.onnx"))
    for model in models:
        call = functools.partial(api.run, model, **given, progress=words)
        found = handed_on(monkeypatch, "eecompile.run.main.run", call)
        assert found.arguments == {"options": expected, "progress": words}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        (
            {"out": "new.onnx", "save_stages": "stages", "verify_each": True, "seed": 7},
            {"out": Path("new.onnx"), "save_stages": Path("stages"), "verify_each": True, "seed": 7},
        ),
        (
            {"data": "digits", "preprocess": "unit", "target": "gap9", "progress": words},
            {"data": "digits", "preprocess": "unit", "target": "gap9", "progress": words},
        ),
    ],
)
def test_opt_hands_on_what_was_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    defaults = {
        "model": Path("net.onnx"), "pipeline": "canonicalize", "out": None, "data": None,
        "preprocess": "auto", "target": None, "verify_each": False, "save_stages": None, "seed": 0,
        "progress": api._silent,
    }  # fmt: skip
    found = handed_on(
        monkeypatch,
        "eecompile.verbs.optimize.optimize",
        lambda: api.opt("net.onnx", "canonicalize", **given),
    )
    assert found.arguments == defaults | expected


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_opt_takes_no_seed_that_a_generator_does_not(seed: int) -> None:
    with pytest.raises(InputError, match="`seed` must be between"):
        api.opt("missing.onnx", "canonicalize", verify_each=True, seed=seed)


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
        "eecompile.verbs.cost.cost_network",
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


ANY: Any = api  # for what no type checker lets pass


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda model: ANY.cost(model, exits="1", ratios="0.6,0.4"),
            "`ratios` is a list of numbers, not the text",
        ),
        (lambda model: ANY.cost(model, exits=["relu_0", 1]), "`exits` is a list of texts, and 1 is none"),
        (
            lambda model: ANY.run(model, exits=("relu_0", None)),
            "`exits` is a list of texts, and None is none",
        ),
        (lambda model: ANY.run(model, exits=1.5), "`exits` is how many exits, or their mounts, not 1.5"),
        (
            lambda model: ANY.cost(model, bits="8,8,16"),
            "`bits` is a targets.network.layer.Bits, not '8,8,16'",
        ),
        (lambda model: ANY.compare(model, model, [3]), "`fail_if` is a list of texts, and 3 is none"),
        (lambda model: ANY.compare(model, model, 3), "`fail_if` is a list, not 3"),
    ],
)
def test_what_is_no_list_is_refused(call: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        call(tmp_path / "no_file")


def test_every_verb_doubts_that_an_autoencoder_is_a_classifier(tmp_path: Path) -> None:
    net = NetBuilder((1, 32))
    x = "x"
    for before, after in ((32, 16), (16, 8), (8, 16)):
        x = net.op("Relu", net.op("Gemm", x, net.normal(after, before), transB=1))
    model = tmp_path / "net.onnx"
    onnx.save(net.model(net.op("Gemm", x, net.normal(32, 16), transB=1)), model)
    told = [
        api.run(model, out=tmp_path / "run").summary.warnings,
        api.cost(model, exits=1).notes,
        api.inspect(model).notes,
    ]
    assert [sum("reconstructs its input (an autoencoder)" in text for text in texts) for texts in told] == [
        1
    ] * 3
    assert not any("autoencoder" in text for text in api.cost(model).notes)  # whatever it is, it is costed


def test_a_gate_alone_is_one_gate(tmp_path: Path) -> None:
    a, b = (write_run(tmp_path / name) for name in ("a", "b"))
    alone = api.compare(a, b, fail_if="drop.points>1000")
    assert [result.gate.text for result in alone.gates] == ["drop.points>1000"]
    assert alone.gates == api.compare(a, b, fail_if=["drop.points>1000"]).gates


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


@pytest.mark.parametrize("exits", [1, "1", "relu_0", ["relu_0"], ("relu_0",)])
def test_exits_are_a_number_or_names_and_nothing_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], exits: int | str | Sequence[str]
) -> None:
    model = write_skip_net(tmp_path / "net.onnx")
    found = api.cost(str(model), exits=exits, head="linear")
    assert [path.name for path in found.exits] == ["exit_0", "final"]
    best_or_named = next(
        m.tensor
        for m in api.inspect(model).mounts
        if (m.rank == 1 if exits in (1, "1") else m.name == "relu_0")
    )
    assert found.exits[0].mount == best_or_named
    assert capsys.readouterr() == ("", "")


def test_progress_is_told_to_who_asks_and_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_skip_net(tmp_path / "net.onnx")
    told: list[str] = []
    loud = api.opt(model, "canonicalize,fuse-layers", progress=told.append)
    assert [text for text in told if text in ("canonicalize", "fuse-layers")] == [
        "canonicalize",
        "fuse-layers",
    ]
    quiet = api.opt(model, "canonicalize,fuse-layers")
    assert [step.text for step in quiet.steps] == [step.text for step in loud.steps]
    assert capsys.readouterr() == ("", "")


def test_a_report_is_written_where_asked(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    first = api.report(run)
    assert first.report == run / "report.html"
    other = api.report(str(run), str(tmp_path / "other.html"))
    assert other.report == tmp_path / "other.html"
    assert other.report.read_bytes() == first.report.read_bytes()
    assert other.to_json() == {"schema_version": 1, "report": str(tmp_path / "other.html")}


def test_lists_and_comparisons_are_those_of_the_verbs(tmp_path: Path) -> None:
    assert api.targets("gap9") == list_targets("gap9") and api.targets() == list_targets()
    assert api.passes("quantize") == list_passes("quantize") and api.passes() == list_passes()
    a = write_run(tmp_path / "a")
    gates = ["static.macs>1"]
    assert api.compare(str(a), a, gates) == compare_runs(a, a, gates)
    assert not api.compare(a, a, gates).passed and api.compare(a, a).passed


@pytest.mark.parametrize("name", api.__all__)
def test_every_verb_documents_its_parameters(name: str) -> None:
    verb = getattr(api, name)
    document = inspect.getdoc(verb) or ""
    parameters = inspect.signature(verb).parameters
    if "Args:" in document:
        said = document.partition("Args:")[2].partition("Returns:")[0].partition("Raises:")[0]
        entries = [line.strip().partition(":")[0] for line in said.splitlines() if line.startswith("    ")]
        assert [entry for entry in entries if entry in parameters] == list(parameters)
    else:
        assert all(f"``{p}``" in document for p in parameters) or "see `eecompile.verbs." in document
