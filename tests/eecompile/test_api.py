"""The typed face: which verbs there are, what all of them refuse and document."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import onnx
import pytest

import eecompile
import targets
from eecompile import api
from eecompile.search.dry_run import Corner, DryRun
from eecompile.search.joining import Joined
from eecompile.search.searching import SearchResult
from eecompile.search.several_targets import TargetsDryRun, TargetsResult
from eecompile.search.what_if import WhatIf
from eecompile.serving.figures import Interval
from eecompile.serving.result import ServedRow, ServedStream, SimulationResult
from eecompile.split.splitting import SplitResult
from eecompile.verbs.front import FrontComparison
from eecompile.verbs.search import TrialReason
from eecompile.verbs.work.doctor import Diagnosis, Finding
from eecompile.verbs.work.export import ExportResult
from eecompile.verbs.work.export_models import ServableResult
from eecompile.verbs.work.quantize import ExitAccuracy, QuantizeResult, SplitAccuracy
from eecompile.verbs.work.quantize_options import QuantizeOptions
from passes.errors import InputError
from passes.shown_result import ShownResult
from tests.eecompile.small_models import write_skip_net
from tests.passes.net_builder import NetBuilder

ANY: Any = api  # for what no type checker lets pass


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda model: ANY.cost(model, exits=1, ratios="0.6,0.4"),
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
        (lambda model: ANY.compare([model, model], [3]), "`fail_if` is a list of texts, and 3 is none"),
        (ANY.compare, "`runs` is a list of two or more runs, not "),
        (lambda model: ANY.compare([model]), "`runs` has 1 run: there is nothing to compare"),
        (lambda model: ANY.compare([model, model], 3), "`fail_if` is a list, not 3"),
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
        assert all(f"``{p}``" in document for p in parameters)


def test_the_names_are_these() -> None:
    assert api.__all__ == [
        "cache", "compare", "cost", "doctor", "export", "front", "inspect", "opt", "passes", "quantize",
        "report", "retune", "run", "search", "serve", "simulate", "split",
        "targets", "whatif", "why",
    ]  # fmt: skip
    public = {name for name in vars(api) if not name.startswith("_")}
    assert public - {"annotations"} == {*api.__all__}


INSIDE_ENGINES = ("mlserver_runtime", "ray_app")
"""Modules that only servers of others import, which are not installed here; they hold no results."""


def subclasses() -> set[type[ShownResult]]:
    """Return the classes of results, of all modules of the package."""
    for package in (eecompile, targets):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", *INSIDE_ENGINES)):
                importlib.import_module(module.name)
    return {found for found in leaves(ShownResult) if found.__module__.split(".")[0] != "tests"}


def leaves(kind: type[ShownResult]) -> Iterator[type[ShownResult]]:
    """Yield the classes below ``kind`` that have none below them."""
    for below in kind.__subclasses__():
        yield from leaves(below) if below.__subclasses__() else (below,)


LONG = "a name of a network or folder " * 20
POINT = {"trial": 1, "point": 0, "design": LONG, "accuracy_val": 0.5, "edp_j_cycles": 2.0, "on_front": True}
FRONT = {"points": [POINT] * 300, "target": "diana", "compared_by": ["accuracy_val", "edp_j_cycles"]}
SPLIT = SplitAccuracy(10, 0.5, (0.4, 0.6), 0.4, (0.3, 0.5), 1.0, (0.0, 2.0))


def results(at: Path) -> Iterator[ShownResult]:
    """Yield a result of each class, most of them with more to tell than a line holds."""
    model = write_skip_net(at / "net.onnx")
    run = api.run(model, exits=1, out=at / LONG[:100] / LONG[:100])
    yield from (run, api.cost(model, exits=1), api.inspect(model), api.opt(model, "canonicalize"))
    yield from (api.report(run.out), api.compare([run.out, run.out, run.out]), api.targets(), api.passes())
    yield api.cache(at / "cache")
    yield Diagnosis((Finding(LONG, "fail", LONG, LONG),) * 50)
    yield ExportResult(at, ("net.onnx",), LONG, ("final",), 1, 2)
    yield ServableResult("ray-serve", LONG, at, ("net.onnx",), ("final",))
    yield TrialReason(1, LONG, "infeasible", [{"constraint": LONG, "reached": 2.0, "asked": 1.0}], [LONG])
    search = SearchResult(at, FRONT, (), 1.0, cast("Any", None))
    dry = DryRun(LONG, 3, ("accuracy", "edp"), (Corner(LONG, LONG, {}, 1, "", 0.5),), 2, None)
    spread = {name: Interval(0.5, None, None) for name in ("missed", "p99_s")}
    rows = [ServedRow(LONG, LONG, LONG, spread, [spread], None)] * 50
    asked = [ServedStream(LONG, LONG, 1.0, 0.1, 1.0)]
    yield SimulationResult([LONG] * 3, asked, 1.0, 0.5, 2.0, 2.0, [], 10, [0], rows, [LONG])
    yield SplitResult(LONG, LONG, "latency", (1.0, 2.0), 0.1, 1.0, LONG, LONG, [], 1, 2, at / LONG)
    yield from (search, dry, Joined(LONG, 3), WhatIf(at / LONG, FRONT))
    yield TargetsResult(at, {LONG: search, "gap9": search}, (), 2.0)
    yield TargetsDryRun({LONG: dry, "gap9": dry})
    shown = SimpleNamespace(title=LONG, points=(SimpleNamespace(name="1", figures={"a": 1.0, "b": 2.0}),))
    shown.objectives = ("a", "b")
    yield FrontComparison((cast("Any", shown),) * 9, {}, (), (), (at,))
    options = QuantizeOptions(at / LONG, "digits")
    yield QuantizeResult(
        options, "raw", (), 3, {}, None, (), (ExitAccuracy("final", SPLIT, SPLIT),), (), {}, (), 1, (), 0.5,
        (), (LONG,), (), at / LONG,
    )  # fmt: skip


def test_every_result_is_a_line_a_table_and_a_picture(tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("pandas")
    pytest.importorskip("optuna")
    found = list(results(tmp_path))
    assert {type(result) for result in found} == subclasses()
    for result in found:
        line = repr(result)
        assert len(line) < 200 and "\n" not in line and line.startswith(f"<{type(result).__name__}: ")
        rows, (across, up) = result._rows(), result._axes()
        assert len(result.to_frame()) == len(rows)
        assert {tuple(row) for row in rows} <= {tuple(rows[0])} if rows else True
        assert all(across in row and up in row for row in rows)
        assert "<table>" in result._repr_html_()
        if not isinstance(result, Diagnosis):
            result.plot()
        pyplot.close("all")
