"""``kept.zip`` of a run directory: all that exits and thresholds are chosen among, and how it came about."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.cache.bundle import Bundle
from eecompile.data.dataset import Dataset, Images, Split, evenly
from eecompile.data.preprocess_choice import PreprocessChoice
from eecompile.run.evidence import Evidence, Pruned
from eecompile.run.kept.parts import PARTS
from eecompile.run.prepare import Prepared
from eecompile.runtime.preprocess import Preprocess
from passes.errors import InputError
from passes.files import write_atomic
from targets.contract.target import Target
from targets.evaluation.report import CostReport

KEPT_NAME = "kept.zip"
FORM = 1
MOST_BYTES = 8 * 2**20
"""Of test images, by which files are proved; of more only so many are kept, evenly."""
MOST_ANSWERS = 256 * 2**20
"""Of logits; of more nothing is kept."""
_STEPS = ("train", "quantize", "evaluate")
_PREPARED, _GIVEN, _IMAGES, _AT = "prepared", "given", "test_images", "test_images_at"
_AGAIN = "give the network to `run` again: what it finds out is in its cache"


def write_kept(evidence: Evidence, folder: Path, options: Mapping[str, Any], model_sha256: str) -> None:
    """Write what a run directory keeps; nothing where answers are too many for that."""
    seen = (evidence.val, evidence.float_test, evidence.quant_test, evidence.lowered_test)
    if sum(logits.nbytes for answers in seen for logits in answers.logits) > MOST_ANSWERS:
        return
    prepared, tried, dataset = evidence.prepared, evidence.tried, evidence.dataset
    graphs, arrays, told = dict[str, gs.Graph](), dict[str, NDArray[Any]](), dict[str, Any]()
    for name in _STEPS:
        part = PARTS[name].save(evidence)
        graphs |= {f"{name}.{key}": graph for key, graph in part.graphs.items()}
        arrays |= {f"{name}.{key}": array for key, array in part.arrays.items()}
        told[name] = dict(part.told)
    if evidence.pruned is not None:
        graphs[_GIVEN] = evidence.pruned.given
        told["pruned"] = evidence.pruned.info
    at = _kept_images(evidence)
    arrays |= {_AT: at, _IMAGES: _images(evidence, at)}
    told |= {
        "form": FORM,
        "options": dict(options),
        "model_sha256": model_sha256,
        _PREPARED: {
            "inserted": prepared.inserted,
            "mount_names": dict(prepared.mount_names),
            "asked": prepared.asked,
            "doubt": prepared.doubt,
        },
        "tried": {**vars(tried), "preprocess": tried.preprocess.to_json()},
        "dataset": {
            "name": dataset.name,
            "sizes": [len(dataset.train), len(dataset.val), len(dataset.test)],
            "classes": dataset.classes,
            "classes_declared": dataset.classes_declared,
            "class_names": list(dataset.class_names),
            "description": dataset.description,
            "notes": list(dataset.notes),
            "hashes": dict(dataset.hashes),
        },
    }
    write_atomic(folder / KEPT_NAME, Bundle(graphs, arrays, told).to_bytes())


def _kept_images(evidence: Evidence) -> NDArray[np.int64]:
    """Return the positions of the test images that are kept."""
    there = evidence.at_hand
    each = evidence.dataset.test.x.nbytes / max(len(there), 1)
    return evenly(there, max(int(MOST_BYTES / each), 1))


def _images(evidence: Evidence, at: NDArray[np.int64]) -> Images:
    return np.ascontiguousarray(evidence.dataset.test.x[np.searchsorted(evidence.at_hand, at)])


def read_kept(run: Path) -> Bundle:
    """Return what a run directory keeps.

    Raises:
        InputError: Nothing, something broken, or of another version.
    """
    path = run / KEPT_NAME
    if not path.is_file():
        what = f"{run} keeps nothing to choose among: {KEPT_NAME} is not there"
        if not (run / "run.json").is_file():
            raise InputError(f"{run} is no run directory", "give the folder that `run` has written")
        raise InputError(what, f"it is of a run with images, and not of a point of a search; {_AGAIN}")
    try:
        found = Bundle.of_bytes(path.read_bytes())
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read: {error}", _AGAIN) from None
    if found.told.get("form") != FORM:
        raise InputError(f"{path} was written by another version of eecompile", _AGAIN)
    return found


def restore(evidence: Evidence, found: Bundle) -> None:
    """Bring evidence to where the run was before it chose exits and thresholds."""
    told = found.told
    evidence.dataset = _dataset(found)
    evidence.test_at = found.arrays[_AT]
    preprocess = Preprocess.from_json(told["tried"]["preprocess"])
    tried = {**told["tried"], "tried": tuple((name, share) for name, share in told["tried"]["tried"])}
    evidence.tried = PreprocessChoice(**{**tried, "preprocess": preprocess})
    evidence.model_sha256 = told["model_sha256"]
    if _GIVEN in found.graphs:
        evidence.pruned = Pruned(found.graphs[_GIVEN], dict(told["pruned"]))
    for name in _STEPS:
        PARTS[name].load(evidence, _part(found, name))


def _part(found: Bundle, name: str) -> Bundle:
    start = f"{name}."
    graphs = {k.removeprefix(start): graph for k, graph in found.graphs.items() if k.startswith(start)}
    arrays = {k.removeprefix(start): array for k, array in found.arrays.items() if k.startswith(start)}
    return Bundle(graphs, arrays, found.told[name])


def _dataset(found: Bundle) -> Dataset:
    """Return the data set without images but for those of test that are kept."""
    told = dict(found.told["dataset"])
    train, val, test = told.pop("sizes")
    labels = found.arrays["evaluate.val"], found.arrays["evaluate.test"]
    none = np.zeros((0, 1), np.uint8)
    if (val, test) != tuple(len(some) for some in labels):
        raise InputError(f"{KEPT_NAME} holds answers of other images than it tells of", _AGAIN)
    told |= {name: tuple(told[name]) for name in ("class_names", "notes")}
    return Dataset(
        train=Split(none, np.zeros(train, np.int64)),
        val=Split(none, labels[0]),
        test=Split(found.arrays[_IMAGES], labels[1]),
        **told,
    )


def prepared_of(found: Bundle, target: Target, cost: CostReport) -> Prepared:
    """Return the network with the exits that were tried, on a target, of which the costs are known."""
    told, graphs = found.told[_PREPARED], found.graphs
    return Prepared(
        graphs["train.plain"], graphs["train.graph"], told["inserted"], target, cost,
        dict(told["mount_names"]), told["asked"], told["doubt"],
    )  # fmt: skip
