"""Which options change nothing without others: such are refused, never ignored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from passes.errors import InputError


@dataclass(frozen=True)
class OptionNeed:
    """What an option of a verb needs beside it.

    Attributes:
        verb: Name of the verb.
        option: Parameter that changes nothing on its own.
        any_of: Parameters of which one must be given with it.
        purpose: What the option does, to complete a sentence.
    """

    verb: str
    option: str
    any_of: tuple[str, ...]
    purpose: str


NEEDS: tuple[OptionNeed, ...] = (
    OptionNeed("run", "max_drop", ("data",), "limits the accuracy that may be lost on images"),
    OptionNeed("run", "optimistic", ("data",), "says how the accuracy lost on images is held to the limit"),
    OptionNeed("run", "guarantee", ("data",), "tests on images how much accuracy is lost"),
    OptionNeed("run", "max_latency_p95", ("data",), "limits how many images may take longer"),
    OptionNeed("run", "max_worst_latency", ("data",), "limits which exits inputs may get to, by thresholds"),
    OptionNeed("run", "max_final_ratio", ("data",), "limits how many images reach the final exit"),
    OptionNeed("run", "max_cost_ratio", ("data",), "limits what images cost on average"),
    OptionNeed("run", "min_gain", ("data",), "says which exits are kept when they are chosen on images"),
    OptionNeed("run", "confidence", ("data",), "says how sure an exit has to be of what it sees in images"),
    OptionNeed("run", "recycle", ("data",), "says what exits take over from each other, which images weigh"),
    OptionNeed("run", "preprocess", ("data",), "says how images become the input of the network"),
    OptionNeed("run", "seed", ("data",), "is that of training and of what is drawn of the images"),
    OptionNeed("run", "train", ("data",), "says what is trained on images"),
    OptionNeed("run", "epochs", ("data",), "says how often images are seen while exits are trained"),
    OptionNeed("run", "quantize", ("data",), "says how integers are found for what is seen in images"),
    OptionNeed(
        "run", "qat_epochs", ("data",), "says how often images are seen while it is trained for integers"
    ),
    OptionNeed("run", "placement", ("data",), "says which layers are quantized for an analog array"),
    OptionNeed("run", "bits", ("data",), "says how many bits weights are quantized to"),
    OptionNeed("run", "requantize", ("data",), "quantizes anew what is quantized already"),
    OptionNeed("run", "prune", ("data",), "takes channels away that images hardly need"),
    OptionNeed("run", "prune_epochs", ("data",), "says how often images are seen behind pruning"),
    OptionNeed("run", "calibration", ("data",), "says how ranges follow from what is seen in images"),
    OptionNeed("run", "keep_thresholds", ("data",), "keeps thresholds that images would choose"),
    OptionNeed("run", "trial", ("from_study",), "says which network of a search"),
    OptionNeed("run", "front_point", ("from_study",), "says which of the points of a trial"),
    OptionNeed("run", "cache", ("data",), "is where what is found out on images is kept"),
    OptionNeed("quantize", "max_drop", ("keep_float",), "says how many layers are kept in float"),
    OptionNeed("search", "ga_evaluations", ("ga_only",), "says how far a genetic algorithm goes"),
    OptionNeed("search", "join", ("storage",), "works for a search whose study others reach"),
    OptionNeed("export", "rounding", ("c",), "says how the network in C rescales sums"),
    OptionNeed("export", "out", ("c",), "is the folder of the sources in C"),
    OptionNeed("cost", "head", ("exits",), "says what the heads of inserted exits look like"),
    OptionNeed("cost", "time_limit", ("solver",), "is when the exact solver stops"),
    OptionNeed("opt", "preprocess", ("data",), "says how images become the input of the network"),
    OptionNeed("opt", "target", ("data",), "says by which schemes `quantize` is calibrated on images"),
    OptionNeed("opt", "seed", ("verify_each", "data"), "is that of random inputs, and of a validation split"),
)


def check_given(verb: str, parameters: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the parameters that were told; ``None`` and ``False`` were not.

    Raises:
        InputError: One of them changes nothing without another that was not told.
    """
    told = frozenset(name for name, value in parameters.items() if value is not None and value is not False)
    for need in NEEDS:
        if need.verb == verb and need.option in told and not told & {*need.any_of}:
            others = " or ".join(f"`{name}`" for name in need.any_of)
            raise InputError(
                f"`{need.option}` {need.purpose}: without {others} it changes nothing",
                f"add {others}, or leave `{need.option}` away",
            )
    return told


def data_only(verb: str) -> Collection[str]:
    """Return the options of ``verb`` that only matter with images."""
    return {need.option for need in NEEDS if need.verb == verb and need.any_of == ("data",)}
