"""What share of images must leave at each exit so that the heads pay back, beside the share that does."""

from __future__ import annotations

from eecompile.report.findings.levers import on_model, other_drop, setting, with_images
from eecompile.report.findings.piece import Advice, Trial
from eecompile.run_files.summary import ExitResult, Summary
from eecompile.wording import quantities

_UNIT = "must leave there"
# Shares are of whole images; below this there is none.
_NONE = 1e-9


def paying_back(summary: Summary) -> tuple[Advice, ...]:
    """Return a piece per early exit; nothing where a run of an earlier version did not tell.

    The share is that of the images which get to the exit: if so many of them leave there and the others run
    all of the network, their mean is that of static. So it is held against the share of these, too.
    """
    if summary.break_even is None:
        return ()
    found, reached = [], 1.0
    for item, share in zip(summary.exits, summary.break_even.exits, strict=False):
        found.append(_of_exit(item, share, reached, summary))
        reached -= item.ratio or 0.0
    return tuple(found)


def _of_exit(item: ExitResult, share: float | None, reached: float, summary: Summary) -> Advice:
    name = f"{item.name} (at {quantities.shortened(item.mount, 32)})"
    words = summary.objective.words
    if share is None:
        finding = f"{name} never pays back: an image that leaves there takes no less {words} than static"
        return Advice("never", _UNIT, finding, *_without(item, summary))
    if share == 0:
        finding = f"{name} is paid back already: the longest path takes no more {words} than static"
        return Advice("0 %", _UNIT, finding, "any image that leaves there saves")
    need = quantities.percent(share)
    finding = f"{name} pays back the {words} of all heads once {need} of the images that get there leave"
    if item.ratio is None:
        return Advice(need, _UNIT, finding, "with images the run tells how many do", with_images())
    if reached <= _NONE:
        return Advice(need, _UNIT, f"{finding}, but no test image gets there", *_without(item, summary))
    leaving = item.ratio / reached
    told = quantities.percent(leaving)
    if leaving >= share:
        smaller = other_drop(summary, 0.5)
        step = "there is room for a smaller drop" if smaller else "it can stay as it is"
        return Advice(need, _UNIT, f"{finding}, and {told} of them do on test", step, smaller)
    finding = f"{finding}, but {told} of them do on test"
    larger = other_drop(summary, 2)
    if larger is None:
        return Advice(need, _UNIT, finding, "let more leave by a lower threshold, with its slider below")
    return Advice(need, _UNIT, finding, "let more leave by a larger drop", larger)


def _without(item: ExitResult, summary: Summary) -> tuple[str, Trial]:
    others = [e.mount for e in summary.exits[:-1] if e is not item]
    if others:
        return "leave it out", setting("exits", ",".join(others))
    return "try another mount", on_model("inspect", summary)
