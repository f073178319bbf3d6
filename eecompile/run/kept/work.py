"""Costly steps of a run, taken from the cache where they were done before.

What a step finds out depends on what it was given and on options. A step is called by a hash of the step
before it, its name and all options but those that matter only behind it: an option that nobody thought of
makes a new entry, never a wrong one. A step that was interrupted in a training goes on from its last epoch.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from eecompile.cache.bundle import Bundle, bytes_of_graph
from eecompile.cache.content import hash_of
from eecompile.cache.key import Key
from eecompile.cache.source_hash import source_hash
from eecompile.cache.store import CacheStore, usual_folder
from eecompile.data.images_hash import images_hash
from eecompile.quantization.placements import MIXED
from eecompile.run import provenance
from eecompile.run.evidence import Evidence
from eecompile.run.kept.parts import PARTS
from eecompile.run.options import to_record
from passes.errors import InputError
from passes.state import state_of

FORM = 1
"""Of what is kept: another one is not read."""
_NOWHERE = frozenset({"out", "told", "model", "target", "objective", "data", "preprocess", "cache"})
_CHOICE = frozenset({
    "max_drop", "optimistic", "min_gain", "max_latency", "max_latency_p95", "max_worst_latency",
    "max_final_ratio", "max_cost_ratio", "speculate", "keep_thresholds",
})  # fmt: skip
_NUMBERS = frozenset({"quantize", "qat_epochs", "placement", "bits", "calibration", "requantize"})
_ANSWERS = frozenset({"recycle", "guarantee"})
_LATER: Mapping[str, frozenset[str]] = {
    "prune": _NOWHERE | _CHOICE | _NUMBERS | _ANSWERS | {"train", "epochs", "head", "exits"},
    "train": _NOWHERE | _CHOICE | _NUMBERS | _ANSWERS,
    "quantize": _NOWHERE | _CHOICE | _ANSWERS,
    "evaluate": _NOWHERE | _CHOICE,
}
"""Step -> options that say nothing of what it finds out, or that other parts of its key say."""


@dataclass
class KeptWork:
    """Where the steps of one run are kept.

    Attributes:
        store: The cache.
        begun: A step was done that leaves something there.
    """

    store: CacheStore
    begun: bool = False
    _before: str = ""

    def run(self, name: str, step: Callable[[Evidence], None], evidence: Evidence) -> None:
        """Do a step, or take it if it was done before."""
        if name not in PARTS:
            step(evidence)
            return
        key = self._key(name, evidence)
        data = self.store.read(key)
        if data is None:
            with self.store.making(key, lambda: evidence.clock.progress("another run does that: waiting")):
                data = self.store.read(key)
                if data is None:
                    self._do(name, step, evidence, key)
        if data is not None:
            self._take(name, evidence, data)
        self._before = key.digest

    def _do(self, name: str, step: Callable[[Evidence], None], evidence: Evidence, key: Key) -> None:
        self.begun, folder = True, self.store.training(key)
        evidence.checkpoints = folder
        step(evidence)
        data = PARTS[name].save(evidence).to_bytes()
        try:
            self.store.write(key, data)
        except OSError as error:
            evidence.clock.progress(f"not kept in the cache: {error.strerror}")
        shutil.rmtree(folder, ignore_errors=True)

    def _take(self, name: str, evidence: Evidence, data: bytes) -> None:
        PARTS[name].load(evidence, Bundle.of_bytes(data))
        evidence.taken.append(name)
        evidence.clock.progress("done before, from the cache")

    def _key(self, name: str, evidence: Evidence) -> Key:
        options = {
            key: value for key, value in to_record(evidence.options).items() if key not in _LATER[name]
        }
        if name == "quantize" and evidence.options.placement == MIXED:
            options["max_drop"] = evidence.options.max_drop
        parts = {
            "form": FORM,
            "step": name,
            "before": self._before or _start(evidence),
            "options": options,
        }
        title = f"{evidence.options.model.stem} for {evidence.prepared.target.title}: {name}"
        return Key.of("run", parts, title)


def kept_work(folder: Path | None, progress: Callable[[str], None]) -> KeptWork | None:
    """Return where steps are kept: in a folder, or in the usual one if that can be written.

    Raises:
        InputError: The folder cannot be written.
    """
    store = CacheStore(usual_folder() if folder is None else folder)
    try:
        store.check_writable()
    except InputError as error:
        if folder is not None:
            raise
        progress(f"nothing is kept for other runs: {error.message}")
        return None
    return KeptWork(store)


def _start(evidence: Evidence) -> str:
    """Return a hash of what the first step is given."""
    prepared = evidence.prepared
    target = prepared.target
    return hash_of(
        [
            sorted(provenance.versions().items()),
            source_hash(),
            Path(inspect.getfile(type(target))).read_bytes(),
            bytes_of_graph(prepared.plain),
            bytes_of_graph(prepared.graph),
            sorted(state_of(prepared.graph).grids.items()),  # of a network that came quantized
            prepared.inserted,
            prepared.asked,
            target.title,
            target.cost_model,
            target.search,
            target.arch.model_dump_json(),
            evidence.options.objective.name,
            images_hash(evidence.dataset, evidence.preprocess),
        ]
    )
