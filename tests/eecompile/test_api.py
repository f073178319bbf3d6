"""The typed face: which verbs there are, what all of them refuse and document."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from eecompile import api
from passes.errors import InputError
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
        "report", "run", "search", "targets", "whatif", "why",
    ]  # fmt: skip
    public = {name for name in vars(api) if not name.startswith("_")}
    assert public - {"annotations"} == {*api.__all__}
