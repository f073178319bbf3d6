"""Running the outside reference from here: its interpreter, networks, records, and verdicts on mappings."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passes.errors import InputError
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import Mapping
from tools.zigzag_records import Record

TOOLS = Path(__file__).parent
SHARED = Path(os.environ.get("EECOMPILE_SHARED", "../shared"))
DEFAULT_MODELS = {
    "resnet8": SHARED / "models" / "resnet8_cifar10.onnx",
    "mobilenetv1": SHARED / "models" / "mobilenetv1_025_vww.onnx",
}
# Networks whose files come with the reference.
SHIPPED = ("resnet18", "mobilenetv2")


def model_paths(given: Sequence[str], python: Path | None) -> dict[str, Path]:
    """Return the network files that exist: given as ``NAME=PATH``, in the shared folder, in the reference."""
    paths = dict(DEFAULT_MODELS)
    if python is not None:
        where = "import zigzag, pathlib; print(pathlib.Path(zigzag.__file__).parent / 'inputs' / 'workload')"
        folder = Path(_run(python, ["-c", where]).strip())
        paths |= {name: folder / f"{name}.onnx" for name in SHIPPED}
    for item in given:
        name, separator, path = item.partition("=")
        if not separator or not Path(path).is_file():
            raise InputError(f"--model {item}: there is no such file", "write NAME=PATH of an ONNX file")
        paths[name] = Path(path)
    return {name: path.resolve() for name, path in paths.items() if path.is_file()}


@dataclass(frozen=True)
class Zigzag:
    """An interpreter that has the reference installed.

    Attributes:
        python: The interpreter.
        models: Network files by name.
        held: Where records of this run are written; it goes with this object.
    """

    python: Path
    models: dict[str, Path]
    held: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory, repr=False)

    @property
    def scratch(self) -> Path:
        """The folder of this run."""
        return Path(self.held.name)

    def record(self, what: str, arguments: Sequence[str]) -> Path:
        """Record ``what`` with the recorder; return the folder the records are in."""
        _run(
            self.python,
            [
                str(TOOLS / "zigzag_recorder.py"),
                str(self.scratch),
                "--what",
                what,
                *self._models(),
                *arguments,
            ],
            progress=True,
        )
        return self.scratch

    def judge(self, jobs: list[dict[str, Any]]) -> list[list[float] | str]:
        """Return latency and energy the reference gives mappings, or what it raised."""
        asked, told = self.scratch / "jobs.json", self.scratch / "results.json"
        asked.write_text(json.dumps(jobs), encoding="utf-8")
        _run(self.python, [str(TOOLS / "zigzag_confirm.py"), str(asked), str(told), *self._models()])
        results: list[list[float] | str] = json.loads(told.read_text(encoding="utf-8"))
        return results

    def _models(self) -> list[str]:
        return [part for name, path in self.models.items() for part in ("--model", f"{name}={path}")]


def job(record: Record, mapping: Mapping, hierarchy: Hierarchy) -> dict[str, Any]:
    """Return a mapping of a recorded layer as :meth:`Zigzag.judge` takes it."""
    temporal = {}
    for op in record.nest.operands:
        ends = mapping.levels[op]
        assert len(ends) == len(hierarchy.levels(op))
        starts = (0, *ends[:-1])
        temporal[op] = [list(mapping.loops[a:b]) for a, b in zip(starts, ends, strict=True)]
    return {
        "hardware": record.hardware,
        "network": record.network,
        "layer": record.layer,
        "spatial": {d: dict(factors) for d, factors in mapping.spatial.items()},
        "temporal": temporal,
    }


def _run(python: Path, arguments: list[str], progress: bool = False) -> str:
    """Run the reference's interpreter; its output is shown where ``progress``, else returned."""
    outcome = subprocess.run(
        [str(python), *arguments], check=False, text=True, stdout=None if progress else subprocess.PIPE
    )
    if outcome.returncode:
        raise InputError(
            f"{python} {Path(arguments[0]).name} ended with code {outcome.returncode}",
            "give an interpreter that has zigzag-dse 3.8.5 and six",
        )
    return outcome.stdout or ""
