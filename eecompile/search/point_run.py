"""A point of a search as a full run directory, as it was found, from the files of the search alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.data.sources import NAMES
from eecompile.run.accelerator import is_file, open_target
from eecompile.run.finished import Finished
from eecompile.run.main import RunResult, run
from eecompile.run.options import RunOptions
from eecompile.run_files.directory import sha256
from eecompile.run_files.summary import StudyFigures
from eecompile.runtime.preprocess import Preprocess
from eecompile.search.searching import NETWORKS, read_front, target_of
from passes.errors import InputError
from passes.model.graph import load
from targets.objective import objective_named

_NEEDED = (
    "target", "data", "seed", "preprocess", "preprocess_asked", "images_hash", "objective",
)  # fmt: skip
_OF_POINTS = ("networks", "integers", "on_test", "design", "operating_point")
_AGAIN = "run `search` with `resume` and this version once more: what was trained is kept in its cache"
# What may be said beside the search: where things are, and what only has to be the same.
_FREE = frozenset({"data", "out"})
_SAME = {"target": "target", "objective": "objective", "seed": "seed", "preprocess": "preprocess_asked"}


@dataclass(frozen=True)
class PointAsked:
    """A point of a search that shall become a run directory.

    Attributes:
        study: Folder of the search.
        trial: The design.
        point: Number of the point, as ``front.json`` has it; ``None``: the most accurate one on val.
        given: Options that were told beside, by name.
    """

    study: Path
    trial: int
    point: int | None
    given: Mapping[str, Any]


def run_point(asked: PointAsked, progress: Callable[[str], None]) -> RunResult:
    """Write the run directory of a point.

    Raises:
        InputError: No such search or point, one of another version, files that are gone or changed, other
            images than those of the search, or an option that would make another network of it.
    """
    front = _front(asked.study)
    _check_given(asked, front)
    data = asked.given.get("data", front["data"])
    if isinstance(data, str) and data not in NAMES and not Path(data).exists():
        raise InputError(
            f"the images of the search, {data}, are not there", "say with `data` where they lie now"
        )
    point = _point(asked, front, progress)
    float_network, *others = _files(asked.study, point)
    quantized = load(others[0]) if others else None
    integers = point["integers"]
    study = asked.study.resolve().name
    out = asked.given.get("out", Path("runs") / f"{study}-{float_network.stem}-{front['target']}")
    placement = integers.get("placement", "auto")
    options = RunOptions(
        model=float_network,
        target=target_of(asked.study, front),
        data=data,
        out=Path(out),
        objective=objective_named(front["objective"]),
        seed=front["seed"],
        point=point["operating_point"],
        quantize=integers["quantize"],
        qat_epochs=integers.get("qat_epochs"),
        placement=None if placement == "auto" else placement,
        bits=integers.get("bits", {}),
        keep_thresholds=True,
        from_study=asked.study,
        trial=asked.trial,
        front_point=point["point"],
        told=frozenset({"from_study", "trial", "front_point", *asked.given}),
    )
    return run(options, progress, _finished(study, front, point, quantized))


def _finished(
    study: str, front: Mapping[str, Any], point: Mapping[str, Any], quantized: gs.Graph | None
) -> Finished:
    figures = {name: point[name] for name in StudyFigures.model_fields}
    return Finished(
        study=study,
        trial=point["trial"],
        point=point["point"],
        design=point["design"],
        figures=StudyFigures(**figures),
        quantized=quantized,
        integers=point["integers"],
        preprocess=Preprocess.from_json(front["preprocess"]),
        images=front["images_hash"],
    )


def _front(folder: Path) -> dict[str, Any]:
    """Return the front of a search that says all that a run needs.

    Raises:
        InputError: There is none, or it is of another version.
    """
    front = read_front(folder)
    points: Sequence[Mapping[str, Any]] = front.get("points", [])
    lacking = [key for key in _NEEDED if key not in front]
    lacking += [key for point in points for key in _OF_POINTS if key not in point]
    if lacking:
        raise InputError(
            f"{folder / 'front.json'} was written by another version of eecompile: it does not say "
            f"`{lacking[0]}`",
            _AGAIN,
        )
    if not points:
        raise InputError(
            f"the front of {folder} is empty: no network that was found keeps all constraints",
            "`eecompile why` says for each trial which it breaks",
        )
    return front


def _check_given(asked: PointAsked, front: Mapping[str, Any]) -> None:
    """Refuse options that say otherwise than the search.

    Raises:
        InputError: With what the search has.
    """
    for name, value in asked.given.items():
        if name == "target" and is_file(value):
            _check_file(asked.study, front, value)
        elif name in _SAME:
            if (found := front[_SAME[name]]) != value:
                raise InputError(
                    f"the search {asked.study} has `{name}` {found}, not {value}",
                    f"leave `{name}` away: a point is delivered as it was found",
                )
        elif name not in _FREE:
            raise InputError(
                f"a point of a search is delivered as it was found, and `{name}` could make another of it",
                f"leave `{name}` away, or give its network, {asked.study / NETWORKS}, to `run`",
            )


def _check_file(study: Path, front: Mapping[str, Any], path: str) -> None:
    """Refuse a file that describes another accelerator than that of the search."""
    own, given = (open_target(name, "", None)[0] for name in (target_of(study, front), path))
    if own.arch != given.arch:
        raise InputError(
            f"the search {study} has another `target` than {path} describes: {own.title}",
            "leave `target` away: a point is delivered as it was found",
        )


def _point(asked: PointAsked, front: Mapping[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    """Return the point that is asked for.

    Raises:
        InputError: With the points there are.
    """
    points: list[dict[str, Any]] = front["points"]  # the most accurate on val first
    found = [point for point in points if point["trial"] == asked.trial]
    if not found:
        trials = ", ".join(str(trial) for trial in sorted({point["trial"] for point in points}))
        raise InputError(
            f"trial {asked.trial} has no point on the front of {asked.study}",
            f"these trials have: {trials}; `eecompile why` tells of the others",
        )
    told = ", ".join(f"{p['point']} ({100 * p['accuracy_val']:.1f} % on val)" for p in found)
    if asked.point is not None:
        chosen = next((point for point in found if point["point"] == asked.point), None)
        if chosen is None:
            raise InputError(
                f"trial {asked.trial} has no point {asked.point} on the front of {asked.study}",
                f"it has {told}",
            )
        return chosen
    if len(found) > 1:
        progress(
            f"trial {asked.trial} has several points, {told}: the first is taken; `front_point` names one"
        )
    return found[0]


def _files(folder: Path, point: Mapping[str, Any]) -> list[Path]:
    """Return the networks of a point, that in float first.

    Raises:
        InputError: One is not there any more, or another than ``front.json`` tells of.
    """
    found = []
    for name, told in point["networks"].items():
        path = folder / NETWORKS / name
        if not path.is_file():
            raise InputError(f"{path} is not there any more", _AGAIN)
        if sha256(path) != told:
            raise InputError(f"{path} is not the network that front.json tells of", _AGAIN)
        found.append(path)
    return found
