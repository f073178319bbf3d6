"""What advice tells to type, held against the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer.main

from eecompile.cli.main import app
from eecompile.report.findings.piece import Advice, Trial


def typed(trial: Trial | None) -> str:
    """Return what is typed; empty for nothing."""
    return "" if trial is None else " ".join(trial.words)


def check_trials(advice: Iterable[Advice]) -> None:
    """Assert that every word with dashes is an option of its verb, and that there is that verb."""
    group: Any = typer.main.get_command(app)
    for item in advice:
        if item.trial is not None:
            verb = group.commands[item.trial.verb]
            known = {name for parameter in verb.params for name in parameter.opts}
            assert {word for word in item.trial.words if word.startswith("-")} <= known, item
