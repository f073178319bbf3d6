"""Reading YAML that others wrote: plain data only, bounded in size, nothing silently dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from passes.errors import InputError

MAX_FILE_BYTES = 1 << 20

# Tells of a key that is there twice whether its earlier value is a known left-over to drop.
LeftOver = Callable[[object, object], bool]
_MERGE_TAG = "tag:yaml.org,2002:merge"


class _PlainLoader(yaml.SafeLoader):
    """Safe YAML of plain values only.

    A few aliased lines can expand to gigabytes, tags call constructors that raise anything, and of two
    equal keys the parser would keep the last without a word: all three are refused.
    """

    def __init__(self, text: str, is_left_over: LeftOver) -> None:
        super().__init__(text)
        self.is_left_over = is_left_over

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(None, None, "anchors and aliases are not allowed", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(None, None, "tags are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        earlier: dict[object, Any] = {}
        dropped = set()
        for pair in node.value:
            key = pair[0]
            if key.tag == _MERGE_TAG:
                raise yaml.MarkedYAMLError(None, None, "merge keys are not allowed", key.start_mark)
            # Keys that are no scalars are refused by the base class.
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = self.construct_object(key)
            if name in earlier:
                if not self.is_left_over(name, self.construct_object(earlier[name][1], deep=True)):
                    message = f"the key '{name}' is there twice; remove one"
                    raise yaml.MarkedYAMLError(None, None, message, key.start_mark)
                dropped.add(id(earlier[name]))
            earlier[name] = pair
        node.value = [pair for pair in node.value if id(pair) not in dropped]
        return super().construct_mapping(node, deep)


def _nothing(_key: object, _value: object) -> bool:
    return False


def read_yaml(path: Path, what: str, is_left_over: LeftOver = _nothing) -> object:
    """Return the content of a YAML file; ``what`` names its kind in messages.

    Raises:
        InputError: No such file, larger than 1 MiB, or not plain YAML.
    """
    try:
        if not path.is_file():
            problem = "it is a folder" if path.is_dir() else "there is no such file"
            raise InputError(f"cannot read the {what} {path}: {problem}", "give the path of a .yaml file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise InputError(
                f"{path}: larger than 1 MiB", f"the {what} is a short YAML file; is it another file?"
            )
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the {what} {path}: {error}") from None
    return parse_yaml(text, str(path), is_left_over)


def parse_yaml(text: str, where: str, is_left_over: LeftOver = _nothing) -> object:
    """Return the content of YAML text; ``where`` names it in messages. Raises InputError."""
    try:
        return _PlainLoader(text, is_left_over).get_single_data()
    except RecursionError:
        raise InputError(f"{where}: not readable as YAML: nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(f"{where}: not readable as YAML: {line}{error.problem}") from None
    # Plain scalars that look like numbers or dates and are none, such as 2024-99-99, raise ValueError.
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{where}: not readable as YAML: {error}") from None
