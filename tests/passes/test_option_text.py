"""Names with options as text: what is printed reads back, and what does not read says where."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.errors import InputError
from passes.option_text import NamedOptions, parse_list, print_named, print_value

names = st.from_regex(r"[A-Za-z][\w-]*", fullmatch=True)
options = st.dictionaries(
    st.from_regex(r"[a-z_]\w*", fullmatch=True), st.lists(st.text(), min_size=1, max_size=3)
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(names, options), min_size=1, max_size=3))
def test_what_is_printed_reads_back(given_: list[tuple[str, dict[str, list[str]]]]) -> None:
    text = ",".join(
        print_named(name, {key: tuple(values) for key, values in told.items()}) for name, told in given_
    )
    assert parse_list(text, "thing") == [NamedOptions(name, told) for name, told in given_]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(names, options)
def test_a_value_may_have_options_of_its_own(name: str, told: dict[str, list[str]]) -> None:
    inner = print_named(name, {key: tuple(values) for key, values in told.items()})
    assert print_value(inner) == inner, "without quotes"
    assert parse_list(f"outer{{head={inner},at=1+{inner}}}", "thing") == [
        NamedOptions("outer", {"head": [inner], "at": ["1", inner]})
    ]


def test_blanks_and_ends() -> None:
    assert parse_list("", "thing") == []
    assert parse_list(" a { b = 1 , c=x+y } , d-e ", "thing") == [
        NamedOptions("a", {"b": ["1"], "c": ["x", "y"]}),
        NamedOptions("d-e", {}),
    ]


@pytest.mark.parametrize("text", ["a b", "a{b", "a{b=}", "a,b", "é{", "", "a+b", 'a{b="c}', "a{b=c}d"])
def test_what_would_not_read_alone_is_quoted(text: str) -> None:
    assert print_value(text).startswith('"')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  ", "head text, column 1: expected a head name"),
        ("a{b=c{d=1}", "column 11: expected ',' or '}'"),
        ("a{b=c{d}}", "column 7: expected option=value or '}'"),
        ("a{b=1,b=2}", "column 7: option 'b' is given twice"),
        ("a{b=c{d=1,d=2}}", "column 11: option 'd' is given twice"),
        ("a}", "column 2: expected ',' or the end"),
        ('a{b="c', "column 5: unfinished string"),
        ("a{b=;}", "column 5: expected a value (quote names with other characters)"),
    ],
)
def test_where_it_stopped(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_list(text, "head")
    assert message in str(error.value)
    assert str(error.value).endswith("^")
