"""``cost``: which target, which mappings, at which precision; options a target cannot honour are refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from eecompile.artifacts import folders
from eecompile.preparation import cycles_by_model, prepare
from passes.errors import InputError, did_you_mean
from passes.graph import write_atomic
from targets.base import Target
from targets.engine_target import EngineTarget
from targets.layer import Bits
from targets.readers.files import read_architecture
from targets.readers.mapping import read_mapping
from targets.readers.saved_mapping import SavedMapping, mapping_text
from targets.registry import load_target, target_table
from targets.report import CostReport

ON_OFF = {"on": True, "off": False}
FULL = "full"
MAX_BITS = 64
DETAIL_SECONDS = 2.0
_FILE_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class CostOptions:
    """What ``cost`` is asked beside network and target; texts as on the command line, ``None`` if not told.

    Attributes:
        mapping: File with wishes for the mapping of layers.
        locality: ``on`` or ``off``: tensors may stay on chip between layers.
        fusion: ``on`` or ``off``: layers hold the activations that follow them.
        lpf_limit: Most temporal factors per layer, or ``full``.
        bits: Bits of weights, activations and partial sums, such as ``8,8,16``.
        save_mapping: Where to write the chosen mappings.
    """

    mapping: Path | None = None
    locality: str | None = None
    fusion: str = "on"
    lpf_limit: str | None = None
    bits: str | None = None
    save_mapping: Path | None = None


def cost_network(
    model: Path,
    target: str,
    objective: str,
    cost_model: str | None,
    exits: str | None,
    head: str,
    host_scale: float,
    options: CostOptions,
    progress: Callable[[str], None],
) -> CostReport:
    """Cost a network; arguments as in `eecompile.api.cost`."""
    fusion = _on_off("--fusion", options.fusion)
    given = None if options.bits is None else parse_bits(options.bits)
    accelerator, foreign = open_target(target, cost_model or "", host_scale)
    accelerator, notes = with_options(accelerator, options)
    bits = given or accelerator.precision
    if foreign and given is None:
        notes.append(
            f"float tensors are costed at {bits.weight}-bit weights, {bits.activation}-bit activations and "
            f"{bits.accumulator}-bit partial sums; --bits says otherwise"
        )
    if isinstance(accelerator, EngineTarget):
        accelerator = replace(accelerator, watch=_Ticker(progress))
    prepared = prepare(model, accelerator, objective, exits, head, bits=bits, fusion=fusion)
    report = replace(prepared.costs, notes=tuple(notes))
    if len(accelerator.cost_models) > 1:
        models = cycles_by_model(prepared.graph, accelerator, objective, bits, fusion)
        report = replace(report, models=models)
    if options.save_mapping is not None and isinstance(accelerator, EngineTarget):
        save_mapping(report, options.save_mapping, accelerator)
    return report


@dataclass
class _Ticker:
    """Tells which layer is being searched, every ``DETAIL_SECONDS``: quick answers stay quiet."""

    progress: Callable[[str], None]
    told: float = field(default_factory=time.perf_counter)

    def __call__(self, layer: str) -> None:
        now = time.perf_counter()
        if now - self.told >= DETAIL_SECONDS:
            self.told = now
            self.progress(f"search mappings: {layer}")


def open_target(name: str, cost_model: str, host_scale: float) -> tuple[Target, bool]:
    """Return a target by its name or its description, and whether it is such a foreign file.

    Raises:
        InputError: No such target or file, a wrong description, or an option it cannot honour.
    """
    foreign = name not in target_table() and (name.endswith(_FILE_ENDINGS) or Path(name).is_file())
    if foreign:
        target: Target = EngineTarget(cost_model, host_scale, read_architecture(Path(name)))
    else:
        target = load_target(name, cost_model, host_scale)
    if host_scale != 1.0 and target.arch.host is None:
        raise InputError(
            f"--host-scale scales the work of a host core, and {target.title} has none",
            "leave --host-scale away",
        )
    return target, foreign


def with_options(target: Target, options: CostOptions) -> tuple[Target, list[str]]:
    """Return ``target`` with the options of its search, and notes on what of them is not followed.

    Raises:
        InputError: A wrong value, or a target that searches no mappings.
    """
    asked = {
        "--mapping": options.mapping,
        "--locality": options.locality,
        "--lpf-limit": options.lpf_limit,
        "--save-mapping": options.save_mapping,
    }
    given = [flag for flag, value in asked.items() if value is not None]
    if not isinstance(target, EngineTarget):
        if given:
            raise InputError(
                f"{given[0]} needs a target whose mappings can be chosen; {target.title} with cost model "
                f"'{target.cost_model}' has none to choose",
                f"leave {given[0]} away, or give another target (`eecompile targets`) or an accelerator file",
            )
        return target, []
    notes: list[str] = []
    if options.mapping is not None:
        rules, unused = read_mapping(options.mapping, [core.name for core in target.arch.cores])
        target = replace(target, rules=rules)
        notes += unused
    if options.locality is not None:
        target = replace(target, locality=_on_off("--locality", options.locality))
    if options.lpf_limit is not None:
        target = replace(target, lpf_limit=_lpf_limit(options.lpf_limit))
    return target, notes


def parse_bits(text: str) -> Bits:
    """Return the precision of ``W,A,P``: weights, activations (also of the network's outputs), partial sums.

    Raises:
        InputError: Not three whole numbers from 1 to 64, or partial sums narrower than activations.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() and 1 <= int(part[:9]) <= MAX_BITS for part in parts):
        raise InputError(
            f"--bits {text}: expected three whole numbers from 1 to {MAX_BITS}",
            "bits of weights, activations and partial sums: --bits 8,8,16",
        )
    weight, activation, accumulator = (int(part) for part in parts)
    if accumulator < activation:
        raise InputError(
            f"--bits {text}: {accumulator}-bit partial sums are narrower than {activation}-bit activations",
            "the third number is that of partial sums: --bits 8,8,16",
        )
    return Bits(weight, activation, accumulator, logits=activation)


def save_mapping(report: CostReport, path: Path, target: EngineTarget) -> None:
    """Write the mappings of ``report`` in the form that ``--mapping`` reads. Raises InputError."""
    entries = [
        SavedMapping(layer.name, layer.core, layer.detail.mapping, target.rule(layer).links)
        for layer in report.layers
        if layer.detail is not None
    ]
    with folders(path.parent):
        write_atomic(path, mapping_text(entries).encode())


def _on_off(flag: str, value: str) -> bool:
    if value not in ON_OFF:
        raise InputError(f"{flag} {value}: expected on or off", did_you_mean(value, ON_OFF))
    return ON_OFF[value]


def _lpf_limit(text: str) -> int | None:
    if text == FULL:
        return None
    if not text.isdecimal() or int(text[:9]) < 1:
        raise InputError(
            f"--lpf-limit {text}: expected a whole number from 1 on, or '{FULL}'",
            "6 is the default; larger numbers search longer",
        )
    return int(text)
