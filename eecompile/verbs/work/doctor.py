"""``doctor``: does this machine have what eecompile needs?"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from eecompile.version import FOLDER, version
from passes.shown_result import Row, ShownResult

OK, WARN, FAIL = "ok", "warn", "fail"
REQUIRED = (
    "numpy",
    "onnx",
    "onnx_graphsurgeon",
    "onnxruntime",
    "google.protobuf",
    "pydantic",
    "yaml",
    "sklearn",
    "scipy",
    "jinja2",
    "rich",
    "filelock",
    "platformdirs",
)
_DISTRIBUTIONS = {
    "onnx_graphsurgeon": "onnx-graphsurgeon",
    "google.protobuf": "protobuf",
    "yaml": "PyYAML",
    "sklearn": "scikit-learn",
}
INSTALL = "install again: pip install -c constraints.txt -e '.[train]'"
_FREE_BYTES = 500 * 2**20


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        status: ``ok``, ``warn`` (a verb or option does not work) or ``fail`` (the main job does not).
        detail: What was found.
        fix: What to do; empty if ok.
    """

    name: str
    status: str
    detail: str
    fix: str = ""


@dataclass(frozen=True, repr=False)
class Diagnosis(ShownResult):
    """Everything that was looked at."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether the main job can run."""
        return all(finding.status != FAIL for finding in self.findings)

    def _words(self) -> str:
        bad = [finding.name for finding in self.findings if finding.status != OK]
        return f"{len(self.findings)} things looked at, " + (
            f"amiss: {', '.join(bad)}" if bad else "all well"
        )

    def _rows(self) -> list[Row]:
        return [
            {**asdict(finding), "seen": 1.0 if finding.status == OK else 0.0} for finding in self.findings
        ]

    def _axes(self) -> tuple[str, str]:
        return "name", "seen"

    def to_json(self) -> dict[str, Any]:
        """Return the findings as one JSON document."""
        return {
            "schema_version": 1,
            "healthy": self.healthy,
            "findings": [asdict(finding) for finding in self.findings],
        }


def examine() -> Diagnosis:
    """Look at Python, packages, cores, disk, and whether a small network compiles and runs."""
    findings = [_python(), _own_version(), *(_package(name) for name in REQUIRED)]
    probes: list[tuple[str, Callable[[], Finding]]] = [
        ("torch", _torch),
        ("torchvision", _torchvision),
        ("targets", _targets),
        ("example", _example),
        ("cores", _cores),
        ("disk", _disk),
    ]
    for name, probe in probes:
        try:
            findings.append(probe())
        except Exception as error:
            # A broken installation can raise anything; saying what is this verb's whole purpose.
            findings.append(Finding(name, FAIL, f"{type(error).__name__}: {_first_line(error)}", INSTALL))
    return Diagnosis(tuple(findings))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:200]


def _python() -> Finding:
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", OK, detail)


def _own_version() -> Finding:
    return Finding("eecompile", OK, f"{version()} in {FOLDER}")


def _package(name: str) -> Finding:
    distribution = _DISTRIBUTIONS.get(name, name)
    try:
        importlib.import_module(name)
        return Finding(distribution, OK, metadata.version(distribution))
    except Exception as error:  # a broken package may raise anything when imported
        return Finding(distribution, FAIL, f"cannot be imported: {_first_line(error)}", INSTALL)


def _torch() -> Finding:
    needed_for = "needed to train heads (run --data)"
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return Finding(
            "torch", WARN, f"not installed; {needed_for}", "pip install -c constraints.txt -e '.[train]'"
        )
    device = "with an accelerator" if torch.cuda.is_available() else "on the CPU"
    return Finding("torch", OK, f"{torch.__version__}, {device}, {torch.get_num_threads()} threads")


def _torchvision() -> Finding:
    needed_for = "needed for --data cifar10, cifar100 and svhn"
    if importlib.util.find_spec("torchvision") is None:
        return Finding(
            "torchvision",
            WARN,
            f"not installed; {needed_for}",
            "pip install -c constraints.txt -e '.[train]'",
        )
    from eecompile.data.torchvision_import import import_torchvision

    try:
        import_torchvision()
    except Exception as error:  # as above
        return Finding(
            "torchvision", WARN, f"cannot be imported: {_first_line(error)}; {needed_for}", INSTALL
        )
    return Finding("torchvision", OK, metadata.version("torchvision"))


def _targets() -> Finding:
    from eecompile.verbs.work.listing import list_targets

    return Finding("targets", OK, ", ".join(target.name for target in list_targets().targets))


def _example() -> Finding:
    """Compile a three-layer network to integers in memory and run it in onnxruntime."""
    import numpy as np
    import onnx.parser

    from eecompile.runtime.sessions import session
    from passes.model.graph import from_model
    from passes.model.writing import to_model
    from passes.registry import parse_pipeline

    text = """<ir_version: 10, opset_import: ["": 21]>
        example (float[1,3,8,8] image) => (float[1,4] logits)
        <float[4,3,3,3] w, float[4,4] v> {
            a = Conv<pads=[1,1,1,1]>(image, w)  b = Relu(a)
            c = GlobalAveragePool(b)  d = Flatten(c)  logits = Gemm(d, v)
        }"""
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(0)
    for initializer, shape in (("w", (4, 3, 3, 3)), ("v", (4, 4))):
        values = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, initializer))
    graph = from_model(model, "the example")
    image = {"image": rng.standard_normal((1, 3, 8, 8)).astype(np.float32)}
    before = session(to_model(graph)).run(None, image)[0]
    parse_pipeline("canonicalize,fold-batchnorm,fuse-layers")(graph)
    after = session(to_model(graph)).run(None, image)[0]
    if not np.allclose(before, after, atol=1e-4):
        return Finding(
            "example", FAIL, "a compiled network computes something else than the original", INSTALL
        )
    return Finding("example", OK, "a small network compiles and runs in onnxruntime")


def _cores() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("cores", OK, f"{count} usable")


def _disk() -> Finding:
    folder = Path.cwd()
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(
            "disk",
            WARN,
            f"{folder} cannot be written to: {error.strerror}",
            "give --out a folder you may write to",
        )
    detail = f"{folder} is writable, {free / 2**30:.1f} GiB free"
    if free < _FREE_BYTES:
        return Finding("disk", WARN, detail, "free some space: a run can take some hundred megabytes")
    return Finding("disk", OK, detail)
