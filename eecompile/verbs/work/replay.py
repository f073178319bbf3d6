"""``run --replay``: a run again, from what its ``run.json`` says and files that are as they were."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from eecompile.data.sources import load_data
from eecompile.run import provenance
from eecompile.run.accelerator import is_file
from eecompile.run.main import RunResult
from eecompile.run.main import run as run_pipeline
from eecompile.run.options import RunOptions, from_record
from eecompile.run_files.directory import sha256
from eecompile.run_files.versions import check_version
from passes.errors import InputError
from passes.model.in_memory import Network, sha256_of_network

RECORD = "run.json"
BESIDE = frozenset({"replay", "model", "data", "out", "cache"})
"""What may be told beside: where things lie now, and where the run goes."""
_NEEDED = ("options", "told", "in_memory", "model_sha256", "data_sha256", "target_sha256", "versions")
_PATHS = ("out", "cache")


def replay_run(given: Mapping[str, Any], progress: Callable[[str], None]) -> RunResult:
    """Do a run again.

    Args:
        given: ``replay``, the run directory or its ``run.json``, and what else was told by name: ``model``
            and ``data`` where these lie elsewhere now, ``out``, ``cache``.
        progress: Called with one line of text per step.

    Raises:
        InputError: No such file, one of another version, an option that would make another run of it, or a
            network, images or an accelerator that are not those of the run.
    """
    if others := sorted(given.keys() - BESIDE):
        raise InputError(
            f"a run is replayed as it was, and `{others[0]}` could make another of it",
            f"leave `{others[0]}` away, or give all options yourself instead of `replay`",
        )
    path = Path(given["replay"])
    path = path / RECORD if path.is_dir() else path
    record = _record(path)
    if record["options"]["from_study"] is not None:
        raise InputError(
            f"{path} is of a run `from_study`: the search holds what it was made of",
            f"say the same again: {record['command']}",
        )
    options = _options(record, path, given)
    _check_same(record, options, path)
    for name, version in provenance.versions().items():
        if record["versions"].get(name) != version:
            was = record["versions"].get(name, "unknown")
            progress(f"{name} is {version} here and was {was}: figures may differ")
    return run_pipeline(options, progress)


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "give a run directory") from None
    except ValueError:
        raise InputError(f"{path} is no JSON document", "give a run directory, or its run.json") from None
    check_version(record, path)
    lacking = [key for key in _NEEDED if not isinstance(record, dict) or key not in record]
    names = {item.name for item in fields(RunOptions)} - {"told"}
    lacking = lacking or sorted(names ^ record["options"].keys())
    if lacking:
        raise InputError(
            f"{path} was written by another version of eecompile, or by another verb: `{lacking[0]}`",
            "run it again by the command that it names",
        )
    return dict(record)


def _options(record: Mapping[str, Any], path: Path, given: Mapping[str, Any]) -> RunOptions:
    """Return the options of the run in their types."""
    told = {**from_record(record["options"]), "cache": None}
    told["out"] = path.absolute().parent.with_name(f"{path.absolute().parent.name}-replay")
    told["model"] = path.parent / told["model"] if "model" in record["in_memory"] else told["model"]
    if "data" in record["in_memory"] and "data" not in given:
        raise InputError(
            "the images of the run were given in memory, and are not in its directory",
            "give them again with `data`",
        )
    for name in BESIDE - {"replay"}:
        if name in given:
            told[name] = Path(given[name]) if name in _PATHS else given[name]
    return RunOptions(**told, told=frozenset(record["told"]) - {"out", "cache"} | ({*given} & {*_PATHS}))


def _check_same(record: Mapping[str, Any], options: RunOptions, path: Path) -> None:
    """Refuse a network, an accelerator or images that are not those of the run."""
    model = _hash_of(options.model)
    _check(record["model_sha256"], model, f"{options.model} is not the network", path, "model")
    if record["target_sha256"] is not None:
        target = Path(options.target)
        found = sha256(target) if is_file(options.target) and target.is_file() else "nothing"
        _check(record["target_sha256"], found, f"{target} is not the accelerator", path, "target")
    if options.data is not None:
        found_hashes = dict(load_data(options.data, options.seed).hashes)
        was, found_now = sorted(record["data_sha256"].values()), sorted(found_hashes.values())
        _check(was, found_now, f"{options.data} holds other images than those", path, "data")


def _hash_of(model: Network) -> str:
    if isinstance(model, Path) and not model.is_file():
        raise InputError(
            f"{model}, the network of the run, is not there", "say with `model` where it lies now"
        )
    return sha256_of_network(model)


def _check(was: object, found: object, what: str, path: Path, name: str) -> None:
    if was != found:
        raise InputError(
            f"{what} of {path}: its SHA-256 is another",
            f"replay needs the same bytes; say with `{name}` where they lie"
            if name != "target"
            else "put the file back as it was",
        )
