"""Values of a file: what each kind of question takes, and that complaints name file and path."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from passes.errors import InputError
from targets.description.readers.entry import Entry

DOCUMENT = {"memories": {"l1": {"size": 8, "ports": [{"name": "r"}, "w"]}}, 0: None}


def at(value: object) -> Entry:
    return Entry(value, "x.yaml", "a.b")


def test_entries_below_know_their_path() -> None:
    whole = Entry(DOCUMENT, "x.yaml")
    memory = whole.items()["memories"].items()["l1"]
    assert (memory.items()["size"].path, memory.items()["size"].value) == ("memories.l1.size", 8)
    port = memory.items()["ports"].elements()[0].fields(("name",))["name"]
    assert port == Entry("r", "x.yaml", "memories.l1.ports[0].name")
    assert whole.items()["0"].path == "0", "numbers are keys like others"


def test_complaints_start_with_the_file_and_the_path() -> None:
    error = at(1).wrong("too small", "raise it")
    assert (error.message, error.hint) == ("x.yaml: a.b: too small", "raise it")
    assert Entry(1, "x.yaml").wrong("no keys").message == "x.yaml: no keys"


@pytest.mark.parametrize(
    ("ask", "value", "answer"),
    [
        (Entry.text, " a b ", "a b"),
        (Entry.integer, 1, 1),
        (Entry.integer, 2.0, 2),
        (lambda e: e.integer(least=0), 0, 0),
        (Entry.number, 0, 0),
        (Entry.number, 0.5, 0.5),
        (Entry.number, 10**400, 10**400),
        (lambda e: e.number(least=-2), -2, -2),
        (Entry.boolean, False, False),
        (lambda e: e.choice(("read", "write")), " read ", "read"),
    ],
)
def test_values_that_are_what_is_asked_for(
    ask: Callable[[Entry], object], value: object, answer: object
) -> None:
    found = ask(at(value))
    assert found == answer and type(found) is type(answer)


@pytest.mark.parametrize(
    ("ask", "value", "message"),
    [
        (Entry.text, "  ", "expected text, not '  '"),
        (Entry.text, 3, "expected text, not 3"),
        (Entry.text, None, "expected text, not nothing"),
        (Entry.text, {"a": 1}, "expected text, not keys with values"),
        (Entry.text, ["a"], "expected text, not a list"),
        (Entry.integer, 0, "must be a finite number >= 1, not 0"),
        (Entry.integer, 1.5, "must be a whole number, not 1.5"),
        (Entry.integer, float("inf"), "must be a finite number >= 1, not inf"),
        (Entry.integer, True, "expected a number, not True"),
        (Entry.number, -0.1, "must be a finite number >= 0, not -0.1"),
        (Entry.number, float("nan"), "must be a finite number >= 0, not nan"),
        (Entry.number, "1e9", "expected a number, not '1e9'\nYAML reads 1e9 as text; write 1.0e+9"),
        (Entry.number, None, "expected a number, not nothing"),
        (Entry.boolean, 1, "expected true or false, not 1"),
        (Entry.boolean, "yes", "expected true or false, not 'yes'"),
        (lambda e: e.choice(("read", "write")), "reed", "'reed' is not known here\ndid you mean 'read'"),
        (Entry.items, [], "expected keys with values, not a list"),
        (Entry.items, {}, "expected keys with values, not {}"),
        (Entry.items, {1: 0, "1": 0}, "two keys differ only in quotes\nremove one"),
        (Entry.elements, {"a": 1}, "expected a list, not keys with values"),
        (Entry.elements, "ab", "expected a list, not 'ab'"),
        (lambda e: e.elements(2), [1], "needs 2 or more entries, not 1"),
    ],
)
def test_other_values_are_told(ask: Callable[[Entry], object], value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        ask(at(value))
    assert str(caught.value).startswith(f"x.yaml: a.b: {message}")


def test_long_values_are_cut() -> None:
    with pytest.raises(InputError) as caught:
        at("9" * 99).number()
    assert caught.value.message == f"x.yaml: a.b: expected a number, not '{'9' * 59}"


def test_a_list_may_be_empty_unless_more_is_asked_for() -> None:
    assert at([]).elements() == []
    assert [item.path for item in at([1, 2]).elements(2)] == ["a.b[0]", "a.b[1]"]


def test_known_keys_are_required_or_optional_and_without_a_value_absent() -> None:
    entry = at({"name": "r", "type": None, "size": 0})
    assert entry.fields(("name",), ("type", "size", "area")).keys() == {"name", "size"}
    with pytest.raises(InputError, match=re.escape("x.yaml: a.b.type: is missing\nadd it")):
        entry.fields(("name", "type", "size"))
    with pytest.raises(InputError, match=re.escape("a.b.size: unknown key\ndid you mean 'sizes'?")):
        entry.fields(("name", "type"), ("sizes",))
    with pytest.raises(InputError, match=re.escape("x.yaml: name: is missing")):
        Entry({"a": 1}, "x.yaml").fields(("name",), ("a",))
