"""The verb `split`: a run in two parts over a link."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eecompile.verbs.given.images import images_given
from eecompile.verbs.given.lists import numbers
from eecompile.verbs.progress import Progress, silent
from passes.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from eecompile.split.radios import Radio
    from eecompile.split.splitting import SplitResult
    from eecompile.verbs.given.images import Data

OBJECTIVES = ("latency", "energy")


def split(
    run: Path | str,
    link: float | Sequence[float],
    rtt: float,
    loss: Sequence[float] | None = None,
    objective: str = "latency",
    max_drop: float | None = None,
    server_target: str | None = None,
    server_time: float | None = None,
    radio: str = "wifi",
    idle_power: float | None = None,
    energy_per_byte: float | None = None,
    clock: float | None = None,
    data: Data | None = None,
    out: Path | str | None = None,
    progress: Progress = silent,
) -> SplitResult:
    """Cut a run between a device and a server: where, with which exits, thresholds and numbers sent.

    All is chosen together on val for the least expected latency or device energy, for each speed of the link,
    and reported on test: what comes behind features that are sent is answered by the later part of the
    network on what a server decodes of them. Writes what both sides run into ``device`` and ``server``.

    Args:
        run: Run directory with images.
        link: Bit/s, or the slowest and the fastest of a link.
        rtt: Seconds there and back.
        loss: Shares of segments that are lost, 0 if absent; with several a table for each.
        objective: ``latency`` or ``energy``, of the device.
        max_drop: Points that may be lost against the network without exits; those of the run if absent.
        server_target: Target that the server's part is scheduled on.
        server_time: Seconds of the whole network on the server; measured on this machine if both are absent.
        radio: ``wifi``, ``lte``, ``lte-m``, ``3g`` or ``ble``: published power while sending,
            receiving and listening.
        idle_power: Watts while the device waits for an answer; that of the radio's listening if absent.
        energy_per_byte: Joules of a byte sent, instead of the radio's.
        clock: Hz of the device, for targets without a clock, or another one.
        data: Where the images of the run lie now, or the images.
        out: Folder to write; ``<run>-split`` if absent.
        progress: Called with one line of text per step.

    Raises:
        InputError: No run with images, values that cannot be, a target without a clock.
        NoSolutionError: No plan keeps the accuracy.

    Examples:
        >>> from eecompile import api
        >>> found = api.split("tiny-run", link=(1e5, 1e8), rtt=0.001, server_time=1e-4, clock=1e5)
        >>> sorted(path.name for path in found.out.iterdir())
        ['device', 'server']
    """
    rates = (float(link),) * 2 if isinstance(link, int | float) else numbers("link", link, "(1e5, 1e7)")
    losses = (0.0,) if loss is None else numbers("loss", loss, "(0, 0.02)")
    if len(rates) != 2 or not 0 < rates[0] <= rates[1] < np.inf:
        raise InputError(f"`link` cannot be {link}", "bit/s, or the slowest and the fastest: (1e5, 1e7)")
    if not losses or not all(0 <= share < 1 for share in losses):
        told = ", ".join(f"{share:g}" for share in losses) or "empty"
        raise InputError(f"`loss` cannot be {told}", "shares from 0 to below 1: 0, 0.02")
    if objective not in OBJECTIVES:
        raise InputError(f"unknown objective '{objective}'", did_you_mean(objective, OBJECTIVES))
    if server_target is not None and server_time is not None:
        raise InputError(
            "`server_target` and `server_time` both say how long the server needs",
            "leave one of them away",
        )
    for name, value in (("server_time", server_time), ("clock", clock)):
        if value is not None and not 0 < value < np.inf:
            raise InputError(f"`{name}` cannot be {value}", "a number above 0")
    from_zero = {"idle_power": idle_power, "energy_per_byte": energy_per_byte, "max_drop": max_drop}
    for name, amount in {"rtt": rtt, **from_zero}.items():
        if amount is not None and not 0 <= amount < np.inf:
            raise InputError(f"`{name}` cannot be {amount}", "a number from 0 on")
    from eecompile.split.splitting import SplitAsked, split_run

    folder = Path(run)
    chosen = _radio(radio, energy_per_byte)
    asked = SplitAsked(
        rates=(rates[0], rates[1]),
        rtt_s=rtt,
        losses=tuple(dict.fromkeys(losses)),
        objective=objective,
        max_drop=max_drop,
        server_target=server_target,
        server_time_s=server_time,
        radio=chosen,
        idle_w=chosen.listen_w if idle_power is None else idle_power,
        clock_hz=clock,
        data=None if data is None else images_given(data),
        out=folder.with_name(f"{folder.resolve().name}-split") if out is None else Path(out),
    )
    return split_run(folder, asked, progress)


def _radio(name: str, energy_per_byte: float | None) -> Radio:
    from dataclasses import replace

    from eecompile.split.radios import radio_named

    found = radio_named(name)
    if energy_per_byte is None:
        return found
    told = f"{energy_per_byte:g} J per byte sent, as was told; receiving and listening by {found.source}"
    return replace(found, send_j_per_bit=energy_per_byte / 8, send_w=0.0, source=told)
