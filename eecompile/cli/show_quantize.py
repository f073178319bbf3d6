"""What ``quantize`` prints when nobody asked for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from eecompile.cli.terminal import bullets, line, table
from eecompile.wording.quantities import ABSENT

if TYPE_CHECKING:  # a verb loads only what it works with
    from eecompile.verbs.work.quantize import QuantizeResult, SplitAccuracy


def quantized(out: Console, found: QuantizeResult) -> None:
    """Print accuracies, the layers by what they lose, and what to try next."""
    options = found.options
    kept = f"; in float: {', '.join(found.kept_float)}" if found.kept_float else ""
    line(
        out,
        f"{options.model.name} on {options.target} by {', '.join(found.schemes)}, {options.calibration} on "
        f"{found.images} training images{kept}",
    )
    out.print()
    forms = (("ptq", found.calibrated), (options.quantize, found.exits))
    rows = [
        (item.name, form, f"{split} ({seen.images:,})", *_accuracies(seen))
        for form, exits in forms
        for item in exits
        for split, seen in (("val", item.val), ("test", item.test))
    ]
    columns = ("exit", "integers by", "images", "float", "quantized", "drop")
    table(out, "Accuracy in %, drop in points, with 95 % intervals", columns, rows, columns[3:])
    if found.training.get("kept") == "calibrated":
        line(out, "Training for integers raised the loss on val: the network stays as calibrated")
        out.print()
    lost = [
        (
            entry.layer,
            f"{entry.only.sqnr_db:.1f}",
            f"{entry.only.divergence:.2g}",
            f"{entry.without.sqnr_db:.1f}",
            f"{entry.without.divergence:.2g}",
        )
        for entry in found.sensitivity
    ]
    headings = ("layer", "only it: dB", "KL", "all but it: dB", "KL ")
    title = (
        f"Logits against float on {found.sensitivity_images} training images: signal over noise in dB, "
        "divergence in nats"
    )
    table(out, title, headings, lost, headings[1:])
    bullets(
        out,
        "Layers in float that were tried",
        ((", ".join(kept) or "none", f"{drop:.2f} points lost on val") for kept, drop in found.tried),
    )
    _front(out, found)
    if found.suggested and not found.kept_float:
        line(out, f"{100 * found.share:.0f} % of the noise is that of these layers; to keep them in float:")
        line(out, f"--keep-float {','.join(found.suggested)}")
        out.print()
    bullets(out, "Warnings", (("", text) for text in found.notes))
    line(out, f"Files: {found.out}")


def _front(out: Console, found: QuantizeResult) -> None:
    rows = [
        (
            row["mapping"] or "searched",
            "yes" if row["front"] else "no",
            f"{row['latency_cycles']:,}",
            f"{row['energy_pj'] / 1e6:.2f}",
            f"{100 * row['accuracy_val']:.1f}",
            ABSENT if row["accuracy_test"] is None else f"{100 * row['accuracy_test']:.1f}",
        )
        for row in found.front
    ]
    headings = ("mapping", "front", "cycles", "energy, µJ", "val, %", "test, %")
    if rows:
        table(out, "Mappings that were measured; their layers in front.csv", headings, rows, headings[2:])


def _accuracies(seen: SplitAccuracy) -> tuple[str, str, str]:
    def share(value: float, around: tuple[float, float]) -> str:
        return f"{100 * value:.1f} [{100 * around[0]:.1f}, {100 * around[1]:.1f}]"

    low, high = seen.drop_ci95
    return (
        share(seen.accuracy_float, seen.float_ci95),
        share(seen.accuracy_quant, seen.quant_ci95),
        f"{seen.drop:.1f} [{low:.1f}, {high:.1f}]",
    )
