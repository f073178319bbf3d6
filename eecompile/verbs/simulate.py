"""The verb `simulate`: runs under load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eecompile.verbs.given.lists import numbers, texts
from eecompile.verbs.progress import Progress, silent
from passes.errors import InputError
from passes.files import write_atomic

if TYPE_CHECKING:
    from eecompile.serving.arrivals import Arrivals
    from eecompile.serving.result import SimulationResult

# Policies that are compared if none is named.
USUAL = ("fifo", "remaining")


def simulate(
    runs: Path | str | Sequence[Path | str],
    arrivals: Arrivals | Sequence[Arrivals],
    slo: float | Sequence[float],
    policy: str | Sequence[str] | None = None,
    priority: Sequence[float] | None = None,
    requests: int = 100_000,
    seeds: int = 5,
    clock: float | None = None,
    no_preempt: bool = False,
    capacity: bool = False,
    window: Path | str | None = None,
    report: Path | str | None = None,
    accuracy_floor: float | None = None,
    batch: str | Sequence[str] | None = None,
    adapt: bool = False,
    drift: float | None = None,
    overlap: bool = False,
    progress: Progress = silent,
) -> SimulationResult:
    """Tell what latencies a run has under load, request by request, and what its exits are worth there.

    Discrete events over the stages of the schedule; each request replays the answers of a test image, and
    what policies know of it was learnt on val. One accelerator serves all runs, one stage at a time or
    several beside each other, for one image or a batch of them.

    Args:
        runs: Run directories with answers (`run` with data); one, or several that share the accelerator, each
            with requests of its own. One that is named several times is one network with several streams of
            requests, as of several cameras.
        arrivals: When requests come: `eecompile.serving.arrivals.Poisson`, `Periodic`, `Bursts`, `Trace`;
            one for all runs, or one for each.
        slo: Seconds from arrival to deadline; one for all runs, or one for each.
        policy: Who is next, see docs/serving.md; one or several; ``fifo`` and ``remaining`` if absent.
        priority: Of each run's requests; all alike if absent.
        requests: The most of each stream, for each seed; all end when the first has sent so many.
        seeds: How many; figures are means with 95 % intervals over them.
        clock: Hz, for targets without a clock.
        no_preempt: A request that began goes on before another begins.
        capacity: Find the highest rate at which at most 1 % are late, too (bisection).
        window: File for a window of the last policy's schedule, for https://ui.perfetto.dev.
        report: File for a page with tables and charts; the first seed of each policy is then looked at again.
        accuracy_floor: Percent on val. Under overload thresholds give way, on no rung below it; each policy
            is served without that and with it.
        batch: How requests run together: ``none``, ``fixed:8``, ``timeout:8,2ms`` or ``fluid:8``, see
            docs/serving.md; one or several, each tried with each policy; ``none`` if absent.
        adapt: Serve each policy with thresholds that follow what images have become, too, by the labels that
            the rest of the network gives when nothing waits.
        drift: Images become harder: share of the requests that, at the end, draw from the half of the test
            images that the final exit is least sure of; half of them do at the beginning.
        overlap: Stages of several requests run beside each other, where the schedules leave cores, links and
            memories free; without exits, too.
        progress: Called with one line of text per step.

    Raises:
        InputError: No run with answers, arrivals or a policy that are none, a target without a clock, a run
            below the floor, one that cannot be scheduled again.

    Examples:
        >>> from eecompile import api
        >>> from eecompile.serving.arrivals import Poisson
        >>> found = api.simulate("tiny-run", Poisson(300), slo=0.02, requests=2000, seeds=2)
        >>> [row.policy for row in found.rows]
        ['fifo', 'fifo', 'remaining']
    """
    from eecompile.serving.batches.batching import batching_of, batchings_of
    from eecompile.serving.served_network import networks_of
    from eecompile.serving.shown.page import page
    from eecompile.serving.simulation import simulate_load
    from eecompile.serving.streams import RequestStream, ServingLoad

    folders = [Path(runs)] if isinstance(runs, str | Path) else [Path(one) for one in runs]
    patterns = list(arrivals) if isinstance(arrivals, Sequence) else [arrivals] * len(folders)
    together = "none" if batch is None else batch
    batchings = batchings_of(together) if isinstance(together, str) else tuple(map(batching_of, together))
    alike = (1.0,) * len(folders)
    levels = alike if priority is None else numbers("priority", priority, "(9, 1)")
    due = numbers("slo", slo, "(0.02, 0.05)") if isinstance(slo, Sequence) else (slo,) * len(folders)
    if not folders:
        raise InputError("there is no run to serve", "name a run directory")
    if not batchings:
        raise InputError("there is no way to batch", "name one or several, as in `none`")
    for name, given in (("arrivals", patterns), ("slo", due), ("priority", levels)):
        if len(given) != len(folders):
            raise InputError(
                f"`{name}` has {len(given)} for {len(folders)} runs", "one for each run, in their order"
            )
    for name, value in (
        *(("slo", one) for one in due),
        ("requests", requests),
        ("seeds", seeds),
        ("clock", clock),
    ):
        if value is not None and not 0 < value < np.inf:
            raise InputError(f"`{name}` cannot be {value}", "a number above 0")
    if accuracy_floor is not None and not 0 < accuracy_floor <= 100:
        raise InputError(f"`accuracy_floor` cannot be {accuracy_floor}", "percent, as in 88")
    if drift is not None and not 0 <= drift <= 1:
        raise InputError(f"`drift` cannot be {drift}", "a share, as in 0.9")
    apart = list(dict.fromkeys(folder.resolve() for folder in folders))
    streams = [
        RequestStream(name, apart.index(folder.resolve()), pattern, until, level)
        for name, folder, pattern, until, level in zip(
            _names(folders), folders, patterns, due, levels, strict=True
        )
    ]
    policies = texts("policy", USUAL if policy is None else policy)
    _check_soon(policies, apart, {"load.html": report, "window.json": window})
    load = ServingLoad(streams, requests, range(seeds), not no_preempt, drift, adapt, overlap)
    served, largest, watched = [], max(one.size for one in batchings), adapt or drift is not None
    for folder in apart:
        progress(f"reading {folder}")
        floor = None if accuracy_floor is None else accuracy_floor / 100
        served.append(networks_of(folder, clock, floor, largest, progress, watched, overlap))
    found = simulate_load(
        served,
        load,
        policies,
        capacity,
        None if window is None else Path(window),
        progress,
        batchings,
        report is not None,
    )
    if report is None:
        return found
    progress(f"writing {report}")
    assert found.detail is not None
    write_atomic(Path(report), page(found.to_json(), found.detail, found.cores).encode())
    return found


def _check_soon(
    policies: Sequence[str], runs: Sequence[Path], files: Mapping[str, Path | str | None]
) -> None:
    """Refuse before any schedule is made what would be refused after it.

    Args:
        policies: Names.
        runs: Directories.
        files: That are to be written, by what such files are usually called.
    """
    from eecompile.run_files.summary import load_summary
    from eecompile.serving.policies import policy_named
    from eecompile.serving.served_network import check_targets
    from eecompile.verbs.work.cost_files import check_writable

    for name in policies:
        policy_named(name)
    for usual, path in files.items():
        if path is not None:
            check_writable(Path(path), usual)
    check_targets([(run.name, load_summary(run).target) for run in runs])


def _names(folders: Sequence[Path]) -> list[str]:
    """Return what streams are called: as their runs, with numbers where a name is there several times."""
    names = [folder.resolve().name for folder in folders]
    return [
        name if names.count(name) == 1 else f"{name} {names[:n].count(name) + 1}"
        for n, name in enumerate(names)
    ]
