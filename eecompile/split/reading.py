"""A run directory as what a split is chosen from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.data.dataset import Dataset
from eecompile.data.in_memory import ImageSource
from eecompile.data.sources import load_data
from eecompile.run_files.samples import Samples, read_samples
from eecompile.run_files.summary import Summary, load_summary
from eecompile.run_files.versions import check_version
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import session
from passes.errors import InputError
from passes.exits.chain import ancestors
from passes.exits.cut_tensors import final_logits
from passes.exits.recycle_answers import final_alone
from passes.model.graph import load
from passes.state import state_of


@dataclass(frozen=True)
class SplitRun:
    """What a run directory tells.

    Attributes:
        folder: The directory.
        summary: Its results.
        graph: The lowered network with its exits.
        alone: The same with a final exit that takes over no answer of another; ``graph`` if it takes none.
        alone_float: That one in float.
        samples: Answers of val and test.
        dataset: The images of the run.
        preprocess: From stored images to the model's input.
        symbolic: Whether the network takes any number of images at once.
    """

    folder: Path
    summary: Summary
    graph: gs.Graph
    alone: gs.Graph
    alone_float: gs.Graph
    samples: Samples
    dataset: Dataset
    preprocess: Preprocess
    symbolic: bool


def read_run(folder: Path, data: ImageSource | None) -> SplitRun:
    """Read a run directory and its images.

    Args:
        folder: The directory.
        data: Where its images lie now; where the run had them if ``None``.

    Raises:
        InputError: No run with images and exits of its own, other images, or exits that the final one needs.
    """
    summary = load_summary(folder)
    samples = read_samples(folder, len(summary.exits))
    info = _info(folder / "run.json")
    if samples is None or any(item.threshold is None for item in summary.exits[:-1]):
        raise InputError(f"{folder} has no answers of images", "run it with data, and keep its samples.npz")
    graph = load(folder / "model.lowered.onnx")
    alone = final_alone(graph)
    _check_exits(folder, alone)
    dataset = _images(folder, info, data)
    for name, some in (("val", samples.val), ("test", samples.test)):
        if len(dataset.split(name)) != len(some.label):
            raise InputError(
                f"{folder} was made with {len(some.label)} images of {name}, and here are "
                f"{len(dataset.split(name))}",
                "say with `data` where the images of the run lie",
            )
    symbolic = _takes_any_number(folder)
    return SplitRun(
        folder, summary, graph, alone, final_alone(load(folder / "model.exits.onnx")), samples, dataset,
        Preprocess.from_json(info["preprocess"]), symbolic,
    )  # fmt: skip


def _images(folder: Path, info: dict[str, Any], data: ImageSource | None) -> Dataset:
    source = info["options"]["data"] if data is None else data
    if "data" in info["in_memory"] and data is None:
        raise InputError(
            f"the images of {folder} were given in memory, and are not in its directory",
            "give them again with `data`",
        )
    dataset = load_data(source, info["options"]["seed"])
    if sorted(dataset.hashes.values()) != sorted(info["data_sha256"].values()):
        raise InputError(
            f"{source} holds other images than those of {folder}: their SHA-256 is another",
            "say with `data` where the images of the run lie",
        )
    return dataset


def _check_exits(folder: Path, graph: gs.Graph) -> None:
    """Refuse exits that the final one needs for more than their answers, and those that decide apart."""
    exits = state_of(graph).exits
    final = ancestors([final_logits(graph)])
    outputs = {tensor.name: tensor for tensor in graph.outputs}
    for item in exits[:-1]:
        logits = outputs[item.output]
        needed = bool(logits.inputs) and logits.inputs[0].name in final
        if needed or item.apart:
            why = "is on the way to the final one" if needed else "decides by something else than its logits"
            raise InputError(
                f"exit '{item.name}' of {folder} {why}, so the run cannot be split",
                "let `run` make the exits (`exits`): it builds heads beside the network",
            )


def _takes_any_number(folder: Path) -> bool:
    return isinstance(session(folder / "stages" / "stage_0.onnx").get_inputs()[0].shape[0], str)


def _info(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}", "give the folder that `run` has written") from None
    check_version(found, path)
    if not isinstance(found, dict) or not {"options", "in_memory", "data_sha256", "preprocess"} <= {*found}:
        raise InputError(f"{path} is of no run with images", "give a run directory that was made with `data`")
    return found
