"""The folder of a search as a front that can be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eecompile.run_files.versions import check_version
from eecompile.search.point_detail import point_files
from eecompile.search.shown.front import PointFiles, ShownFront, ShownPoint, TriedDesign
from passes.errors import InputError

# By what is asked of a search: the ablation in words, and whether it is one where the answer is yes.
_ABLATIONS = {
    "hardware": ("no hardware", False),
    "quantized": ("no quantization", False),
    "fixed_heads": ("fixed heads", True),
    "one_threshold": ("one threshold", True),
    "genetic": ("genetic algorithm only", True),
}


def shown_study(folder: Path) -> ShownFront:
    """Return the front of a search with all that its folder knows of it.

    Raises:
        InputError: No finished search, or a file of it that is damaged.
    """
    if not (folder / "front.json").exists():
        raise InputError(
            f"{folder} holds no finished search", "give the folder (`out`) of a search that ended"
        )
    front = _read(folder / "front.json")
    told = _read(folder / "trials.json")
    searched = told.get("searched", {})
    try:
        return _shown(folder, front, told["trials"], searched)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"a file of the search in {folder} is damaged: {type(error).__name__} {error}",
            "run `search` with `resume` again",
        ) from None


def shown_what_ifs(folder: Path) -> list[ShownFront]:
    """Return the front of a search on other hardware, for each time that was asked of the front it has now.

    Points that the other hardware cannot run, or that keep a constraint no more, are left out.

    Raises:
        InputError: A file that is damaged.
    """
    front = _read(folder / "front.json")
    found = []
    for path in sorted(folder.glob("whatif-*.json")):
        told = _read(path)
        try:
            if _is_of(told, front):
                found.append(_what_if(folder, told))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path} is damaged: {type(error).__name__} {error}", "ask `whatif` for it again"
            ) from None
    return found


def _is_of(told: Mapping[str, Any], front: Mapping[str, Any]) -> bool:
    """Return whether the points of another hardware are those of a front, not of one that was before it."""
    now = {(point["trial"], point["point"]): point for point in front["points"]}
    was = {(point["trial"], point["point"]): point["was"] for point in told["points"]}
    return now.keys() == was.keys() and all(
        now[key][name] == value for key, figures in was.items() for name, value in figures.items()
    )


def _what_if(folder: Path, told: Mapping[str, Any]) -> ShownFront:
    hardware = told["hardware"]
    changes = [f"{item['path']} {item['old']:g} → {item['new']:g}" for item in hardware["changes"]]
    other = [hardware["target"]] if hardware["target"] != hardware["of"] else []
    facts = (
        ("folder", str(folder)),
        ("target", str(hardware["target"])),
        ("data", str(told["data"])),
        *((("images, hash", str(told["images_hash"])),) if "images_hash" in told else ()),
        ("hardware", "\n".join(changes) or "as it is described"),
    )
    left_out = ("before", "summed", "on_test")
    points = tuple(
        ShownPoint(
            f"trial {point['trial']}, point {point['point']}",
            ShownPoint.figures_of(point),
            {key: value for key, value in point.items() if key not in left_out},
            {**point["was"], **{key: point[key] for key in ("accuracy_val", "accuracy")}},
            against="on the hardware it was found for",
        )
        for point in told["points"]
        if point["runs"] and point["feasible"]
    )
    title = f"{folder.resolve().name}, what if: {', '.join([*other, *changes])}"
    compared_by = tuple(told.get("compared_by", ()))
    return ShownFront(title, tuple(told["objectives"]), points, {}, facts, (), compared_by)


def _shown(
    folder: Path, front: Mapping[str, Any], trials: list[dict[str, Any]], searched: Mapping[str, Any]
) -> ShownFront:
    designs = tuple(_design(trial) for trial in trials)
    by_trial = {design.trial: design for design in designs}
    question = searched.get("question", {})
    ablations = [
        words for name, (words, given) in _ABLATIONS.items() if bool(question.get(name, not given)) is given
    ]
    asked = ", ".join([str(front["target"]), Path(str(front["data"])).stem, f"seed {front['seed']}"])
    facts = [
        ("folder", str(folder)),
        ("target", str(front["target"])),
        ("data", str(front["data"])),
        ("seed", str(front["seed"])),
        ("designs tried", str(front["trials_done"])),
        ("ablations", ", ".join(ablations) or "none"),
        ("operating points", ", ".join(front.get("operating_points", ())) or "none is told"),
        *((label, str(found[key])) for label, key, found in (
            ("space", "space", question),
            ("preprocessing", "preprocess", question),
            ("images, hash", "images_hash", front),
            ("eecompile", "version", searched),
        ) if found.get(key) is not None),
    ]  # fmt: skip
    return ShownFront(
        ", ".join([folder.resolve().name, *ablations]) + f" ({asked})",
        tuple(front["objectives"]),
        tuple(_point(folder, point, by_trial.get(int(point["trial"]))) for point in front["points"]),
        dict(searched.get("reference", {})),
        tuple(facts),
        designs,
        tuple(front.get("compared_by", ())),
    )


def _design(trial: Mapping[str, Any]) -> TriedDesign:
    text = trial.get("design") or ", ".join(f"{name} {value}" for name, value in trial["params"].items())
    static = _static(trial.get("static", {}))
    static_at = {name: {**static, **_static(told)} for name, told in trial.get("static_at", {}).items()}
    points = tuple(ShownPoint.figures_of(point) for point in trial.get("points", ()))
    return TriedDesign(int(trial["trial"]), text, static, points, static_at)


def _static(told: Mapping[str, float]) -> dict[str, float]:
    """Return figures of a network without exits: all images take as long as the last one."""
    worst = {f"worst_{key}": told[key] for key in ("latency_cycles", "latency_s") if key in told}
    return {**told, **worst}


def _point(folder: Path, point: Mapping[str, Any], design: TriedDesign | None) -> ShownPoint:
    trial = int(point["trial"])
    static = {} if design is None else design.static_at.get(point.get("operating_point", ""), design.static)
    return ShownPoint(
        f"trial {trial}, point {point['point']}",
        ShownPoint.figures_of(point),
        point,
        static,
        _files(folder, trial, int(point["point"])),
    )


def _files(folder: Path, trial: int, point: int) -> PointFiles | None:
    known, trace = (folder / name for name in point_files(trial, point))
    return PointFiles(_read(known), _read(trace)) if known.exists() and trace.exists() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", "run `search` with `resume` again"
        ) from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}", "run `search` with `resume` again") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no JSON object", "run `search` with `resume` again")
    check_version(found, path)
    return found
