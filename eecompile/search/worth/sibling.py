"""A trained supernet that another one starts from: which it is, and how it was made, to be made again.

The cache is bounded: what a design starts from may have left it. What a search tells its workers is therefore
enough to train it anew, with all that it started from in turn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eecompile.search.study.proposals import Params


@dataclass(frozen=True)
class Sibling:
    """A trained supernet.

    Attributes:
        digest: Of its key.
        params: Genes of its design; ``None`` where an earlier version told only the digest.
        rung: Up to which it was trained.
        start: What it started from itself, as :attr:`text` has it; empty: from nothing.
    """

    digest: str
    params: Params | None = None
    rung: int = 0
    start: str = ""

    @staticmethod
    def of_result(params: Params, result: Mapping[str, Any]) -> Sibling:
        """Return the supernet of a candidate by its genes and what was found out of it."""
        return Sibling(
            str(result["supernet"]), dict(params), int(result["rung"]), str(result.get("start", ""))
        )

    @staticmethod
    def of(text: str) -> Sibling:
        """Return the one that :attr:`text` is of."""
        if not text.startswith("{"):
            return Sibling(text)
        told = json.loads(text)
        start = json.dumps(told["start"], sort_keys=True) if "start" in told else ""
        return Sibling(str(told["digest"]), told.get("params"), int(told["rung"]), start)

    @property
    def text(self) -> str:
        """As a search tells it and the record keeps it: one document, with all it started from inside."""
        found: dict[str, Any] = {"digest": self.digest, "rung": self.rung}
        if self.params is not None:
            found["params"] = dict(self.params)
        if self.start:
            told = self.start if self.start.startswith("{") else Sibling(self.start).text
            found["start"] = json.loads(told)
        return json.dumps(found, sort_keys=True)
