"""Which accelerator a name or a file stands for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml

from passes.errors import InputError, did_you_mean
from passes.files import write_atomic
from targets.contract.registry import load_target, target_table
from targets.contract.target import Target
from targets.described.target import USUAL_SCHEMES, EngineTarget
from targets.description.readers.files import read_architecture
from targets.network.layer import Bits

_FILE_ENDINGS = (".yaml", ".yml")


def open_target(name: str, cost_model: str, host_scale: float | None) -> tuple[Target, bool]:
    """Return a target by its name or its description, and whether it is such a foreign file.

    Raises:
        InputError: No such target or file, a wrong description, or an option it cannot honour.
    """
    factor = 1.0 if host_scale is None else host_scale
    foreign = is_file(name)
    if foreign:
        target: Target = EngineTarget(cost_model, factor, read_architecture(Path(name)))
    elif name not in target_table():
        what = "is a folder" if Path(name).is_dir() else "is neither a target nor a file"
        raise InputError(
            f"unknown target '{name}': it {what}",
            f"{did_you_mean(name, target_table())}; or give the path of the .yaml of an accelerator",
        )
    else:
        target = load_target(name, cost_model, factor)
    if host_scale is not None and target.arch.host is None:
        raise InputError(
            f"`host_scale` scales the work of a host core, and {target.title} has none",
            "leave `host_scale` away",
        )
    return target, foreign


def is_file(name: str) -> bool:
    """Return whether ``name`` is that of a description, not of a target."""
    return name not in target_table() and (name.endswith(_FILE_ENDINGS) or Path(name).is_file())


def short_name(name: str) -> str:
    """Return what folders are called by a target: its name, or that of its file."""
    return Path(name).stem if is_file(name) else name


def description_hash(name: str, target: Target) -> str | None:
    """Return the SHA-256 of all that the file ``name`` says, wherever it lies; ``None`` of a target."""
    return hashlib.sha256(target.arch.model_dump_json().encode()).hexdigest() if is_file(name) else None


TARGET_FILE = "described_target.yaml"
"""In a folder of results: the accelerator that a file described, as it was read."""


def keep_description(folder: Path, name: str, target: Target) -> None:
    """Write what the file ``name`` says into a folder of results; nothing of a target."""
    if is_file(name):
        read = target.arch.model_dump(mode="json", exclude_defaults=True)
        write_atomic(folder / TARGET_FILE, yaml.safe_dump(read, sort_keys=False).encode())


def kept_target(folder: Path, name: str) -> str:
    """Return what to open where a folder of results is of target or file ``name``: the file it has kept."""
    kept = folder / TARGET_FILE
    return str(kept) if is_file(name) and kept.is_file() else name


def assumed_bits(bits: Bits) -> str:
    """Say at which precision float networks are costed where the user of a file did not say."""
    return (
        f"float tensors are costed at {bits.weight}-bit weights, {bits.activation}-bit activations and "
        f"{bits.accumulator}-bit partial sums"
    )


def assumed_schemes(name: str, target: Target) -> list[str]:
    """Say by which schemes cores compute of which the file ``name`` does not say it; nothing of a target."""
    unsaid = [core.name for core in target.arch.cores if not core.schemes] if is_file(name) else []
    if not unsaid:
        return []
    cores = f"core {unsaid[0]}" if len(unsaid) == 1 else f"{len(unsaid)} cores"
    return [f"{name} names no `schemes` of {cores}: quantized by {', '.join(USUAL_SCHEMES)}"]
