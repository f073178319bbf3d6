"""Optuna is an extra: what searches asks for it first."""

from __future__ import annotations

from typing import Any

from passes.errors import InputError


def import_optuna() -> Any:
    """Return optuna, quiet; raises InputError when the extra ``search`` is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise InputError(
            "a search needs Optuna, which is not installed", "pip install 'eecompile[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
