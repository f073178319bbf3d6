"""What an entry of the cache is called: a hash of all that its content depends on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

_KIND = re.compile(r"[a-z][a-z-]*")


@dataclass(frozen=True)
class Key:
    """What an entry holds, and what it was made of.

    Attributes:
        kind: What it is: ``supernet``, ``answers``, ``costs`` …
        digest: SHA-256 of the kind and of all parts.
        title: What a person is told it is.
    """

    kind: str
    digest: str
    title: str

    @staticmethod
    def of(kind: str, parts: Mapping[str, object], title: str = "") -> Key:
        """Return the key of what depends on ``parts``: texts, numbers, lists and mappings of such.

        What only has to be told apart by its content, a network or images, is given as its hash.

        Raises:
            TypeError: A part is none of these, so that its text would not say all of it.
        """
        if not _KIND.fullmatch(kind):
            raise ValueError(f"a kind of entry is small letters and dashes, not '{kind}'")
        text = json.dumps({"kind": kind, "parts": dict(parts)}, sort_keys=True, allow_nan=False)
        return Key(kind, hashlib.sha256(text.encode()).hexdigest(), title)
