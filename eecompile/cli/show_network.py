"""What `inspect` and `targets` print when nobody asked for JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from eecompile.cli.terminal import bullets, line, table
from eecompile.verbs.work.inspect_network import Inspection, NodeInfo
from eecompile.verbs.work.listing import TargetInfo, TargetList
from eecompile.wording import error_bars, quantities
from passes.confidence import MAX_SOFTMAX
from passes.exits.mounts import Mount
from passes.state import Exit

SHOWN_ROWS = 400
"""Of more nodes or mounts so many are shown; the document has all."""
SHOWN_REASONS = 24
SHOWN_SUBJECTS = 4
WIDE = 110
"""Columns from which names are shown at length."""
NARROW_NAME, WIDE_NAME = 18, 44


def inspection(out: Console, found: Inspection) -> None:
    """Print what the network is, its exits, mounts and nodes, and the reasons for what is not."""
    weights = "with weights" if found.weights else "shapes only: the weights are absent"
    classes = f", {found.classes} classes" if found.classes is not None else ""
    given = f"input {_shape(found.input_shape)}"
    if len(found.inputs) > 1:
        given = f"inputs {', '.join(f'{name} {_shape(shape)}' for name, shape in found.inputs.items())}"
    line(out, f"{found.model}: {given}{classes}, {weights}", "bold")
    counts = f"{found.nodes_in_file} nodes in the file, {len(found.nodes)} in canonical form"
    line(out, f"{counts}, placed on {found.target}.")
    out.print()
    bullets(out, "Not found out", (("", note) for note in found.notes))
    room = NARROW_NAME if out.width < WIDE else WIDE_NAME
    short = {m.tensor: m.name for m in found.mounts}
    exits = [
        (
            e.name,
            short.get(e.mount, ""),
            quantities.shortened(e.mount, room),
            quantities.shortened(e.output, room),
            _threshold(e),
        )
        for e in found.exits
    ]
    columns = ("exit", "mount", "tensor", "output", "threshold")
    source = found.exits_from if len(exits) > 1 else "none but the network's own"
    table(out, f"Exits ({source})", columns, exits, columns[4:])
    _mounts(out, found.mounts, room)
    nodes = [_node(node, room) for node in found.nodes[:SHOWN_ROWS]]
    table(
        out, _titled("Nodes", len(found.nodes)), ("node", "op", "layer", "core", "bits w/a", "output"), nodes
    )
    _reasons(out, "Not a mount", [(m.name, m.reason) for m in found.mounts if not m.ok])
    why = [(node.layer or node.name, reason) for node in found.nodes for reason in node.reasons]
    known = {node.name for node in found.nodes}
    why += [(d.subject, f"{d.pass_name}: {d.reason}") for d in found.declined if d.subject not in known]
    _reasons(out, "Not rewritten, not fused or not placed", why)


def _mounts(out: Console, mounts: Sequence[Mount], room: int) -> None:
    ranked = sorted((m for m in mounts if m.rank is not None), key=lambda m: m.rank or 0)
    rows = [
        (str(m.rank), m.name, quantities.shortened(m.tensor, room), m.reason) for m in ranked[:SHOWN_ROWS]
    ]
    table(
        out, _titled("Mounts, best first", len(ranked)), ("rank", "mount", "tensor", "why"), rows, ("rank",)
    )


def _titled(title: str, count: int) -> str:
    return title if count <= SHOWN_ROWS else f"{title} (the first {SHOWN_ROWS} of {count}; all with --json)"


def _reasons(out: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print each reason once, with the layers or tensors it holds for."""
    subjects: dict[str, dict[str, None]] = {}
    for subject, reason in rows:
        subjects.setdefault(reason, {})[subject] = None
    grouped = []
    for reason, names in subjects.items():
        more = f" … ({len(names)} in all)" if len(names) > SHOWN_SUBJECTS else ""
        some = (quantities.shortened(name, NARROW_NAME) for name in list(names)[:SHOWN_SUBJECTS])
        grouped.append((", ".join(some) + more, reason))
    shown = grouped[:SHOWN_REASONS]
    rest = f" (the first {len(shown)} of {len(grouped)} reasons; all with --json)"
    table(out, f"{title}{rest if len(grouped) > len(shown) else ''}", ("what", "why"), shown)


def _node(node: NodeInfo, room: int) -> Sequence[str]:
    bits = quantities.ABSENT
    if node.activation_bits is not None:
        bits = f"{node.weight_bits or quantities.ABSENT} / {node.activation_bits}"
    shapes = ", ".join(_shape(s) for s in node.output_shapes)
    core = node.core or quantities.ABSENT
    return (quantities.shortened(node.name, room), node.op_type, node.layer, core, bits, shapes)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(str(d) for d in shape)


def _threshold(leave: Exit) -> str:
    if leave.threshold is None:
        return quantities.ABSENT
    rule = "" if leave.confidence == MAX_SOFTMAX else f" of {leave.confidence}"
    return f"{leave.threshold:.4f}{rule}"


def target_list(out: Console, result: TargetList) -> None:
    """Print all targets, or one with its cores, cost models and support table."""
    if not result.detailed:
        rows = [
            (
                t.name,
                t.summary,
                ", ".join(c.name for c in t.cores),
                ", ".join(t.cost_models),
                ", ".join(t.schedules),
            )
            for t in result.targets
        ]
        table(out, "Targets", ("target", "what it is", "cores", "cost models", "schedules"), rows)
        line(out, "`eecompile targets NAME` shows what one supports on which core.")
        return
    _target(out, result.targets[0])


def _alike(target: TargetInfo) -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """Group the operators of a core that share their rules, in the order of the cores."""
    order = {core.name: index for index, core in enumerate(target.cores)}
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for row in sorted(target.support, key=lambda row: order[row.core]):
        found.setdefault((row.core, row.rules), []).append(row.op_type)
    return found


def _target(out: Console, target: TargetInfo) -> None:
    line(out, f"{target.name}: {target.summary}", "bold")
    line(out, f"Clock: {quantities.quantity(target.clock_hz, 'Hz')}")
    out.print()
    cores = [(c.name, c.kind, ", ".join(c.schemes) or quantities.ABSENT) for c in target.cores]
    table(out, "Cores", ("core", "kind", "quantization"), cores)
    models = [
        (name, m["source"], m["known_error"], " ".join(error_bars.sentences(m["intervals"])))
        for name, m in target.cost_models.items()
    ]
    table(
        out, "Cost models; the first is the default", ("model", "source", "known error", "error bars"), models
    )
    modes = tuple(target.schedules.items())
    table(out, "Schedules, by the first cost model; the first is the default", ("schedule", "meaning"), modes)
    support = [
        (core, ", ".join(operators), "; ".join(rules)) for (core, rules), operators in _alike(target).items()
    ]
    table(out, "Support: what a layer must be", ("core", "operators", "rules"), support)
    figures = [(f.path, f"{f.value:g}", f.known) for f in target.figures]
    table(out, "Figures; sources with --json", ("figure", "value", "known"), figures, ("value",))
