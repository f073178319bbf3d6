from __future__ import annotations

from pathlib import Path

import pytest

from passes.errors import InputError
from targets.description.yaml_text import parse_yaml, read_yaml


def test_plain_values() -> None:
    assert parse_yaml("a: {b: [1, 2.5, text, null, true]}\n0: c\n", "x.yaml") == {
        "a": {"b": [1, 2.5, "text", None, True]},
        0: "c",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x\n", "line 1: anchors and aliases are not allowed"),
        ("a: &x 1\n", "line 1: anchors and aliases are not allowed"),
        ("b: *x\n", "line 1: anchors and aliases are not allowed"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1: tags are not allowed"),
        ("a: !!int ''\n", "line 1: tags are not allowed"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "line 4: the key 'b' is there twice; remove one"),
        ("a: 1\n'a': 2\n", "line 2: the key 'a' is there twice"),
        ("<<: {a: 1}\n", "line 1: merge keys are not allowed"),
        ("? [a]\n: 1\n", "line 1: found unhashable key"),
        ("[" * 2000, "nested too deeply"),
        ("a: " + "{a: " * 2000, "nested too deeply"),
        ("a: 2024-99-99\n", "not readable as YAML"),
        ("a: " + "9" * 5000 + "\n", "not readable as YAML"),
        ("a: [\n", "not readable as YAML: line 2"),
        ("a: 1\n---\nb: 2\n", "not readable as YAML"),
        ("a: \x00\n", "not readable as YAML"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "x.yaml")
    assert caught.value.message.startswith("x.yaml: ") and message in caught.value.message


def test_known_left_overs_are_dropped_for_the_later_value() -> None:
    text = "a: [1]\nb: 2\na: {c: 3}\n"
    assert parse_yaml(text, "x.yaml", lambda key, value: (key, value) == ("a", [1])) == {
        "a": {"c": 3},
        "b": 2,
    }


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with pytest.raises(InputError, match=r"cannot read the mapping file .*x\.yaml: there is no such file"):
        read_yaml(path, "mapping file")
    with pytest.raises(InputError, match="it is a folder"):
        read_yaml(tmp_path, "mapping file")
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(InputError, match="cannot read the mapping file"):
        read_yaml(path, "mapping file")
    path.write_text("#" * (1 << 20))
    assert read_yaml(path, "mapping file") is None
    path.write_text("#" * ((1 << 20) + 1))
    with pytest.raises(InputError, match="larger than 1 MiB"):
        read_yaml(path, "mapping file")
