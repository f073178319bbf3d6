"""A compiled network is used where nothing but numpy and onnxruntime is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eecompile import runtime
from tests.eecompile.runtime.small_run import write_small_run

ROOT = Path(__file__).parents[3]
ALONE = """
import sys
ALLOWED = {"numpy", "onnxruntime", "eecompile", "passes", *sys.stdlib_module_names, *sys.builtin_module_names}

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing())
try:
    import onnx
except ModuleNotFoundError: pass
else: raise SystemExit("the finder blocks nothing")

import asyncio
import numpy as np
from eecompile.runtime import AsyncEarlyExitSession, DriftWarning, EarlyExitSession

images = np.load(sys.argv[2])
session = EarlyExitSession(sys.argv[1])
found = session.run(images)
async def serve():
    async with AsyncEarlyExitSession(session) as server:
        return await server.run(images[:1])
assert (asyncio.run(serve()).logits == found.logits[:1]).all()
print(found.exit.tolist())
# What onnxruntime itself takes if it is there is not ours.
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"onnx", "pydantic", "onnx_graphsurgeon", "torch", "yaml"}))
print(sorted(n for n in sys.modules if n.startswith("passes.")))
"""


def test_it_runs_with_nothing_else_installed(tmp_path: Path) -> None:
    folder, images = write_small_run(tmp_path / "run")
    np.save(tmp_path / "images.npy", images)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, folder, tmp_path / "images.npy"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = runtime.EarlyExitSession(folder).run(images)
    assert done.stdout.splitlines() == [str(expected.exit.tolist()), "[]", "['passes.errors']"]


def test_names_are_found_and_unknown_ones_told() -> None:
    assert [getattr(runtime, name).__name__ for name in runtime.__all__] == runtime.__all__
    with pytest.raises(AttributeError, match="no attribute 'Session'"):
        _ = runtime.Session
