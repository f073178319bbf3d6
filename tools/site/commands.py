"""The reference of the command line, as Markdown, read from the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperArgument, TyperOption

# A hidden parameter is none of the interface; --help says nothing but itself.
LEFT_OUT = "help"


def reference(app: typer.Typer) -> str:
    """Return a section for each verb of ``app``, and one for the options without a verb.

    A section holds what the verb does, its usage, its arguments and all of its options.
    """
    group = typer.main.get_group(app)
    name = str(group.name)
    parts = [f"## Without a verb\n\n{table(group)}"]
    for verb in sorted(group.commands):
        command = group.commands[verb]
        words = [f"`{name} {verb} {' '.join(usage(command))}`", " ".join((command.help or "").split())]
        parts.append("\n\n".join([f"## {verb}", *words, table(command)]))
    return "\n\n".join(parts) + "\n"


def usage(command: Any) -> Iterator[str]:
    """Yield the arguments of a command, as they are typed, then a word for its options."""
    for item in command.params:
        if isinstance(item, TyperArgument):
            metavar = str(item.metavar or item.name).upper()
            yield metavar if item.required or metavar.startswith("[") else f"[{metavar}]"
    yield "[OPTIONS]"


def table(command: Any) -> str:
    """Return the parameters of a command as a table: flags, value, what it is for, default."""
    rows = ["| | value | |", "|---|---|---|"]
    for item in command.params:
        if item.name == LEFT_OUT or getattr(item, "hidden", False):
            continue
        if isinstance(item, TyperOption):
            names = ", ".join(f"`{flag}`" for flag in (*item.opts, *item.secondary_opts))
            value = "" if item.is_flag else str(item.metavar or "TEXT")
            required = " Required." if item.required else ""
        else:
            names, value, required = f"`{str(item.metavar or item.name).strip('[]')}`", "", ""
        told = " ".join(str(getattr(item, "help", None) or "").split())
        default = f" [default: {item.default}]" if shown(item) else ""
        cell = f"`{value}`" if value else ""
        rows.append(f"| {names} | {escaped(cell)} | {escaped(told + default + required)} |")
    return "\n".join(rows)


def shown(item: Any) -> bool:
    """Return whether the default of a parameter says something its help does not say."""
    default = getattr(item, "default", None)
    told = getattr(item, "help", None) or ""
    return isinstance(default, str | int | float) and not isinstance(default, bool) and "[default" not in told


def escaped(text: str) -> str:
    """Return text as a cell of a table holds it."""
    return text.replace("|", "\\|").replace("<", "&lt;")
