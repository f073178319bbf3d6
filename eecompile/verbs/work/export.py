"""`export`: a run's network as source code for where no onnxruntime runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eecompile.deployment.c_source import c_source
from eecompile.run_files.directory import folders, sha256
from eecompile.run_files.summary import load_summary
from eecompile.verbs.work.written_files import WrittenFiles
from passes.errors import InputError
from passes.exits.recognise import recognise_exits
from passes.files import write_atomic
from passes.integers.read_program import integer_program
from passes.model.graph import load
from passes.number_formats import ONNXRUNTIME

LOWERED = "model.lowered.onnx"


@dataclass(frozen=True, repr=False)
class ExportResult(WrittenFiles):
    """What was written.

    Attributes:
        folder: Where to.
        files: Names in it.
        rounding: How sums are rescaled.
        exits: Names, shallow to deep.
        constant_bytes: Weights, biases and numbers of rescaling.
        buffer_bytes: Static buffers.
    """

    folder: Path
    files: tuple[str, ...]
    rounding: str
    exits: tuple[str, ...]
    constant_bytes: int
    buffer_bytes: int

    def _words(self) -> str:
        return (
            f"{len(self.files)} files in {self.folder}: {len(self.exits)} exits, "
            f"{self.constant_bytes} bytes of constants, {self.buffer_bytes} of buffers, "
            f"rounded as {self.rounding}"
        )


def export_run(run: Path, rounding: str | None, out: Path | None) -> ExportResult:
    """Write the lowered network of a run as C; arguments as in `eecompile.api.export`."""
    rounding = ONNXRUNTIME if rounding is None else rounding
    summary = load_summary(run)
    path = run / LOWERED
    if not path.is_file():
        raise InputError(
            f"{run} has no {LOWERED}", "give a run with data: without, nothing is trained or quantized"
        )
    graph = load(path)
    recognise_exits(graph)
    program = integer_program(graph)
    told = [item.threshold for item in summary.exits]
    held = [item.threshold for item in program.exits]
    if told != held:
        raise InputError(
            f"{path} has other exits or thresholds than summary.json", "the files are of two runs; repeat it"
        )
    source = c_source(program, rounding, f"{LOWERED} SHA-256 {sha256(path)}")
    folder = run / "c" if out is None else out
    with folders(folder):
        for name, text in source.files.items():
            write_atomic(folder / name, text.encode("ascii"))
    return ExportResult(
        folder, tuple(sorted(source.files)), rounding, tuple(item.name for item in program.exits),
        source.constant_bytes, source.buffer_bytes,
    )  # fmt: skip
