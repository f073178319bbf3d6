"""Pass names, and the text form ``insert-exits{at=relu_3+add_2,head=conv},quantize``.

The table imports nothing: a pass is loaded when it is first asked for.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from typing import Any, get_args, get_origin, get_type_hints

from passes.base import PLAIN_VALUE, Pass, Pipeline
from passes.errors import InputError, did_you_mean

TABLE: dict[str, str] = {
    "canonicalize": "passes.canonical.canonicalize:Canonicalize",
    "fold-batchnorm": "passes.canonical.fold_batchnorm:FoldBatchnorm",
    "insert-exits": "passes.exits.insert_exits:InsertExits",
    "quantize": "passes.integers.quantize:Quantize",
    "fold-qdq": "passes.integers.fold_qdq:FoldQdq",
    "fuse-layers": "passes.fuse_layers:FuseLayers",
    "split-stages": "passes.exits.split_stages:SplitStages",
    "nest-exits": "passes.exits.nest_exits:NestExits",
}

_STEP = re.compile(r"\s*([A-Za-z][\w-]*)\s*(\{)?")
_ITEM = re.compile(r"\s*([a-z_]\w*)\s*=\s*")
_SPACE = re.compile(r"\s*")


def pass_class(name: str) -> type[Pass]:
    """Return the class of the pass called ``name``; raises InputError with a suggestion."""
    if name not in TABLE:
        raise InputError(f"unknown pass '{name}'", did_you_mean(name, TABLE))
    module, _, attribute = TABLE[name].partition(":")
    found: type[Pass] = getattr(importlib.import_module(module), attribute)
    return found


def parse_pass(text: str) -> Pass:
    """Parse the text form of one pass."""
    pipeline = parse_pipeline(text)
    if len(pipeline.steps) != 1:
        raise InputError(f"expected one pass, got {len(pipeline.steps)} in '{text}'")
    return pipeline.steps[0]


def parse_pipeline(text: str) -> Pipeline:
    """Parse ``name{key=value,…},name,…``; raises InputError that says where it stopped."""
    steps: list[Pass] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise _syntax(text, position, "expected a pass name")
        position = match.end()
        raw: dict[str, str | list[str]] = {}
        if match.group(2):
            position, raw = _parse_options(text, position)
        steps.append(_build(match.group(1), raw))
        rest = re.compile(r"\s*(,|$)").match(text, position)
        if rest is None:
            raise _syntax(text, position, "expected ',' or the end")
        position = rest.end()
        if rest.group(1) == "":
            break
    if not steps:
        raise InputError("the pipeline is empty", "example: canonicalize,fold-batchnorm,fuse-layers")
    return Pipeline(tuple(steps))


def _parse_options(text: str, position: int) -> tuple[int, dict[str, str | list[str]]]:
    options: dict[str, str | list[str]] = {}
    while True:
        position = _skip_space(text, position)
        if text[position : position + 1] == "}":
            return position + 1, options
        match = _ITEM.match(text, position)
        if match is None:
            raise _syntax(text, position, "expected option=value or '}'")
        if match.group(1) in options:
            raise _syntax(text, position, f"option '{match.group(1)}' is given twice")
        position = match.end()
        values = []
        while True:
            position, value = _parse_value(text, position)
            values.append(value)
            if text[position : position + 1] != "+":
                break
            position += 1
        options[match.group(1)] = values
        position = _skip_space(text, position)
        if text[position : position + 1] == ",":
            position += 1
        elif text[position : position + 1] != "}":
            raise _syntax(text, position, "expected ',' or '}'")


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _parse_value(text: str, position: int) -> tuple[int, str]:
    if text[position : position + 1] == '"':
        try:
            value, end = json.JSONDecoder().raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise _syntax(text, position, "unfinished string") from error
        return end, str(value)
    match = PLAIN_VALUE.match(text, position)
    if match is None:
        raise _syntax(text, position, "expected a value (quote names with other characters)")
    return match.end(), match.group()


def _build(name: str, raw: dict[str, str | list[str]]) -> Pass:
    cls = pass_class(name)
    hints = get_type_hints(cls)
    known = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    options: dict[str, Any] = {}
    for key, values in raw.items():
        if key not in known:
            raise InputError(f"pass '{name}' has no option '{key}'", did_you_mean(key, known))
        options[key] = _convert(name, key, list(values), hints[key])
    return cls(**options)


def _convert(name: str, key: str, values: list[str], hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_convert(name, key, [v], get_args(hint)[0]) for v in values)
    if len(values) != 1:
        raise InputError(f"pass '{name}': option '{key}' takes one value, got {'+'.join(values)}")
    value = values[0]
    try:
        if hint is bool:
            return {"true": True, "false": False}[value]
        return hint(value)
    except (KeyError, ValueError) as error:
        raise InputError(f"pass '{name}': option '{key}' cannot be '{value}'") from error


def _syntax(text: str, position: int, what: str) -> InputError:
    return InputError(f"pipeline text, column {position + 1}: {what}", f"{text}\n{' ' * position}^")
