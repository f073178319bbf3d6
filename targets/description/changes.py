"""A description with other numbers: what an accelerator would be if one of its figures were different."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from passes.errors import InputError, did_you_mean
from targets.description.architecture import Architecture, architecture_of

ANY = "*"
"""Stands for every part of a description at its place in a path."""
_VALUE = "value"  # of a figure, beside how it is known


@dataclass(frozen=True)
class Change:
    """A number of a description that was changed.

    Attributes:
        path: Where it is; parts of a list go by their name, or by their number.
        old: What it was.
        new: What it is.
    """

    path: str
    old: float
    new: float


def changed(arch: Architecture, settings: Mapping[str, float]) -> tuple[Architecture, tuple[Change, ...]]:
    """Return a description with other numbers, and what they were.

    Args:
        arch: The description.
        settings: Path -> number: ``memories.l1.size_bytes``, ``cores.*.array.operation_energy_pj``,
            ``operating_points[0].clock_hz``.

    Raises:
        InputError: No such number, with what there is; or the description would be none with it.
    """
    data = arch.model_dump(exclude_none=True)
    found = []
    for path, value in settings.items():
        if not math.isfinite(value):
            raise InputError(f"{path}: {value} is no finite number", f"example: {path}=2")
        places = list(_places(data, _parts(path), ""))
        if not places:
            raise InputError(f"{path}: no part of {arch.name} has it", _known(data))
        for holder, key, where in places:
            found.append(_set(holder, key, where, value))
    _follow_voltage(data)
    return architecture_of(data, f"{arch.name} with {', '.join(settings)}"), tuple(found)


def _parts(path: str) -> list[str]:
    parts = path.replace("[", ".").replace("]", "").split(".")
    if not all(parts):
        raise InputError(f"'{path}' is no path of a number", "example: memories.l1.size_bytes")
    return parts


def _places(holder: Any, parts: list[str], above: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield what holds the number at a path, its key there, and where that is; several behind a star."""
    part, *others = parts
    starred = part == ANY
    for key in _children(holder) if starred else [_key(holder, part, above)]:
        where = f"{above}.{_name(holder, key)}".removeprefix(".")
        if not others:
            if not starred or _number(holder[key]) is not None:
                yield holder, key, where
            continue
        try:
            found = list(_places(holder[key], others, where))
        except InputError:
            if starred:  # this part has none; others may
                continue
            raise
        yield from found


def _children(holder: Any) -> list[Any]:
    if isinstance(holder, dict):
        return list(holder)
    return list(range(len(holder))) if isinstance(holder, list | tuple) else []


def _key(holder: Any, part: str, above: str) -> Any:
    """Return the key or number of a part by its text."""
    keys = _children(holder)
    names = {_name(holder, key): key for key in keys}
    if part in names:
        return names[part]
    if not isinstance(holder, dict) and part.isdigit() and int(part) in keys:
        return int(part)
    if not names:
        raise InputError(f"{above}: is a number itself", f"leave '.{part}' away")
    raise InputError(f"{above or 'the description'}: has no '{part}'", did_you_mean(part, names))


def _name(holder: Any, key: Any) -> str:
    """Return what a part is called: its key, or the name that it has in a list."""
    if isinstance(holder, dict):
        return str(key)
    item = holder[key]
    return str(item["name"]) if isinstance(item, dict) and "name" in item else str(key)


def _number(value: Any) -> float | None:
    if isinstance(value, dict):
        value = value.get(_VALUE)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _set(holder: Any, key: Any, where: str, value: float) -> Change:
    old = _number(holder[key])
    if old is None:
        inner = holder[key]
        hint = f"it has {', '.join(_name(inner, k) for k in _children(inner))}" if _children(inner) else ""
        raise InputError(f"{where}: is no number", hint)
    new: float = int(value) if float(value).is_integer() else value
    if isinstance(holder[key], dict):
        holder[key] = {_VALUE: new, "known": "placeholder", "source": f"what if: instead of {old:g}"}
    else:
        holder[key] = new
        if isinstance(holder, dict) and "known" in holder:  # it speaks for all numbers of its part
            holder |= {"known": "placeholder", "source": f"what if: {key} instead of {old:g}"}
    return Change(where, float(old), float(new))


def _follow_voltage(data: dict[str, Any]) -> None:
    """Let energies that followed from voltages follow from them again."""
    for point in data.get("operating_points", ()):
        scale = point.get("energy_scale")
        if scale is not None and scale["source"].startswith("derived"):
            del point["energy_scale"]


def _known(data: dict[str, Any]) -> str:
    return f"it has {', '.join(name for name in data if name != 'name')}"
