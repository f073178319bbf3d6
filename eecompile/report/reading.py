"""What the report knows about a run: the files of a run directory, read and checked."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from eecompile.report.node_names import node_names, origin_of, renamed
from eecompile.report.schedule_facts import ScheduleFacts, schedule_facts
from eecompile.run_files.samples import Samples, read_samples
from eecompile.run_files.summary import Summary, load_summary
from eecompile.run_files.versions import check_version
from passes.errors import InputError


@dataclass(frozen=True)
class LayerRow:
    """One line of ``layers.csv``; a number the file leaves empty is 0.

    ``exit`` is the shallowest exit whose path contains the layer; ``known`` says how the figures are
    known: measured, published, or placeholder. ``job_cycles`` are those in which the host starts jobs;
    ``load_cycles`` and ``store_cycles`` are first loads and last write-backs of a core, ``start_cycle`` is
    when it begins on the longest path.
    """

    name: str
    op_type: str = ""
    origin: str = ""
    core: str = ""
    exit: str = ""
    macs: float = 0.0
    weight_bits: str = ""
    activation_bits: str = ""
    latency_cycles: float = 0.0
    compute_cycles: float = 0.0
    dma_cycles: float = 0.0
    host_cycles: float = 0.0
    job_cycles: float = 0.0
    stall_cycles: float = 0.0
    load_cycles: float = 0.0
    store_cycles: float = 0.0
    start_cycle: float = 0.0
    energy_pj: float = 0.0
    share: float = 0.0
    utilization: float = 0.0
    bound_cycles: float = 0.0
    known: str = ""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The user's nodes that are computed in it; empty for what is in no node of the user's model."""
        return origin_of(self.origin)


_NUMBERS = {item.name for item in fields(LayerRow) if item.type == "float"}


@dataclass(frozen=True)
class RunFiles:
    """The files of one run.

    Attributes:
        summary: ``summary.json``.
        info: ``run.json``; empty if absent.
        layers: ``layers.csv``; empty if absent.
        events: Trace events of ``schedule.trace.json``, with layers called as in ``names``; empty if absent.
        schedule: What it says beside its events; ``None`` where an earlier version wrote it.
        samples: ``samples.npz``; ``None`` if absent.
        names: Layer -> what it is called, by the nodes of the user's model.
    """

    summary: Summary
    info: Mapping[str, Any]
    layers: tuple[LayerRow, ...]
    events: tuple[Mapping[str, Any], ...]
    schedule: ScheduleFacts | None = None
    samples: Samples | None = None
    names: Mapping[str, str] = field(default_factory=dict)


def read_run(run_dir: Path) -> RunFiles:
    """Read a run directory.

    Raises:
        InputError: No run directory, or a damaged file.
    """
    if not run_dir.is_dir():
        raise InputError(f"{run_dir} is not a run directory", "give the folder that a run was written to")
    summary = load_summary(run_dir)
    info = _read_json(run_dir / "run.json")
    if not isinstance(info, dict):
        raise InputError(
            f"{run_dir / 'run.json'} holds no JSON object", "the file is damaged; repeat the run"
        )
    check_version(info, run_dir / "run.json")
    trace = _read_json(run_dir / "schedule.trace.json")
    events = trace.get("traceEvents", []) if isinstance(trace, dict) else trace
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise InputError(
            f"{run_dir / 'schedule.trace.json'} holds no trace events", "the file is damaged; repeat the run"
        )
    layers = _read_layers(run_dir / "layers.csv")
    other = trace.get("otherData") if isinstance(trace, dict) else None
    samples = read_samples(run_dir, len(summary.exits))
    names = node_names((layer.name, layer.nodes) for layer in layers)
    return RunFiles(summary, info, layers, renamed(events, names), schedule_facts(other), samples, names)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}", "the file is damaged; repeat the run") from None


def _read_layers(path: Path) -> tuple[LayerRow, ...]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return tuple(_layer(row) for row in csv.DictReader(stream))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged: {error}", "repeat the run") from None


def _layer(row: Mapping[str, str | None]) -> LayerRow:
    values: dict[str, Any] = {}
    for item in fields(LayerRow):
        text = row.get(item.name) or ""
        values[item.name] = float(text or 0) if item.name in _NUMBERS else text
    return LayerRow(**values)
