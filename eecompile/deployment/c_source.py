"""An integer program as C99: static buffers, integers alone but for the confidence of an exit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eecompile.deployment.c_arena import arena, is_alias, offsets, owners
from eecompile.deployment.c_bytes import as_bytes
from eecompile.deployment.c_constants import Constants, comment, floating
from passes.confidence import MARGIN, MAX_SOFTMAX
from passes.errors import InputError
from passes.integers.program import (
    Addition,
    Affine,
    Average,
    Concatenation,
    Convolution,
    FullyConnected,
    IntegerExit,
    IntegerProgram,
    Maximum,
    Operation,
    Rescale,
    View,
    Widening,
    WindowAverage,
)
from passes.integers.rescaling import concatenation_tables, window_tables
from passes.number_formats import EXACT_ROUNDINGS

FIXED = ("kernels.h", "kernels.c", "main.c")
_FOLDER = Path(__file__).with_name("c")
_AXES = 6  # TRANSPOSED_AXES of kernels.h


@dataclass(frozen=True)
class CSource:
    """A network in C.

    Attributes:
        files: Name -> text; all of them are compiled together.
        constant_bytes: Weights, biases and numbers of rescaling.
        buffer_bytes: Static buffers: tensors that share one, and the logits.
        logits: Names of the buffers of logits in ``network.c``, one per exit.
    """

    files: dict[str, str]
    constant_bytes: int
    buffer_bytes: int
    logits: tuple[str, ...]


def c_source(program: IntegerProgram, rounding: str, origin: str) -> CSource:
    """Write a program in C99.

    Args:
        program: The network.
        rounding: ``onnxruntime`` or ``target``, as `passes.integers.interpreter.interpret` has them.
        origin: What it was made from, for a comment.

    Raises:
        InputError: Another rounding; an operation or a rule of confidence that has no form in C, by name.
    """
    if rounding not in EXACT_ROUNDINGS:
        raise InputError(f"`rounding` is '{rounding}'", f"choose one of {', '.join(EXACT_ROUNDINGS)}")
    return _Writer(as_bytes(program), rounding, comment(origin)).source()


def _refuse(name: str, why: str) -> InputError:
    return InputError(
        f"'{name}' has no form in C: {why}",
        "docs/integers.md lists what has one; run the .onnx files instead",
    )


class _Writer:
    def __init__(self, program: IntegerProgram, rounding: str, origin: str) -> None:
        self.program, self.rounding, self.origin = program, rounding, origin
        self.constants = Constants()
        self.owner, self.offsets = owners(program), offsets(program)
        self.places, self.size = arena(program)
        self.sums: dict[str, str] = {}  # tensor of logits -> its buffer
        self.declared: list[str] = []

    def source(self) -> CSource:
        program = self.program
        _check_bytes(program.source, program.low, program.high)
        steps = {op.writes: self._operation(k, op) for k, op in enumerate(program.operations)}
        body: list[str] = []
        for number, item in enumerate(program.exits):
            body += [steps[op.writes] for op in program.until(number) if steps[op.writes]]
            body.append(self._exit(number, item, number + 1 == len(program.exits)))
        files = {name: (_FOLDER / name).read_text(encoding="ascii") for name in FIXED}
        files["network.h"] = self._header()
        files["network.c"] = self._network(body)
        files["weights.h"], files["weights.c"] = self.constants.header(), self.constants.source()
        buffers = self.size + sum(4 * math.prod(program.shapes[name]) for name in self.sums)
        logits = tuple(self.sums[item.logits] for item in program.exits)
        return CSource(files, self.constants.size, buffers, logits)

    # Operations

    def _operation(self, number: int, op: Operation) -> str:
        """Declare an operation; return its call, empty for a view."""
        if is_alias(op):
            return ""
        stored = -op.lowest if isinstance(op, Addition) else 0
        for rescale in _rescales(op):
            _check_bytes(op.name, rescale.low + stored, rescale.high + stored)
        writers: dict[type[Operation], Callable[[str, Any], tuple[str, str, str]]] = {
            Convolution: self._convolution,
            FullyConnected: self._product,
            Addition: self._addition,
            Average: self._average,
            Maximum: self._maximum,
            View: self._transposition,
            WindowAverage: self._window_average,
            Affine: self._affine,
            Concatenation: self._concatenation,
            Widening: self._widening,
        }
        stem = f"op_{number}"
        call, kind, values = writers[type(op)](stem, op)
        self.declared.append(f"/* {comment(op.name)} */\nstatic const {kind} {stem} = {values};")
        reads = ", ".join(self._pointer(name) for name in op.reads)
        if isinstance(op, Affine | Concatenation):
            reads = f"(const uint8_t *const[]){{{reads}}}"
        return f"    {call}, {reads}, {self._pointer(op.writes)});"

    def _pointer(self, tensor: str) -> str:
        if tensor in self.sums:
            return self.sums[tensor]
        owner = self.owner[tensor]
        begin = self.offsets.get(tensor, 0)
        if owner != self.program.source:
            return f"arena + {self.places[owner] + begin}"
        return f"input + {begin}" if begin else "input"

    def _shape(self, tensor: str) -> tuple[int, ...]:
        return self.program.shapes[tensor]

    def _convolution(self, stem: str, op: Convolution) -> tuple[str, str, str]:
        out, channels = op.weights.shape[:2]
        window = self._window(op, op.weights.shape[2:])
        numbers = f"{op.groups}, {channels}, {out // op.groups}, {op.zero}"
        rescale = self.constants.rescale(stem, op.name, op.rescale, self.rounding)
        values = f"{{{window}, {numbers}, {self._weights(stem, op)}, {rescale}}}"
        return f"convolve(&{stem}", "convolution_t", values

    def _product(self, stem: str, op: FullyConnected) -> tuple[str, str, str]:
        if len(self._shape(op.reads[0])) != 2:
            raise _refuse(op.name, f"it reads a tensor of {len(self._shape(op.reads[0]))} axes")
        out, channels = op.weights.shape
        values = f"{{{channels}, {out}, {op.zero}, {self._weights(stem, op)}}}"
        if op.rescale is None:
            self._declare_sums(op.writes)
            return f"multiply(&{stem}", "product_t", values
        rescale = self.constants.rescale(stem, op.name, op.rescale, self.rounding)
        self.declared.append(f"static const rescale_t {stem}_rescale = {rescale};")
        return f"multiply_rescaled(&{stem}, &{stem}_rescale", "product_t", values

    def _declare_sums(self, tensor: str) -> None:
        buffer = f"sums_{len(self.sums)}"
        self.sums[tensor] = buffer
        self.declared.append(f"static int32_t {buffer}[{math.prod(self._shape(tensor))}];")

    def _widening(self, stem: str, op: Widening) -> tuple[str, str, str]:
        self._declare_sums(op.writes)
        return f"widen(&{stem}", "widening_t", f"{{{math.prod(self._shape(op.writes))}, {op.zero}}}"

    def _weights(self, stem: str, op: Convolution | FullyConnected) -> str:
        kind, width = self._weight_type()
        weights = self.constants.array(f"{stem}_weights", kind, width, op.weights.reshape(-1))
        wrapped = (op.bias + 2**31) % 2**32 - 2**31
        return f"{weights}, {self.constants.array(f'{stem}_bias', 'int32_t', 4, wrapped)}"

    def _weight_type(self) -> tuple[str, int]:
        held = [op.weights for op in self.program.operations if isinstance(op, Convolution | FullyConnected)]
        small = all(w.min() >= -128 and w.max() <= 127 for w in held if w.size)
        return ("weight_t", 1 if small else 2)

    def _addition(self, stem: str, op: Addition) -> tuple[str, str, str]:
        size = math.prod(self._shape(op.writes))
        return f"add(&{stem}", "addition_t", self.constants.addition(stem, op, size, self.rounding)

    def _average(self, stem: str, op: Average) -> tuple[str, str, str]:
        channels, *spatial = self._shape(op.reads[0])[1:]
        rescale = self.constants.rescale(stem, op.name, op.rescale, self.rounding)
        return (
            f"average(&{stem}",
            "average_t",
            f"{{{channels}, {math.prod(spatial)}, {op.zero}, {rescale}}}",
        )

    def _window_average(self, stem: str, op: WindowAverage) -> tuple[str, str, str]:
        rows = []
        for count, values in window_tables(op, self.rounding).items():
            rows.append(f"{{{count}, {self.constants.array(f'{stem}_of_{count}', 'uint8_t', 1, values)}}}")
        tables = f"static const window_table_t {stem}_tables[{len(rows)}] = {_list(rows)};"
        self.declared.append(tables)
        numbers = f"{self._shape(op.reads[0])[1]}, {op.zero}, {int(op.padding_counts)}, {stem}_tables"
        return (
            f"average_windows(&{stem}",
            "window_average_t",
            f"{{{self._window(op, op.kernel)}, {numbers}}}",
        )

    def _affine(self, stem: str, op: Affine) -> tuple[str, str, str]:
        channels, *spatial = self._shape(op.writes)[1:]
        multipliers = self.constants.array(f"{stem}_scales", "int32_t", 4, op.multipliers)
        shifts = self.constants.array(f"{stem}_offsets", "int32_t", 4, op.offsets)
        rescale = self.constants.rescale(stem, op.name, op.rescale, self.rounding)
        sizes = f"{len(op.reads)}, {channels}, {math.prod(spatial)}, {op.zero}"
        return f"transform(&{stem}", "affine_t", f"{{{sizes}, {multipliers}, {shifts}, {rescale}}}"

    def _concatenation(self, stem: str, op: Concatenation) -> tuple[str, str, str]:
        sizes = [math.prod(self._shape(name)[op.axis :]) for name in op.reads]
        tables = np.concatenate(concatenation_tables(op, self.rounding))
        held = self.constants.array(f"{stem}_sizes", "int32_t", 4, sizes)
        values = self.constants.array(f"{stem}_tables", "uint8_t", 1, tables)
        outer = math.prod(self._shape(op.writes)[: op.axis])
        return f"concatenate(&{stem}", "concatenation_t", f"{{{len(sizes)}, {outer}, {held}, {values}}}"

    def _maximum(self, stem: str, op: Maximum) -> tuple[str, str, str]:
        values = f"{{{self._window(op, op.kernel)}, {self._shape(op.reads[0])[1]}}}"
        return f"maximum(&{stem}", "maximum_t", values

    def _transposition(self, stem: str, op: View) -> tuple[str, str, str]:
        shape = self._shape(op.reads[0])
        if len(shape) > _AXES:
            raise _refuse(op.name, f"it moves {len(shape)} axes, more than {_AXES}")
        steps = [math.prod(shape[axis + 1 :]) for axis in op.axes]
        missing = _AXES - len(shape)
        sizes = _list([*[1] * missing, *(shape[axis] for axis in op.axes)])
        values = f"{{{math.prod(shape)}, {sizes}, {_list([*[0] * missing, *steps])}}}"
        return f"transpose(&{stem}", "transposition_t", values

    def _window(self, op: Convolution | Maximum | WindowAverage, kernel: Sequence[int]) -> str:
        """Return the initializer of a ``window_t``; one spatial axis is a row."""
        if len(kernel) > 2:
            raise _refuse(op.name, f"it has {len(kernel)} spatial axes")
        read, written = self._shape(op.reads[0])[2:], self._shape(op.writes)[2:]
        before = [begin for begin, _ in op.pads]
        rows = [(read, 1), (written, 1), (kernel, 1), (op.strides, 1), (op.dilations, 1), (before, 0)]
        lists = [_list([*[usual] * (2 - len(values)), *values]) for values, usual in rows]
        return f"{{{', '.join(lists)}}}"

    # Exits and files

    def _exit(self, number: int, item: IntegerExit, final: bool) -> str:
        known = {type(rule): rule.name for rule in (MAX_SOFTMAX, MARGIN)}
        if type(item.confidence) not in known:
            raise _refuse(
                item.name, f"its rule of confidence is {item.confidence.name}, not max_softmax or margin"
            )
        if not final and item.threshold is None:
            raise InputError(f"exit '{item.name}' has no threshold", "give a run with data")
        classes = math.prod(self._shape(item.logits))
        scales = np.broadcast_to(np.asarray(item.scales, np.float32).reshape(-1), (classes,))
        stem, values = f"exit_{number}", ", ".join(floating(s) for s in scales)
        margin = int(item.confidence.name == MARGIN.name)
        temperature = floating(getattr(item.confidence, "temperature"))  # noqa: B009 - of both rules
        taken, recycled = "", "NULL, NULL, 0.0f"
        if item.recycled is not None:
            other = np.broadcast_to(np.asarray(item.recycled.scales, np.float32).reshape(-1), (classes,))
            texts = ", ".join(floating(s) for s in other)
            taken = f"static const float {stem}_taken[{classes}] = {{{texts}}};\n"
            weight = floating(item.recycled.weight)
            recycled = f"{self.sums[item.recycled.logits]}, {stem}_taken, {weight}"
        self.declared.append(
            f"/* {comment(item.name)} */\nstatic const float {stem}_scales[{classes}] = {{{values}}};\n"
            f"{taken}static const exit_t {stem} = "
            f"{{{classes}, {stem}_scales, {temperature}, {margin}, {recycled}}};"
        )
        call = f"    *label = answer(&{stem}, {self.sums[item.logits]}, logits, confidence);"
        if final:
            return f"{call}\n    return {number};"
        leave = (
            f"    if (*confidence >= {floating(item.threshold or 0.0)}) {{\n        return {number};\n    }}"
        )
        return f"{call}\n{leave}"

    def _header(self) -> str:
        program = self.program
        classes = [math.prod(self._shape(item.logits)) for item in program.exits]
        shape = " x ".join(map(str, self._shape(program.source)[1:]))
        names = ", ".join(comment(item.name) for item in program.exits)
        return f"""/* {self.origin}, rounding {self.rounding}. */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdint.h>

#define NETWORK_INPUT {math.prod(self._shape(program.source))} /* {shape} */
#define NETWORK_INPUT_SCALE {floating(program.scale)}
#define NETWORK_INPUT_ZERO {program.zero} /* a value is (integer - zero) * scale */
#define NETWORK_INPUT_LOW {program.low}
#define NETWORK_INPUT_HIGH {program.high}
#define NETWORK_EXITS {len(classes)} /* {names} */
#define NETWORK_CLASSES {max(classes)} /* most of an exit */
typedef int{8 * self._weight_type()[1]}_t weight_t;

extern const int network_classes[NETWORK_EXITS];

/*
 * Classifies one image [NETWORK_INPUT] and returns the number of the exit it left at. Writes the sums that
 * are its logits [network_classes[exit]], its confidence and the class of the largest logit. Not reentrant.
 */
int network_run(const uint8_t *input, int32_t *logits, float *confidence, int *label);

#endif
"""

    def _network(self, body: Sequence[str]) -> str:
        classes = ", ".join(str(math.prod(self._shape(item.logits))) for item in self.program.exits)
        declared = "\n".join(self.declared)
        steps = "\n".join(body)
        held = f"static uint8_t arena[{self.size}];\n" if self.size else ""
        return f"""#include "kernels.h"
#include "weights.h"

#include <math.h>
#include <stddef.h>

typedef struct {{
    int classes;
    const float *scales; /* of the logits */
    float temperature;
    int margin; /* the confidence is the largest probability less the second, not the largest */
    const int32_t *taken; /* sums of an exit before, whose logits are added; NULL: none are */
    const float *taken_scales;
    float weight;
}} exit_t;

const int network_classes[NETWORK_EXITS] = {{{classes}}};
{held}{declared}

static int answer(const exit_t *rule, const int32_t *sums, int32_t *logits, float *confidence)
{{
    float values[NETWORK_CLASSES], total = 0.0f, first = 0.0f, second = 0.0f, largest;
    int k, label = 0;
    for (k = 0; k < rule->classes; k++) {{
        logits[k] = sums[k];
        values[k] = (float)sums[k] * rule->scales[k];
        if (rule->taken != NULL) {{
            float other = (float)rule->taken[k] * rule->taken_scales[k];
            other = other * rule->weight;
            values[k] = values[k] + other;
        }}
        label = values[k] > values[label] ? k : label;
    }}
    largest = values[label] / rule->temperature;
    for (k = 0; k < rule->classes; k++) {{
        values[k] = expf(values[k] / rule->temperature - largest);
        total += values[k];
    }}
    for (k = 0; k < rule->classes; k++) {{
        float probability = values[k] / total;
        if (probability > first) {{
            second = first;
            first = probability;
        }} else if (probability > second) {{
            second = probability;
        }}
    }}
    *confidence = rule->margin ? first - second : first;
    return label;
}}

int network_run(const uint8_t *input, int32_t *logits, float *confidence, int *label)
{{
{steps}
}}
"""


def _rescales(op: Operation) -> Sequence[Rescale]:
    if isinstance(op, WindowAverage):
        return tuple(op.rescales.values())
    if isinstance(op, Concatenation):
        return op.rescales
    found = getattr(op, "rescale", None)
    return () if found is None else (found,)


def _list(values: Sequence[int] | Sequence[str]) -> str:
    return f"{{{', '.join(map(str, values))}}}"


def _check_bytes(name: str, low: int, high: int) -> None:
    if low < 0 or high > 255:
        raise _refuse(name, f"its integers run from {low} to {high}, and bytes here from 0 to 255")
