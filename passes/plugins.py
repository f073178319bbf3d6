"""What packages add by name: built-in tables and entry points of installed packages."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points

from passes.errors import InputError


def plugin_table(group: str, builtin: Mapping[str, str]) -> dict[str, str]:
    """Return name -> ``module:attribute`` of an entry point group; built-in names cannot be overridden."""
    installed = {point.name: point.value for point in entry_points(group=group)}
    return dict(sorted({**installed, **builtin}.items()))


def load_plugin(what: str, name: str, value: str) -> object:
    """Return what an entry point names.

    Args:
        what: What it is, for messages: ``target``.
        name: Of the entry point.
        value: ``module:attribute``.

    Raises:
        InputError: It cannot be loaded.
    """
    module, _, attribute = value.partition(":")
    try:
        found: object = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        hint = "reinstall the package that provides it"
        raise InputError(f"{what} '{name}' ({value}) cannot be loaded: {error}", hint) from error
    return found
