"""The files `cost` writes when asked: mappings, the schedule as a trace, figures over the nodes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from eecompile.run_files.directory import folders
from eecompile.run_files.overlay import ALL, of_user_file, write_overlay
from passes.errors import InputError
from passes.files import write_atomic
from passes.model.in_memory import Network
from targets.described.target import EngineTarget
from targets.description.readers.saved_mapping import SavedMapping, mapping_text
from targets.evaluation.report import CostReport
from targets.schedule.view.trace import trace_text


def save_mapping(report: CostReport, path: Path, target: EngineTarget) -> list[str]:
    """Write the mappings of ``report`` for ``mapping``; return notes on those that are not there.

    Raises:
        InputError: The file cannot be written.
    """
    mapped = [layer for layer in report.layers if layer.cost.detail is not None]
    whole = [layer for layer in mapped if layer.tiles == 1]
    entries = [
        SavedMapping(layer.name, layer.core, layer.cost.detail.mapping, target.rule(layer.layer).links)
        for layer in whole
        if layer.cost.detail is not None
    ]
    with folders(path.parent):
        write_atomic(path, mapping_text(entries).encode())
    if len(whole) == len(mapped):
        return []
    return [
        f"{path} holds {len(whole)} of {len(mapped)} mappings: the other layers are cut into tiles with "
        "mappings of their own; `schedule` layers cuts none"
    ]


def write_trace(report: CostReport, path: Path) -> None:
    """Write the schedule of ``report`` as a trace. Raises InputError."""
    with folders(path.parent):
        write_atomic(path, trace_text(report.to_trace()).encode())


def save_overlay(report: CostReport, network: Network, path: Path) -> None:
    """Write what is known of each node of the user's file, for Model Explorer. Raises InputError."""
    with folders(path.parent):
        write_overlay(path, of_user_file(report, network)[ALL])


def check_writable(path: Path, usual: str) -> None:
    """Check that a file can be written: better told before a long search than after it.

    Args:
        path: The file.
        usual: What such a file is usually called.

    Raises:
        InputError: It cannot.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder", f"give a file, such as {path / usual}")
    with folders(path.parent):
        try:
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise InputError(
                f"cannot write to {path.parent}: {error.strerror}", "choose a folder you may write to"
            ) from None
