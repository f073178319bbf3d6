from __future__ import annotations

import json

import jinja2
import pytest

from eecompile.report.pages import hash_of_script, json_in_script, page_environment


def test_what_a_template_is_given_is_escaped_and_what_it_lacks_is_an_error() -> None:
    loader = jinja2.DictLoader({"a": "{{ text }} {{ 1234567|quantity('B') }}", "b": "{{ missing }}"})
    environment = page_environment(loader)
    assert environment.get_template("a").render(text="<b>") == "&lt;b&gt; 1.23 MB"
    with pytest.raises(jinja2.UndefinedError):
        environment.get_template("b").render()


def test_a_document_cannot_end_the_script_that_holds_it() -> None:
    document = {"title": "</script><!--"}
    text = json_in_script(document)
    assert "<" not in text and ">" not in text and json.loads(text) == document


def test_the_hash_is_that_of_the_policy() -> None:
    """The example of the specification (Content Security Policy Level 3, hash-source)."""
    assert hash_of_script("doSomething();") == "sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc="
