"""The support table of a target."""

from __future__ import annotations

from targets.contract.support import SupportRow, support_table
from targets.diana.target import DianaTarget
from tests.targets.contract.test_target import Twins


def test_the_support_table_prints_the_sentences_of_the_rules() -> None:
    rows = list(support_table(DianaTarget()))
    assert rows == sorted(rows, key=lambda row: (row.op_type, row.core))
    conv = {row.core: row.sentences for row in rows if row.op_type == "Conv"}
    assert set(conv) == {"analog", "digital"}
    assert "Weights are ternary" in conv["analog"] and "Dilation is 1" in conv["digital"]


def test_rows_go_by_operator_then_core_whatever_the_description_lists_first() -> None:
    """The description has ``right`` before ``left``; only ``right`` runs Tanh, under no rule."""
    rule = "The result has at most 2,000 elements"
    assert list(support_table(Twins())) == [
        SupportRow("Relu", "left", (rule,)),
        SupportRow("Relu", "right", (rule,)),
        SupportRow("Tanh", "right", ()),
    ]
