"""``--config FILE``: options of a verb from a TOML file, by the names of flags and parameters."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from eecompile.cli.guard import complain
from passes.errors import EecompileError, InputError, did_you_mean

UNNAMED = ("config", "help")
"""Flags that a file cannot hold."""


def read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Take the options of a file for those that are not given; ends the program where the file is wrong."""
    if path is not None:
        try:
            ctx.default_map = {**(ctx.default_map or {}), **config_values(ctx, path)}
        except EecompileError as error:
            raise SystemExit(complain(error.message, error.hint, error.exit_code)) from None
    return path


def config_values(ctx: typer.Context, path: Path) -> dict[str, Any]:
    """Return parameter -> value of a file, as the command line takes it.

    Raises:
        InputError: A file that cannot be read, a key that no option has, one that is there twice, or a value
            that is none of its option.
    """
    parameters = {item.name: item for item in ctx.command.params if item.name not in UNNAMED}
    names = {str(name): str(name) for name in parameters}
    for own, item in parameters.items():
        names |= {flag.removeprefix("--"): str(own) for flag in item.opts if flag.startswith("--")}
    found: dict[str, Any] = {}
    for key, value in _document(path).items():
        name = names.get(key) or names.get(key.replace("-", "_"))
        if name is None:
            known = sorted({n.replace("-", "_") for n in names})
            raise InputError(
                f"{path}: `{ctx.command.name}` has no option '{key}'",
                did_you_mean(key.replace("-", "_"), known),
            )
        if name in found:
            raise InputError(f"{path}: '{key}' is there twice", "write it once, as flag or as parameter")
        item = parameters[name]
        found[name] = _as_given(item, name, value, f"{path}: {key}")
        _check(ctx, item, found[name], f"{path}: {key}")
    return found


def _check(ctx: typer.Context, item: Any, value: Any, where: str) -> None:
    """Raise InputError unless the option takes the value."""
    try:
        item.process_value(ctx, value)
    except typer.BadParameter as error:
        raise InputError(f"{where}: {error.message}", "see `--help` of the verb") from None


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", "check the path given with --config"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}", "write lines like: max_drop = 0.5") from None


def _as_given(item: Any, name: str, value: Any, where: str) -> Any:
    """Return a value in the form that the command line has for it."""
    several = getattr(item, "multiple", False) or item.nargs != 1
    if isinstance(value, Mapping):
        pairs = [f"{key}={_number(name, entry, f'{where}.{key}')}" for key, entry in value.items()]
        return pairs if several else ",".join(pairs)
    if isinstance(value, list):
        texts = [_plain(entry, f"{where}[{number}]") for number, entry in enumerate(value)]
        return texts if several else _joined(name, texts)
    if isinstance(value, bool):
        return value if getattr(item, "is_flag", False) else "on" if value else "off"
    return [_plain(value, where)] if several else _plain(value, where)


def _plain(value: Any, where: str) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise InputError(f"{where}: a text or a number is meant, not {value!r}", "see `--help` of the verb")


def _number(name: str, value: Any, where: str) -> str:
    if name == "prune" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{100 * value:.12g}%"  # a share for Python, per cent on the command line
    return _plain(value, where)


def _joined(name: str, texts: list[str]) -> str:
    """Return texts separated by commas, those that hold one in quotes; heads have theirs in braces."""
    if name == "head":
        return ",".join(texts)
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(texts)
    return stream.getvalue()
