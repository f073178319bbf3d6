"""Golden tests: each ``golden/*.onnxtxt`` holds a graph, the passes to RUN and what to CHECK behind them.

Comment lines set what calibration would: ``# GRID: tensor scale [low high]`` (uint8 around 128) and
``# WEIGHT_GRID: tensor scale …`` (int8; several scales are per output channel). Exits come from the
model's metadata.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import onnx
import onnx.parser
import onnx.printer
import pytest
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser, pattern_for_opts

from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.grids import activation_grid, weight_grid

FILES = sorted((Path(__file__).parent / "golden").glob("*.onnxtxt"))


def transform(text: str) -> str:
    """Return the graph of a golden file after its RUN line, with origins and declines as comments."""
    pipeline = re.search(r"#\s*RUN:\s*(.+)", text)
    assert pipeline is not None, "a golden file needs a line '# RUN: <pipeline>'"
    graph = from_model(onnx.parser.parse_model(text))
    state = state_of(graph)
    for kind, name, numbers in re.findall(r"# (GRID|WEIGHT_GRID): (\S+) (.+)", text):
        given = [float(number) for number in numbers.split()]
        if kind == "WEIGHT_GRID":
            state.grids[name] = weight_grid(*given)
        else:
            state.grids[name] = activation_grid(given[0], *(int(v) for v in given[1:]))
    parse_pipeline(pipeline.group(1).strip())(graph)
    model = to_model(graph)
    for tensor in model.graph.initializer:  # onnx before 1.23 prints no values that are stored as bytes
        values = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, tensor.data_type, values.shape, values.ravel()))
    lines = [onnx.printer.to_text(model)]
    lines += [f"# origin {node.name}: {' '.join(state.origins[node.name])}" for node in graph.nodes]
    lines += [f"# layer {node.name}: {state.layers[node.name]}" for node in graph.nodes if state.layers]
    lines += [f"# exit {e.name}: {e.mount} -> {e.output} at {e.threshold}" for e in state.exits]
    lines += [f"# declined {d.subject}: {d.reason}" for d in state.declined]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_golden(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = path.read_text(encoding="utf-8")
    result = transform(text)
    options = Options(str(path))
    checks = Parser(options, io.StringIO(text), *pattern_for_opts(options))
    failed = Matcher(options, FInput("output", result), checks).run()
    assert not failed, f"{capfd.readouterr().err}\n--- the graph after the passes:\n{result}"


def test_golden_files_exist() -> None:
    assert FILES, "no golden files found"
