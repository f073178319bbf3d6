"""The reference of the command line lacks no verb and no option, as `--help` tells them."""

from __future__ import annotations

import re
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from eecompile.cli.main import app
from tests.eecompile.cli.test_main import VERBS
from tools.site.commands import reference

FLAG = re.compile(r"(?<![\w-])(--?[a-z][a-z-]*)\b")


def sections(text: str) -> dict[str, str]:
    """Return the text of each section by its title."""
    return {part.partition("\n")[0]: part for part in text.split("## ")[1:]}


def told_by_help(*verb: str) -> set[str]:
    """Return the flags at the beginning of lines of `--help`."""
    text = CliRunner().invoke(app, [*verb, "--help"], env={"COLUMNS": "200"}).output
    named = [line.strip().split("  ")[0] for line in text.splitlines() if line.strip().startswith("-")]
    return {flag for line in named for flag in FLAG.findall(line)} - {"-h", "--help"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_that_help_tells_is_there_and_no_other(verb: str) -> None:
    rows = re.findall(r"^\| (`-.*?) \|", sections(reference(app))[verb], re.MULTILINE)
    told = told_by_help(verb)
    assert {flag for row in rows for flag in FLAG.findall(row)} == told
    assert "--json" in told


def test_every_verb_is_there() -> None:
    assert set(sections(reference(app))) == {*VERBS, "Without a verb"}
    assert set(FLAG.findall(sections(reference(app))["Without a verb"])) >= told_by_help()


def test_a_row_tells_value_help_and_default() -> None:
    made = typer.Typer(name="tool")

    @made.command()
    def cut(
        file: Annotated[str, typer.Argument(metavar="FILE", help="What is cut.")],
        size: Annotated[int, typer.Option("--size", "-s", metavar="A|B", help="How <large>.")] = 3,
        dry: Annotated[bool, typer.Option("--dry", help="Cut nothing.")] = False,
        secret: Annotated[int, typer.Option("--secret", hidden=True)] = 1,
    ) -> None:
        """Cut a file."""

    @made.callback()
    def common() -> None:
        pass

    text = sections(reference(made))["cut"]
    assert "`tool cut FILE [OPTIONS]`\n\nCut a file." in text
    assert "| `FILE` |  | What is cut. |" in text
    assert r"| `--size`, `-s` | `A\|B` | How &lt;large>. [default: 3] |" in text
    assert "| `--dry` |  | Cut nothing. |" in text
    assert "secret" not in text
