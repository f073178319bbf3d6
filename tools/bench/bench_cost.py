"""CPU seconds of the cost search on whole networks, beside the outside reference over the same space.

    python -m tools.bench.bench_cost [--networks ...] [--hardware edge_tpu_like] [--no-full] [--plots DIR]
    python -m tools.bench.bench_cost --zigzag PYTHON [--model NAME=PATH]

Ours are the best of three repeats without anything remembered; `process` adds the start of the interpreter,
reading the model and printing, as `eecompile cost` does it. The reference's seconds are measured in the same
run with an interpreter that has zigzag-dse 3.8.5 (minutes per network), else recorded ones are shown.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from targets.cost.model.solution import Solution
from targets.cost.search.engine import DEFAULT_LPF_LIMIT, Engine
from targets.description.mapping import rule_for
from targets.objective import LATENCY
from tools.bench.bench_cost_growth import growth
from tools.zigzag_live import SHIPPED, Zigzag, model_paths
from tools.zigzag_records import FOLDER, Core, Search, cores, searches

NETWORKS = ("resnet18", "resnet8", "mobilenetv1", "mobilenetv2")
REPEATS = 3
CLI = "from eecompile.cli.main import main; main()"


@dataclass(frozen=True)
class Process:
    """What a whole process took."""

    cpu_s: float
    peak_mib: float


def search(core: Core, network: Search, limit: int | None) -> tuple[float, list[Solution]]:
    """Return the least CPU seconds of a search for the latency of all layers, and its answers."""
    best = float("inf")
    found: list[Solution] = []
    for _ in range(REPEATS if limit else 1):
        engine = Engine(core.hierarchy, lpf_limit=limit)
        start = time.process_time()
        found = [
            engine.best(r.nest, LATENCY, rule_for(core.rules, r.label, r.layer["op"]))
            for r in network.layers
            for _ in range(r.times)
        ]
        best = min(best, time.process_time() - start)
    return best, found


def process(model: Path, hardware: str, folder: Path) -> Process | None:
    """Return CPU seconds and peak memory of `eecompile cost` as a process; ``None`` if it refuses."""
    document = yaml.safe_load((FOLDER / "zigzag_hardware.yaml").read_text(encoding="utf-8"))[hardware]
    core, mapping = folder / "core.yaml", folder / "mapping.yaml"
    core.write_text(yaml.safe_dump(document["architecture"], sort_keys=False), encoding="utf-8")
    mapping.write_text(yaml.safe_dump(document["mapping"], sort_keys=False), encoding="utf-8")
    flags = ["--target", str(core), "--mapping", str(mapping), "--objective", "latency", "--json"]
    flags += ["--locality", "off", "--fusion", "off", "--lpf-limit", str(DEFAULT_LPF_LIMIT)]
    flags += ["--rules", "zigzag"]
    # A process of its own, so that the peak is that of this child alone.
    code = (
        "import json, resource, subprocess, sys\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss]))"
    )
    command = [sys.executable, "-c", code, sys.executable, "-c", CLI, "cost", str(model), *flags]
    code_, cpu, peak = json.loads(
        subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    )
    return None if code_ else Process(cpu, peak / 1024)


def least(runs: list[Process]) -> Process:
    """Return the fastest of several runs."""
    return min(runs, key=lambda run: run.cpu_s)


def line(search_: Search, core: Core, its: float | None, model: Path | None, full: bool, folder: Path) -> str:
    """Return one line of the table."""
    ours, found = search(core, search_, DEFAULT_LPF_LIMIT)
    text = f"{search_.network:<13}{len(found):>7}{len(search_.layers):>10}{ours:>10.3f}"
    whole = process(model, search_.hardware, folder) if model else None
    if whole is not None and model is not None:
        others = [process(model, search_.hardware, folder) for _ in range(REPEATS - 1)]
        whole = least([whole, *(run for run in others if run)])
        text += f"{whole.cpu_s:>10.3f}{whole.peak_mib:>10.0f}"
    else:
        text += f"{'-':>10}{'-':>10}"
    text += f"{its:>10.1f}{its / ours:>8.0f}" if its else f"{'-':>10}{'-':>8}"
    text += f"{its / whole.cpu_s:>8.0f}" if its and whole else f"{'-':>8}"
    if full:
        seconds, all_found = search(core, search_, None)
        total = sum(s.latency_cycles for s in all_found)
        gain = total / sum(s.latency_cycles for s in found)
        gaps = [s.gap for s in all_found if s.gap is not None]
        gap = sum(s.latency_cycles * (s.gap or 0) for s in all_found) / total
        text += f"{seconds:>10.2f}{gain:>9.4f}{gap:>9.2%}{sum(g <= 1e-9 for g in gaps):>7}/{len(all_found)}"
    return text


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zigzag", type=Path, metavar="PYTHON", help="interpreter that has zigzag-dse 3.8.5")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--hardware", default="edge_tpu_like", metavar="CORE")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=PATH", help="a network's file")
    parser.add_argument("--no-full", action="store_true", help="leave the search over all factors out")
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="time how the search grows, and plot it there"
    )
    arguments = parser.parse_args()
    core = cores()[arguments.hardware]
    models = model_paths(arguments.model, arguments.zigzag)
    folder = FOLDER
    if arguments.zigzag is not None:
        zigzag = Zigzag(arguments.zigzag, models)
        chosen = ["--networks", *arguments.networks, "--hardware", arguments.hardware, "--opts", "latency"]
        folder = zigzag.record("best", chosen)
    known = {
        s.network: s for s in searches(folder) if (s.hardware, s.objective) == (arguments.hardware, LATENCY)
    }
    its = "its, now" if arguments.zigzag else "its, rec."
    full = f"{'full':>10}{'/ ours':>9}{'gap':>9}{'exact':>9}" if not arguments.no_full else ""
    print(f"CPU seconds on {arguments.hardware}, objective latency, at most {DEFAULT_LPF_LIMIT} factors")
    print(
        f"{'network':<13}{'layers':>7}{'distinct':>10}{'ours':>10}{'process':>10}{'MiB':>10}{its:>10}"
        f"{'/ ours':>8}{'/ proc.':>8}{full}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.networks:
            if name not in known:
                print(f"{name:<13} not recorded on this core")
                continue
            if name not in models:
                hint = " or --zigzag" if name in SHIPPED else ""
                print(f"{name:<13} has no file to start a process on: give --model {name}=PATH{hint}")
            search_ = known[name]
            text = line(search_, core, search_.cpu_s, models.get(name), not arguments.no_full, Path(scratch))
            print(text, flush=True)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process: {own:.0f} MiB")
    if arguments.plots is not None:
        growth(core, arguments.plots)


if __name__ == "__main__":
    main()
