"""What advice tells to type, held against the command line."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

import typer.main

from eecompile.cli.main import app
from eecompile.report.findings.piece import Advice


def check_options(advice: Iterable[Advice]) -> None:
    """Assert that every option is one of its verb, of ``run`` where none stands before it."""
    group: Any = typer.main.get_command(app)
    for item in advice:
        words = shlex.split(item.option)
        verb = group.commands[words[1] if words[:1] == ["eecompile"] else "run"]
        known = {name for parameter in verb.params for name in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, item
