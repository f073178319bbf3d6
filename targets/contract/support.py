"""What each core of a target runs, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from targets.contract.target import Target, sentence


@dataclass(frozen=True)
class SupportRow:
    """One row of the generated support table."""

    op_type: str
    core: str
    sentences: tuple[str, ...]


def support_table(target: Target) -> Iterator[SupportRow]:
    """Yield what each core of ``target`` runs and under which rules, by operator, then core."""
    rows = [
        SupportRow(op, core.name, tuple(sentence(rule) for rule in rules))
        for core in target.arch.cores
        for op, rules in target.support(core.name).items()
    ]
    yield from sorted(rows, key=lambda row: (row.op_type, row.core))
