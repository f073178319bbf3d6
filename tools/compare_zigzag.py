"""Compare the cost engine with the outside reference, ZigZag: same model, same search, and beyond.

    python -m tools.compare_zigzag [--networks resnet8 ...] [--hardware edge_tpu_like ...]
    python -m tools.compare_zigzag --zigzag PYTHON [--confirm] [--model NAME=PATH]
    python -m tools.compare_zigzag --rules exact [--networks resnet18]

Without `--zigzag`, its recorded figures are used; with an interpreter that has zigzag-dse 3.8.5 they are made
in the same run, which takes minutes per network. Tables: (a) its figures for random mappings beside ours for
the same ones; (b) the best mappings of both, per core, network and objective, and those over all prime
factors (`full`); (c) the same for in-memory cores; (d) with `--confirm`, its own verdict on all our mappings
that are better than its best. With `--rules exact`, (e) alone: the best mappings of latency, ours counted in
full and its own by its rules, and the layers that then take over 1 % longer.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from targets.cost.model.solution import Solution
from targets.cost.model.unrolling import EXACT, RULES, ZIGZAG, Rules
from targets.cost.search.engine import DEFAULT_LPF_LIMIT, Engine
from targets.description.mapping import rule_for
from targets.objective import LATENCY, Objective
from tools.zigzag_live import Zigzag, job, model_paths
from tools.zigzag_records import FOLDER, Core, Record, Search, cores, pairs, searches

NETWORKS = ("resnet8", "resnet18", "mobilenetv1", "mobilenetv2")
IMC = ("aimc", "dimc")
# Relative differences below this are rounding.
SAME = 1e-9
# Layers that take longer by more than this are named.
LONGER = 0.01


@dataclass(frozen=True)
class Better:
    """A layer of which we have a mapping that is better than the reference's best."""

    record: Record
    objective: Objective
    found: Solution
    search: str


class Comparison:
    """Prints the tables; engines keep what they found from one to the next."""

    def __init__(self, known: dict[str, Core], full: bool, rules: Rules = ZIGZAG) -> None:
        self.known = known
        self.full = full
        self.rules: Rules = rules
        self.better: list[Better] = []
        self._engines: dict[tuple[str, int | None], Engine] = {}

    def engine(self, hardware: str, limit: int | None) -> Engine:
        """Return the engine of a core with a limit of factors."""
        key = (hardware, limit)
        return self._engines.setdefault(key, Engine(self.known[hardware].hierarchy, limit, rules=self.rules))

    def same_model(self, records: Iterable[Record]) -> None:
        """Print how far figures of the same mappings are apart."""
        worst: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for record in records:
            ours = self.engine(record.hardware, DEFAULT_LPF_LIMIT).cost(record.nest, record.mapping)
            latency = abs(ours.latency_cycles / record.figures["latency"] - 1)
            worst[record.hardware].append((latency, abs(ours.energy_pj / record.figures["energy"] - 1)))
        print(f"{'core':<16}{'mappings':>9}{'max latency dev.':>19}{'max energy dev.':>19}")
        for name, values in worst.items():
            latency, energy = (max(column) for column in zip(*values, strict=True))
            print(f"{name:<16}{len(values):>9}{latency:>19.1e}{energy:>19.1e}")
        print(f"{'all':<16}{sum(map(len, worst.values())):>9}")

    def best(self, found: Iterable[Search]) -> None:
        """Print the best of both searches, and of all prime factors."""
        beside = f"{'full':>16}{'/ its':>8}{'gap':>8}" if self.full else ""
        print(f"{'core':<16}{'network':<13}{'objective':<10}{'its':>16}{'ours':>16}{'/ its':>8}{beside}")
        for search in found:
            its = search.objective.value(search.energy_pj, search.latency_cycles)
            ours, _ = self._total(search, DEFAULT_LPF_LIMIT)
            line = f"{search.hardware:<16}{search.network:<13}{search.objective.name:<10}"
            line += f"{its:>16.6g}{ours:>16.6g}{ours / its:>8.4f}"
            if self.full:
                full, gap = self._total(search, None)
                line += f"{full:>16.6g}{full / its:>8.4f}" + (
                    f"{gap:>8.2%}" if gap is not None else f"{'-':>8}"
                )
            print(line, flush=True)

    def longer(self, found: Iterable[Search]) -> None:
        """Print the best of both searches for latency, and the layers of which ours takes longer."""
        print(f"{'core':<16}{'network':<13}{'its':>12}{'ours':>12}{'/ its':>8}{'full':>8}{'CPU s':>7}")
        for search in found:
            if search.objective != LATENCY:
                continue
            its = search.latency_cycles
            start = time.process_time()
            ours, _ = self._total(search, DEFAULT_LPF_LIMIT)
            taken = time.process_time() - start
            full = f"{self._total(search, None)[0] / its:>8.4f}" if self.full else f"{'-':>8}"
            line = f"{search.hardware:<16}{search.network:<13}{its:>12.0f}{ours:>12.0f}{ours / its:>8.4f}"
            print(f"{line}{full}{taken:>7.2f}", flush=True)
            for record in search.layers:
                best = self._layer(search, record, DEFAULT_LPF_LIMIT)
                ratio = best.latency_cycles / record.figures["latency"]
                if ratio > 1 + LONGER:
                    print(f"  {record.label}: {ratio:.4f}, bound {best.bound_cycles:.0f} cycles")

    def _total(self, search: Search, limit: int | None) -> tuple[float, float | None]:
        """Return the value of all layers, and what of it is not proven necessary."""
        value, unproven = 0.0, 0.0
        proven = True
        for record in search.layers:
            found = self._layer(search, record, limit)
            own = found.value(search.objective)
            value += record.times * own
            proven &= found.gap is not None
            unproven += record.times * own * (found.gap or 0.0)
            if own < record.figures[search.objective.name] * (1 - SAME):
                self.better.append(Better(record, search.objective, found, "limit 6" if limit else "full"))
        return value, unproven / value if proven else None

    def _layer(self, search: Search, record: Record, limit: int | None) -> Solution:
        rules = self.known[search.hardware].rules
        rule = rule_for(rules, record.label, record.layer["op"])
        return self.engine(search.hardware, limit).best(record.nest, search.objective, rule)

    def confirm(self, zigzag: Zigzag) -> None:
        """Print what the reference itself says to our better mappings."""
        asked = [job(b.record, b.found.mapping, self.known[b.record.hardware].hierarchy) for b in self.better]
        rows: defaultdict[tuple[str, str, str], list[tuple[float, float, float]]] = defaultdict(list)
        refused = []
        for better, verdict in zip(self.better, zigzag.judge(asked), strict=True):
            if isinstance(verdict, str):
                refused.append(f"{better.record.label}: {verdict}")
                continue
            latency, energy = verdict
            gain = better.found.value(better.objective) / better.record.figures[better.objective.name]
            row = (latency / better.found.latency_cycles - 1, energy / better.found.energy_pj - 1, gain)
            rows[better.record.hardware, better.objective.name, better.search].append(row)
        head = f"{'core':<16}{'objective':<10}{'search':<9}{'layers':>7}"
        print(f"{head}{'latency dev.':>14}{'energy dev.':>14}{'best / its':>12}")
        for (core, objective, kind), values in sorted(rows.items()):
            deviations = [max(abs(v[i]) for v in values) for i in (0, 1)]
            line = f"{core:<16}{objective:<10}{kind:<9}{len(values):>7}"
            line += "".join(f"{d:>14.1e}" for d in deviations)
            print(f"{line}{min(v[2] for v in values):>12.4f}")
        print(f"{sum(map(len, rows.values()))} mappings evaluated by it, {len(refused)} refused")
        for text in refused[:10]:
            print(f"  {text}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zigzag", type=Path, metavar="PYTHON", help="interpreter that has zigzag-dse 3.8.5")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--hardware", nargs="+", metavar="CORE")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=PATH", help="a network's file")
    parser.add_argument("--confirm", action="store_true", help="table (d); needs --zigzag")
    parser.add_argument("--recorded", action="store_true", help="with --zigzag, still use recorded figures")
    parser.add_argument("--no-full", action="store_true", help="leave the search over all factors out")
    parser.add_argument("--rules", choices=RULES, default=ZIGZAG, help="how we count [default: zigzag]")
    arguments = parser.parse_args()
    if arguments.confirm and arguments.zigzag is None:
        parser.error("--confirm needs --zigzag")
    if arguments.rules == EXACT and arguments.zigzag is not None:
        parser.error("--rules exact uses recorded figures: leave --zigzag out")
    known = cores()
    wanted = arguments.hardware or list(known)
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        parser.error(f"no core {', '.join(unknown)}; there are {', '.join(known)}")
    zigzag, folders = None, {"pairs": FOLDER, "best": FOLDER, "imc": FOLDER}
    if arguments.zigzag is not None:
        zigzag = Zigzag(arguments.zigzag, model_paths(arguments.model, arguments.zigzag))
        if not arguments.recorded:
            folders = live(zigzag, arguments.networks, [h for h in wanted if h not in (*IMC, "gemm_l1")])
    comparison = Comparison(known, not arguments.no_full, arguments.rules)
    if arguments.rules == EXACT:
        print("(e) latency in cycles summed over layers, ours by the rules `exact`; below, what takes longer")
        comparison.longer(s for s in searches() if s.hardware in wanted and s.network in arguments.networks)
        return
    print("(a) same mapping")
    comparison.same_model(r for r in pairs(folders["pairs"]) if r.hardware in wanted)
    selected = [
        s for s in searches(folders["best"]) if s.hardware in wanted and s.network in arguments.networks
    ]
    print("\n(b) best mapping: summed over layers, objective in cycles or pJ")
    comparison.best(selected)
    imc = [
        s for s in searches(folders["imc"], "imc") if s.hardware in wanted and s.network in arguments.networks
    ]
    print("\n(c) in-memory cores, each layer on its own")
    comparison.best(s for s in imc if not s.locality)
    if zigzag is not None and arguments.confirm:
        print("\n(d) our better mappings, evaluated by the reference")
        comparison.confirm(zigzag)


def live(zigzag: Zigzag, networks: list[str], hardware: list[str]) -> dict[str, Path]:
    """Make the reference's figures now; return the folder of each kind of records."""
    missing = sorted(set(networks) - set(zigzag.models))
    if missing:
        print(f"left out, no file (give --model NAME=PATH): {', '.join(missing)}")
    here = [name for name in networks if name in zigzag.models]
    chosen = ["--networks", *here, "--hardware", *hardware]
    folders = {"pairs": FOLDER, "best": FOLDER, "imc": FOLDER}
    if hardware:
        folders["best"] = zigzag.record("best", [*chosen, "--quick", *here, "--opts", "latency"])
    # Mappings of several loops per array dimension are drawn for these two networks.
    if {"resnet18", "mobilenetv1"} <= set(here):
        folders["pairs"] = zigzag.record("pairs", chosen)
    else:
        print("(a) uses recorded mappings: drawing new ones needs resnet18 and mobilenetv1")
    if {"resnet18", "resnet8"} <= set(here):
        folders["imc"] = zigzag.record("imc", ["--networks", "resnet18", "resnet8"])
    return folders


if __name__ == "__main__":
    main()
