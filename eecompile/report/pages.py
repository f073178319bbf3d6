"""What all pages for people share: their templates, and what stands in their script elements."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import Any

import jinja2

from eecompile.wording import quantities


def page_environment(loader: jinja2.BaseLoader) -> jinja2.Environment:
    """Return an environment for templates in HTML, with the filters of all of them."""
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        quantity=quantities.quantity,
        energy=quantities.energy,
        cycles=quantities.cycles,
        percent=quantities.percent,
        shortened=quantities.shortened,
    )
    return environment


@cache
def page_templates(package: str) -> jinja2.Environment:
    """Return the templates of a package beside those of the report; they are compiled once."""
    own = jinja2.PackageLoader(package, "")
    return page_environment(jinja2.ChoiceLoader([own, jinja2.PackageLoader("eecompile", "report")]))


def json_in_script(document: Any) -> str:
    """Return a document as JSON that is safe within a script element."""
    # only these end or change what is read
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")


def hash_of_script(script: str) -> str:
    """Return by what a content security policy knows a script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
