"""The verb `split`; registered in `eecompile.cli.main`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eecompile.cli.guard import shown_progress
from eecompile.cli.options import DATA, JSON


def split(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run directory with images.", show_default=False)
    ],
    link: Annotated[
        str, typer.Option(metavar="RATE[..RATE]", help="Of the link: 2Mbit/s, or 0.1Mbit/s..10Mbit/s.")
    ],
    rtt: Annotated[str, typer.Option(metavar="TIME", help="There and back: 20ms.")],
    loss: Annotated[
        str | None,
        typer.Option(metavar="SHARE[,…]", help="Of segments; with several a table for each. [default: 0]"),
    ] = None,
    objective: Annotated[
        str, typer.Option(metavar="NAME", help="What is least: latency, or energy of the device.")
    ] = "latency",
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="Allowed accuracy drop against no exits and no server. [default: that of the run]",
        ),
    ] = None,
    server_target: Annotated[
        str | None, typer.Option(metavar="NAME", help="Target that the server's part is scheduled on.")
    ] = None,
    server_time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Of the whole network on the server. [default: measured here]"),
    ] = None,
    radio: Annotated[
        str, typer.Option(metavar="NAME", help="Whose power is counted: wifi, lte, lte-m, 3g, ble.")
    ] = "wifi",
    idle_power: Annotated[
        str | None,
        typer.Option(
            metavar="POWER", help="While waiting for an answer: 10mW. [default: the radio's listening]"
        ),
    ] = None,
    energy_per_byte: Annotated[
        str | None, typer.Option(metavar="ENERGY", help="Of a byte sent: 2uJ. [default: the radio's]")
    ] = None,
    clock: Annotated[
        str | None, typer.Option(metavar="HZ", help="For targets without a clock: 200MHz.")
    ] = None,
    data: DATA = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder for what device and server run. [default: <run>-split]",
        ),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Cut a run between a device and a server: where, with which exits and numbers, by speed of the link."""
    from eecompile import api
    from eecompile.cli import terminal, values
    from eecompile.cli.split import show

    with shown_progress() as progress:
        found = api.split(
            run,
            values.parse_rates("--link", link),
            values.parse_seconds("--rtt", rtt),
            values.parse_numbers("--loss", loss, "shares from 0 to below 1"),
            objective,
            max_drop,
            server_target,
            None if server_time is None else values.parse_seconds("--server-time", server_time),
            radio,
            values.parse_watts("--idle-power", idle_power),
            values.parse_joules("--energy-per-byte", energy_per_byte),
            values.parse_hertz("--clock", clock),
            data,
            out,
            progress=progress,
        )
    terminal.show(found, as_json, show.split_plans)
