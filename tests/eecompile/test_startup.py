"""No verb loads packages it does not work with: most of the time of a quick answer is in imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.eecompile.fabricated_run import write_run
from tests.eecompile.small_models import write_skip_net

# None of these is needed to tell what a network costs; what only training and onnxruntime need is among them.
RUNNING = {"onnxruntime", "sklearn", "scipy", "torch", "torchvision", "joblib", "PIL"}
ELSEWHERE = {"jinja2", "matplotlib", "networkx", "ortools", "pandas"}
GRAPHS = {"onnx", "onnx_graphsurgeon"}
LOADED = """
import json, sys
from eecompile.cli import main as cli
try: cli.app(sys.argv[1:], standalone_mode=False)
except SystemExit: pass
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("startup")
    write_skip_net(made / "net.onnx")
    write_run(made / "run")
    return made


@pytest.mark.parametrize(
    ("command", "unused"),
    [
        ("cost net.onnx", RUNNING | ELSEWHERE),
        ("cost net.onnx --exits 1 --json", RUNNING | ELSEWHERE),
        ("cost net.onnx --target gap9", RUNNING | ELSEWHERE),
        ("cost net.onnx --target edge_tpu_quad --schedule layers", RUNNING | ELSEWHERE),
        ("inspect net.onnx", RUNNING | ELSEWHERE),
        ("targets diana", RUNNING | ELSEWHERE),
        ("passes canonicalize", RUNNING | ELSEWHERE),
        ("compare run run", RUNNING | ELSEWHERE | GRAPHS),
        ("report run", RUNNING | ELSEWHERE - {"jinja2"}),
    ],
)
def test_a_verb_loads_only_what_it_works_with(folder: Path, command: str, unused: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *command.split()],
        cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert done.stdout  # the verb did its work
    assert {"eecompile", "numpy"} <= loaded
    assert not loaded & unused
