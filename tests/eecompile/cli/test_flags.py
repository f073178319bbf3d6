from __future__ import annotations

from typing import Annotated

import pytest
import typer

from eecompile.cli.flags import flags_in_use, flags_of, with_flags


def verb(
    model: Annotated[str, typer.Argument()],
    max_latency: Annotated[float | None, typer.Option()] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    out: Annotated[str | None, typer.Option("--out", "-o")] = None,
) -> None:
    """A verb."""


def test_options_have_flags_and_arguments_have_none() -> None:
    assert flags_of(verb) == {"max_latency": "--max-latency", "as_json": "--json", "out": "--out"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`max_latency` -1 is not a time", "--max-latency -1 is not a time"),
        ("give `out`, or leave `as_json` away", "give --out, or leave --json away"),
        (
            "see `eecompile inspect`; `model` and `other` stay",
            "see `eecompile inspect`; `model` and `other` stay",
        ),
        ("`max_latency", "`max_latency"),
    ],
)
def test_parameters_of_the_verb_in_use_are_shown_as_flags(text: str, shown: str) -> None:
    assert with_flags(text) == text, "no verb is in use"
    with flags_in_use(verb):
        assert with_flags(text) == shown
    assert with_flags(text) == text
