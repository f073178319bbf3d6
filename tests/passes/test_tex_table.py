"""LaTeX that compiles: as many cells as columns, nothing of names in its commands."""

from __future__ import annotations

import re

import pytest

from passes.tex_table import escaped, tex_table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("exit_0", r"exit\_0"),
        ("50 % & more", r"50 \% \& more"),
        (r"a\b{c}", r"a\textbackslash{}b\{c\}"),
        ("#1 $2 ~ ^ <b>", r"\#1 \$2 \textasciitilde{} \textasciicircum{} \textless{}b\textgreater{}"),
        ("1.2 µs", r"1.2 \textmu{}s"),
        ("1.2e-05", r"$1.2 \times 10^{-5}$"),
        ("3e+09", r"$3 \times 10^{9}$"),
        ("-0.5", "$-0.5$"),
        ("conv-1", "conv-1"),
        ("two\nlines", "two lines"),
    ],
)
def test_nothing_in_a_text_is_a_command(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_a_table_with_rules() -> None:
    found = tex_table(
        "Costs of\nexits", ["exit", "energy (µJ)"], [["a_b", "1.5"], ["final", "20"]], [False, True]
    )
    assert found == (
        "% Costs of exits\n% \\usepackage{booktabs}\n\\begin{tabular}{lr}\n\\toprule\n"
        "exit & energy (\\textmu{}J) \\\\\n\\midrule\n"
        "a\\_b & 1.5 \\\\\nfinal & 20 \\\\\n\\bottomrule\n\\end{tabular}\n"
    )


def test_facts_have_no_head() -> None:
    found = tex_table("facts", ["", ""], [["model", "m.onnx"]], [False, False])
    assert "midrule" not in found and "\\toprule\nmodel & m.onnx \\\\\n\\bottomrule" in found


def test_a_row_that_starts_with_a_bracket_is_no_option_of_the_one_before() -> None:
    found = tex_table("", ["interval"], [["[1, 2]"], ["*"]], [False])
    assert not re.search(r"\\\\\s*[\[*]", found)
    assert "{[}1, 2] \\\\" in found
