"""``device/`` and ``server/`` of a split: models, and what each side has to know."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.run_files.directory import run_directory, write_json
from eecompile.runtime.split.records import PLANS_FILE, SERVER_FILE, Band, band_record
from eecompile.split.choosing import Plan
from eecompile.split.device_costs import DeviceCosts
from eecompile.split.offers import Offer
from eecompile.split.reading import SplitRun
from passes.exits.split_parts import device_segments, later_part
from passes.model.writing import to_model
from passes.state import state_of

DEVICE, SERVER = "device", "server"


def write_split(
    out: Path,
    run: SplitRun,
    costs: DeviceCosts,
    plans: Sequence[Plan],
    offers: Sequence[Offer],
    bands: Sequence[Band],
    told: dict[str, Any],
) -> None:
    """Write both folders; those of an earlier split in ``out`` are replaced when all is there.

    Args:
        out: Folder for both.
        run: The run.
        costs: Of the device.
        plans: Plans; the last sends nothing.
        offers: What they send.
        bands: Where each is best.
        told: More to say in ``plans.json``: objective, link, round trip.

    Raises:
        InputError: It cannot be written.
    """
    with run_directory(out, (DEVICE, SERVER)) as work:
        device, server = work / DEVICE, work / SERVER
        kept, served = _Models(device), _Models(server)
        names = [item.name for item in state_of(run.graph).exits]
        parts: dict[str, dict[str, Any]] = {}
        listed = []
        for plan in plans:
            sends, tensor = None, None
            if plan.offer is not None:
                offer = offers[plan.offer]
                tensor = offer.place.tensor
                model = served.add(later_part(run.alone, tensor), run.symbolic)
                part = offer.codec.name_for(served.sha256(model)).hex()
                codec = offer.codec.to_json()
                parts[part] = {"part": part, "model": model, "codec": codec, "cut": offer.place.name}
                sends = {
                    "cut": offer.place.name,
                    "tensor": tensor,
                    "codec": codec,
                    "part": part,
                    "server_s": offer.server_s,
                }
            early = [names[k] for k in plan.exits]
            merged = plan.offer is None and costs.takes_over(plan.exits)
            segments = device_segments(run.graph if merged else run.alone, early, tensor)
            final = [] if tensor is not None else [names[-1]]
            record = {
                "exits": [*early, *final],
                "thresholds": [*plan.thresholds, *([None] if final else [])],
                "segments": [kept.add(segment, run.symbolic) for segment in segments],
                "sends": sends,
            }
            text = repr(sorted(record.items()))
            listed.append({"plan": hashlib.sha256(text.encode()).hexdigest()[:8], **record})
        document = {
            "schema_version": 1,
            "run": run.folder.resolve().name,
            "class_names": list(run.samples.class_names),
            "preprocess": run.preprocess.to_json(),
            **told,
            "plans": listed,
            "bands": [band_record(band) for band in bands],
        }
        write_json(device / PLANS_FILE, document)
        write_json(
            server / SERVER_FILE,
            {"schema_version": 1, "run": document["run"], "parts": list(parts.values())},
        )


class _Models:
    """Models of a folder, each once, by their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: dict[str, str] = {}
        (folder / "models").mkdir(parents=True)

    def add(self, graph: gs.Graph, symbolic: bool) -> str:
        """Write a graph unless it is there; return the name of its file within the folder."""
        data = to_model(graph, "N" if symbolic else None).SerializeToString()
        whole = hashlib.sha256(data).hexdigest()
        name = f"models/{whole[:12]}.onnx"
        if name not in self._hashes:
            (self._folder / name).write_bytes(data)
            self._hashes[name] = whole
        return name

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file that was added, in hexadecimal."""
        return self._hashes[name]
