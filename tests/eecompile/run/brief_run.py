"""The main job on the embedded example, heads trained so briefly that images leave at each exit."""

from __future__ import annotations

import functools
from pathlib import Path

from typer.testing import CliRunner

from eecompile.cli import main as cli
from eecompile.training.recipe import Recipe

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples" / "digits_resnet.onnx"

# Trained so briefly that no head is perfect: images then leave at each of the three exits.
EPOCHS, IMAGES = 5, 898
BRIEF = functools.partial(Recipe, samples=EPOCHS * IMAGES, linear_share=1.0, linear_rate=2e-3)
OPTIONS = (
    "--data", "digits", "--exits", "relu_2,relu_4", "--head", "linear", "--objective", "latency",
    "--max-drop", "0", "--optimistic",
)  # fmt: skip


def call(*arguments: object) -> str:
    """Return what the command line answers."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout
