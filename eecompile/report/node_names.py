"""Layers by the names that the user knows: those of the nodes of the model that was given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def origin_of(text: str) -> tuple[str, ...]:
    """Return the user's nodes in a field of ``layers.csv``: a JSON list, or one name in earlier versions."""
    if not text:
        return ()
    try:
        found = json.loads(text)
    except ValueError:
        return (text,)
    return tuple(str(name) for name in found) if isinstance(found, list) else (text,)


def node_names(layers: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """Return layer -> what it is called: the first of the user's nodes in it, which does most of its work.

    Layers that came of one node say their own name behind it, so that no two are called alike; what has no
    node in the user's model (the heads) keeps its name.

    Args:
        layers: Name of each layer and the user's nodes it came from.
    """
    pairs = [(name, origin[0] if origin else name) for name, origin in layers]
    used = Counter(shown for _, shown in pairs)
    return {name: shown if used[shown] == 1 else f"{shown} ({name})" for name, shown in pairs}


def renamed(events: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> tuple[Mapping[str, Any], ...]:
    """Return trace events with layers by those names, where they are what an event is called or is for."""
    found = []
    for event in events:
        entry = dict(event)
        if event.get("ph") == "X" and "name" in event:
            entry["name"] = names.get(str(event["name"]), event["name"])
        arguments = event.get("args")
        if isinstance(arguments, Mapping) and "for" in arguments:
            entry["args"] = {**arguments, "for": names.get(str(arguments["for"]), arguments["for"])}
        found.append(entry)
    return tuple(found)
