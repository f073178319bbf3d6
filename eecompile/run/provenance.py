"""Where the figures of a run come from, and what to think of them."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from eecompile.data.preprocess_choice import PreprocessChoice
from eecompile.deployment.proof import Agreement
from eecompile.exits.answers import Answers
from eecompile.run.options import RunOptions
from passes.model.in_memory import recorded

MIN_VAL_IMAGES = 100


def few_images(val_images: int, max_drop: float) -> list[str]:
    """Return a warning if validation images are too few to hold a drop to ``max_drop`` points.

    A limit of 0 asks for no lost image at all, which is no finer than any validation set.
    """
    step = 100 / val_images
    if val_images >= MIN_VAL_IMAGES and not 0 < max_drop < step:
        return []
    return [
        f"val has only {val_images} images: one image is {step:.2g} points, so a bound of {max_drop:g} "
        "points on the drop means little; give more validation images"
    ]


def no_answers(seen: Answers) -> list[str]:
    """Return a warning if there are test images for which the logits of some exit hold NaN."""
    broken = int(np.any([np.isnan(logits).any(axis=1) for logits in seen.logits], axis=0).sum())
    if not broken:
        return []
    return [
        f"the logits of {broken} of {len(seen.labels)} test images hold NaN: they are no answer, count as "
        "wrong and never leave early; look at the weights and at the images"
    ]


def caution(tried: PreprocessChoice) -> str | None:
    """Return what stands before the savings of a network that answers near chance."""
    if tried.warning is None:
        return None
    seen = f"{100 * tried.accuracy:.1f} % on {tried.images} validation images"
    return f"Accuracy is near chance ({seen}): the savings below mean nothing."


def disagreement(agreement: Agreement) -> str:
    """Return on what the early-exit files differ from the flat model; empty if on nothing."""
    if agreement.complete:
        return ""
    counts = asdict(agreement)
    images = counts.pop("images")
    return "; ".join(
        f"{key.replace('_', ' ')} the same on {same} of {images} test images"
        for key, same in counts.items()
        if same != images
    )


def proved_on_some(images: int, of: int) -> str:
    """Return what a run says whose directory keeps too few test images to prove files on all."""
    return (
        f"early-exit files were held against the flat model on {images:,} of {of:,} test images, those that "
        "the run directory keeps; accuracies are of all"
    )


def command(options: RunOptions) -> str:
    """Return the command line of a run: all that was told; target and objective if no search says them."""
    words = ["eecompile", "run"]
    words += [recorded(options.model)] if options.from_study is None else []
    usual = ("target", "objective") if options.from_study is None else ()
    fields = {item.name: item for item in dataclasses.fields(options)}
    for name, value in vars(options).items():
        if name in usual or name in options.told:
            words += option_words(name, value, switch=fields[name].default is False)
    return shlex.join(words)


def option_words(name: str, value: object, switch: bool = False) -> list[str]:
    """Return an option as it is given on the command line; a ``switch`` stands alone."""
    text = _listed(value) if isinstance(value, tuple) else str(value)
    if isinstance(value, Mapping):
        text = ",".join(f"{part}={of_part}" for part, of_part in value.items())
    if isinstance(value, bool):  # what may be turned off says so
        text = "" if switch else "on" if value else "off"
    return [f"--{name.replace('_', '-')}", *filter(None, [text])]


def _listed(texts: Sequence[str]) -> str:
    """Return texts separated by commas; one that holds a comma outside braces is put in quotes."""
    return ",".join(f'"{text}"' if "," in text and "{" not in text else text for text in texts)


def versions() -> dict[str, str]:
    """Return the versions of this package and of the libraries results depend on."""
    names = ("eecompile", "numpy", "onnx", "onnx-graphsurgeon", "onnxruntime", "torch")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def in_float(target: str) -> str:
    """Return what a run says first whose network was not quantized."""
    return (
        f"nothing is quantized: accuracies, also where they are called quantized, and all files are those "
        f"of float32. No core of {target} computes in float: costs are those of its integers, as if these "
        "answered alike"
    )
