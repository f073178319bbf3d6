"""What the C compiler makes of a network answers bit for bit as the interpreter does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.deployment.c_source import CSource, c_source
from passes.confidence import ENTROPY, ConfidenceRule, confidence_rule
from passes.errors import InputError
from passes.integers.interpreter import interpret, logits
from passes.integers.program import IntegerProgram
from passes.integers.read_program import integer_program
from passes.number_formats import EXACT_ROUNDINGS, ONNXRUNTIME, TARGET
from tests.eecompile.deployment.c_networks import (
    analog,
    images_of,
    joins,
    line,
    two_exits,
    windows,
    with_threshold,
)

Array = np.ndarray[Any, Any]
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler: cc, gcc or clang")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")


def run_c(source: CSource, images: Array, folder: Path) -> list[list[int]]:
    """Compile and run; return per image exit, label and logits."""
    for name, text in source.files.items():
        (folder / name).write_text(text, encoding="ascii")
    files = sorted(name for name in source.files if name.endswith(".c"))
    built = subprocess.run(
        [str(COMPILER), *STRICT, *files, "-o", "network", "-lm"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    done = subprocess.run(
        [folder / "network"], input=images.astype(np.uint8).tobytes(), capture_output=True, check=True
    )
    return [[int(v) for v in text.split()] for text in done.stdout.decode().splitlines()]


def expected(program: IntegerProgram, images: Array, rounding: str) -> list[list[int]]:
    """Return the same of the interpreter."""
    tensors = interpret(program, images, rounding)
    values = logits(program, tensors)
    found = []
    for index in range(len(images)):
        number = next(
            k
            for k, item in enumerate(program.exits)
            if item.threshold is None
            or item.confidence.evaluate(values[k][index : index + 1])[0] >= np.float32(item.threshold)
        )
        sums = tensors[program.exits[number].logits][index].reshape(-1)
        found.append([number, int(values[number][index].argmax()), *map(int, sums)])
    return found


@needs_compiler
@pytest.mark.parametrize("rounding", EXACT_ROUNDINGS)
@pytest.mark.parametrize(
    ("scheme", "rule"), [("int8-pow2", "max_softmax"), ("int8-channel", "margin{temperature=2}")]
)
def test_all_bits_and_exits_are_those_of_the_interpreter(
    scheme: str, rule: str, rounding: str, tmp_path: Path
) -> None:
    program = with_threshold(integer_program(two_exits(scheme)), rounding, confidence_rule(rule))
    images = images_of(program)
    want = expected(program, images, rounding)
    assert sum(row[0] == 0 for row in want) == 10 and len({tuple(row) for row in want}) > 15
    assert run_c(c_source(program, rounding, "test"), images, tmp_path) == want


@needs_compiler
@pytest.mark.parametrize("rounding", EXACT_ROUNDINGS)
@pytest.mark.parametrize("build", [windows, lambda: windows("depthwise"), line, joins, analog])
def test_windows_groups_axes_and_roundings(
    build: Callable[[], IntegerProgram], rounding: str, tmp_path: Path
) -> None:
    program = build()
    images = images_of(program)
    want = expected(program, images, rounding)
    assert len({tuple(row) for row in want}) > 15
    assert run_c(c_source(program, rounding, "test"), images, tmp_path) == want


def test_the_two_roundings_are_not_one() -> None:
    program = windows()
    images = images_of(program)
    assert expected(program, images, ONNXRUNTIME) != expected(program, images, TARGET)


@needs_compiler
def test_half_an_image_is_told(tmp_path: Path) -> None:
    program = windows()
    run_c(c_source(program, TARGET, "test"), images_of(program, 1), tmp_path)
    done = subprocess.run([tmp_path / "network"], input=b"123", capture_output=True, check=False)
    assert done.returncode == 1 and b"the last image has 3 of 324 bytes" in done.stderr


def _ruled(rule: ConfidenceRule) -> IntegerProgram:
    program = integer_program(two_exits("int8-pow2"))
    first, final = program.exits
    return replace(program, exits=(replace(first, threshold=0.5, confidence=rule), final))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: _ruled(ENTROPY), "'exit_0' has no form in C: its rule of confidence is entropy"),
        (lambda: integer_program(two_exits("int8-pow2")), "exit 'exit_0' has no threshold"),
        (lambda: replace(windows(), low=-128, high=127), "its integers run from -128 to 127"),
    ],
)
def test_what_has_no_form_in_c_is_named(build: Callable[[], IntegerProgram], message: str) -> None:
    with pytest.raises(InputError, match=message):
        c_source(build(), ONNXRUNTIME, "test")


def test_another_rounding_is_refused() -> None:
    with pytest.raises(InputError, match="`rounding` is 'nearest'"):
        c_source(windows(), "nearest", "test")


def test_there_is_no_allocation_and_no_double_outside_the_confidence() -> None:
    files = c_source(windows(), TARGET, "a */ b ??/").files
    code = "".join(files.values())
    assert "malloc" not in code and "double" not in code
    assert "float" not in files["weights.c"] and "expf" not in files["kernels.c"]
    assert files["network.h"].startswith("/* a __ b ___, rounding target. */\n")
