"""Ways to break a file: its bytes, the fields of a protobuf message, the values of a document, its lines."""

from __future__ import annotations

import copy
import random
import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

INTEGERS = (0, 1, -1, 2, 7, 127, 255, 2**31 - 1, 2**31, -(2**31), 2**40, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-30, 3e38, float("inf"), float("nan"))
TEXTS = ("", "x", "y", "Conv", "Add", "If", "Loop", "Softmax", "ai.onnx", "ai.onnx.ml", "NOTSET", "/", "..",
         "../../up.bin", "\0", "é" * 40, "a" * 5000, "[]", "{", "[[{}]]", "nan", "1e999")  # fmt: skip
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1, 10**30, 0.5, float("nan"), float("inf"), "", "x", "I1, fh", "K, 8", [], [[]], {},
    {"x": 1}, [None], {1: 2}, 2**31, "1e3", [1, 2, 3], "C",
)  # fmt: skip
_MOST = 2**31 - 1
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), _MOST),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def _repeated(value: object) -> bool:
    """Whether a field holds several values; descriptors say it by another name in each protobuf."""
    return not isinstance(value, str | bytes | int | float | Message)


def mutate_bytes(data: bytes, dice: random.Random) -> bytes:
    """Return ``data`` with a few bytes changed, left out, doubled, put in or cut off."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        at = dice.randrange(len(changed) + 1)
        length = dice.choice((1, 2, 4, 8, 64))
        kind = dice.randrange(6)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            changed[at : at + length] = dice.randbytes(length)
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[at:at] = changed[at : at + length]
        elif kind == 4:
            changed[at : at + 4] = struct.pack("<I", dice.choice((0, 1, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF)))
        else:
            del changed[dice.randrange(at + 1) if dice.random() < 0.2 else at :]
    return bytes(changed)


def mutate_message(message: Message, dice: random.Random, times: int) -> None:
    """Change ``times`` fields, anywhere in ``message``, to values that its form allows."""
    for _ in range(times):
        fields = list(_fields(message))
        if not fields:
            return
        # Deep fields are many, so that kinds of field are drawn before places.
        name = dice.choice(sorted({field.full_name for _, field in fields}))
        owner, field = dice.choice([pair for pair in fields if pair[1].full_name == name])
        if _repeated(getattr(owner, field.name)):
            _change_list(owner, field, dice, message)
        else:
            _change_one(owner, field, dice, message)


def _fields(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    for field, value in message.ListFields():
        yield message, field
        if field.message_type is not None:
            for part in value if _repeated(value) else [value]:
                yield from _fields(part)
    # One that is not set yet may become set.
    unset = [field for field in message.DESCRIPTOR.fields if field.message_type is None]
    yield from ((message, field) for field in unset)


def _change_list(owner: Message, field: FieldDescriptor, dice: random.Random, whole: Message) -> None:
    items = getattr(owner, field.name)
    kind = dice.randrange(4)
    at = dice.randrange(len(items)) if items else 0
    if not items:
        if field.message_type is None:
            items.append(_value(field, 0, dice, whole))
    elif kind == 0:
        del items[at]
    elif kind == 1:
        items.append(items[at])
    elif kind == 2 and field.message_type is None:
        items[at] = _value(field, items[at], dice, whole)
    else:
        kept = [copy.deepcopy(item) for item in items]
        dice.shuffle(kept)
        del items[:]
        items.extend(kept)


def _change_one(owner: Message, field: FieldDescriptor, dice: random.Random, whole: Message) -> None:
    if field.message_type is not None or dice.random() < 0.15:
        owner.ClearField(field.name)
    else:
        setattr(owner, field.name, _value(field, getattr(owner, field.name), dice, whole))


def _value(field: FieldDescriptor, old: Any, dice: random.Random, whole: Message) -> Any:
    """Return another value of a field; names are mostly those of other things in ``whole``."""
    if field.cpp_type in _INTEGERS:
        least, most = _INTEGERS[field.cpp_type]
        near = (old + dice.choice((-1, 1)), old * 2, -old)
        return min(max(dice.choice((*INTEGERS, *near)), least), most)
    if field.enum_type is not None:
        return dice.choice([value.number for value in field.enum_type.values])
    if field.cpp_type in {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}:
        return dice.choice((*FLOATS, -old, old * 2))
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return not old
    known = sorted(set(_texts(whole)))
    text = dice.choice(known) if known and dice.random() < 0.6 else dice.choice(TEXTS)
    if field.type != FieldDescriptor.TYPE_BYTES:
        return text
    return mutate_bytes(old, dice) if old and dice.random() < 0.7 else text.encode()


def _texts(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            yield from value if _repeated(value) else [value]
        elif field.message_type is not None:
            for part in value if _repeated(value) else [value]:
                yield from _texts(part)


def mutate_document(document: Any, dice: random.Random, times: int) -> None:
    """Change ``times`` values or keys, anywhere in plain ``document``."""
    for _ in range(times):
        places = _places(document)
        if not places:
            return
        owner, key = dice.choice(places)
        kind = dice.randrange(5)
        if kind == 0:
            del owner[key]
        elif kind == 1 and isinstance(owner, dict):
            owner[dice.choice(("x", 1, None, "name", "K", *owner))] = owner.pop(key)
        elif kind == 2:
            owner[key] = copy.deepcopy(dice.choice(dice.choice(places)[:1]))
        elif kind == 3 and isinstance(owner[key], int | float):
            owner[key] = dice.choice((*INTEGERS, *FLOATS, owner[key] * 1000, -owner[key], owner[key] / 3))
        else:
            owner[key] = copy.deepcopy(dice.choice(JUNK))


def mutate_values(document: Any, dice: random.Random, times: int) -> None:
    """Change ``times`` numbers and texts to others of their type: most is then well formed, and odd."""
    leaves = [place for place in _places(document) if isinstance(place[0][place[1]], int | float | str)]
    for _ in range(times if leaves else 0):
        owner, key = dice.choice(leaves)
        value = owner[key]
        if isinstance(value, str):
            texts = sorted({o[k] for o, k in leaves if isinstance(o[k], str)})
            owner[key] = dice.choice(texts)
        elif isinstance(value, bool):
            owner[key] = not value
        else:
            owner[key] = dice.choice((0, 1, 2, 3, 7, value * 2, value // 2, value + 1, value * 1000, 0.5))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return container and key of every value below ``value``."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *_places(value[key])]]


def mutate_lines(text: str, dice: random.Random) -> str:
    """Return ``text`` with lines left out, doubled, moved in or swapped, or with its characters broken."""
    lines = text.splitlines() or [""]
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(len(lines))
        kind = dice.randrange(5)
        if kind == 0 and len(lines) > 1:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[dice.randrange(len(lines))])
        elif kind == 2:
            lines[at] = "  " * dice.randrange(4) + lines[at].strip()
        elif kind == 3:
            other = dice.choice("{}[]:,&*!|>'\"%@`#-?0\t\0é")
            where = dice.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:where] + other + lines[at][where + dice.randrange(2) :]
        else:
            lines[at] = lines[at].replace(":", dice.choice((" :", ": :", "", ": -1", ": 1e400")), 1)
    return "\n".join(lines)
