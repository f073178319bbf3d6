"""`export --c` of networks that came quantized: the compiled network against onnxruntime, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile import api
from eecompile.deployment.c_source import c_source
from eecompile.run import steps
from eecompile.training.recipe import Recipe
from passes.exits.recognise import recognise_exits
from passes.integers.interpreter import interpret, logits
from passes.integers.program import IntegerProgram
from passes.integers.read_program import integer_program
from passes.model.graph import load
from tests.passes.quantized_nets import CLASSES, QuantizedNet, images, with_logits

Array = np.ndarray[Any, Any]
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
COUNT = 96
UNSIGNED = {
    "image": (1 / 32, 120, "uint8"),
    "first": (0.03, 0, "uint8"),
    "second": (0.045, 131, "uint8"),
    "sum": (0.07, 3, "uint8"),
    "pooled": (0.07, 3, "uint8"),
    "mean": (0.05, 2, "uint8"),
    "logits": (0.061, 140, "uint8"),
}
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "int8, powers of two": ({}, "diana", "linear"),
    "int8, a conv head": ({}, "diana", "conv"),
    "int8, logits in float": ({"grids": {"logits": None}}, "diana", "linear"),
    "int8, any steps": (
        {"grids": {"first": (0.03, 0, "int8"), "sum": (0.11, 0, "int8"), "pooled": (0.11, 0, "int8"),
                   "logits": (0.061, 0, "int8")}},
        "gap9", "linear",
    ),
    "uint8, zero points": ({"grids": UNSIGNED, "relu": False}, "edge_tpu_quad", "linear"),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, IntegerProgram]:
    """A run on a network that came quantized, and its program."""
    told, target, head = CASES[request.param]
    at = tmp_path_factory.mktemp("kept")
    onnx.save(QuantizedNet(**told).model(), at / "net.onnx")
    x, y = images(COUNT), np.arange(COUNT) % CLASSES
    arrays: dict[str, Any] = {}
    for number, name in enumerate(("train", "val", "test")):
        part = slice(32 * number, 32 * number + 32)
        arrays |= {f"{name}_x": x[part], f"{name}_y": y[part]}
    np.savez(at / "images.npz", **arrays)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "Recipe", lambda: Recipe(samples=64))
        api.run(
            at / "net.onnx", data=str(at / "images.npz"), preprocess="raw", target=target, exits="relu_0"
            if told.get("relu", True) else "clip_0", head=head, max_drop=100.0, out=at / "run",
        )  # fmt: skip
    graph = load(at / "run" / "model.lowered.onnx")
    recognise_exits(graph)
    return at, integer_program(graph)


def answered(path: Path) -> list[Array]:
    """Return the logits of all exits as onnxruntime has them."""
    session = onnxruntime.InferenceSession(str(path))
    found = [session.run(None, {"image": image[None]}) for image in images(COUNT)]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def test_the_integers_answer_as_onnxruntime_does(made: tuple[Path, IntegerProgram]) -> None:
    at, program = made
    theirs = answered(at / "run" / "model.lowered.onnx")
    ours = logits(program, interpret(program, program.quantized(images(COUNT))))
    assert len(ours) == len(theirs) == 2
    for own, other in zip(ours, theirs, strict=True):
        assert np.array_equal(own, other)
    user = onnxruntime.InferenceSession(with_logits(onnx.load(at / "net.onnx")).SerializeToString())
    final = np.concatenate([user.run(None, {"image": image[None]})[0] for image in images(COUNT)])
    # Of any steps onnxruntime fuses the file that came otherwise: what lies half way is then rounded
    # the other way.
    step = 0.0 if program.exits[-1].scales[0] != np.float32(0.061) or not program.signed else 0.0611
    assert np.abs(ours[-1] - final).max() <= step and (ours[-1] != final).mean() < 0.05


@pytest.mark.skipif(COMPILER is None, reason="no C compiler: cc, gcc or clang")
@pytest.mark.parametrize("rounding", ["onnxruntime", "target"])
def test_the_compiled_network_answers_so_too(
    made: tuple[Path, IntegerProgram], rounding: str, tmp_path: Path
) -> None:
    at, program = made
    told = api.export(at / "run", c=True, rounding=rounding, out=tmp_path / "as it is")
    assert told.exits == ("exit_0", "final")
    first = logits(program, interpret(program, program.quantized(images(COUNT)), rounding))[0]
    middle = float(np.median(program.exits[0].confidence.evaluate(first, ())))  # so that both exits answer
    early = replace(program.exits[0], threshold=middle)
    source = c_source(replace(program, exits=(early, program.exits[1])), rounding, "a test")
    assert source.files.keys() == set(told.files)
    for name, text in source.files.items():
        (tmp_path / name).write_text(text, encoding="ascii")
    files = sorted(name for name in source.files if name.endswith(".c"))
    flags = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
    command = [str(COMPILER), *flags, *files, "-o", "network", "-lm"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert built.returncode == 0, built.stderr.decode()
    integers = program.quantized(images(COUNT))
    stored = integers + (128 if program.low < 0 else 0)
    given = stored.astype(np.uint8).tobytes()
    done = subprocess.run([tmp_path / "network"], input=given, capture_output=True, check=True)
    rows = [[int(value) for value in line.split()] for line in done.stdout.decode().splitlines()]
    tensors = interpret(program, integers, rounding)
    sums = [tensors[item.logits] for item in program.exits]
    floats = logits(program, tensors)
    assert len(rows) == COUNT and {row[0] for row in rows} == {0, 1}
    for number, (where, label, *found) in enumerate(rows):
        assert found == sums[where][number].tolist() and label == int(floats[where][number].argmax())
    zero = program.zero + (128 if program.low < 0 else 0)
    assert f"NETWORK_INPUT_ZERO {zero} " in source.files["network.h"]
