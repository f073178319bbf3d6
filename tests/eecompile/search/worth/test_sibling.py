from __future__ import annotations

from eecompile.search.worth.sibling import Sibling


def test_a_chain_is_read_as_it_was_written() -> None:
    first = Sibling("a", {"width": 4, "head": "linear", "share": 0.5, "on": True}, 1)
    second = Sibling("b", {"width": 2}, 0, first.text)
    assert Sibling.of(second.text) == second and Sibling.of(Sibling.of(second.text).start) == first


def test_a_chain_grows_by_what_each_adds() -> None:
    text, sizes = "", []
    for number in range(30):
        text = Sibling(f"{number:064d}", {"backbone.width": number}, 0, text).text
        sizes.append(len(text))
    assert sizes[-1] <= 30 * sizes[0] * 1.2


def test_of_an_earlier_version_only_the_digest_is_known() -> None:
    assert Sibling.of("abc") == Sibling("abc") and Sibling.of("").digest == ""


def test_a_candidate_by_what_was_found_out_of_it() -> None:
    found = {"supernet": "b", "rung": 2, "start": "a"}
    assert Sibling.of_result({"width": 3}, found) == Sibling("b", {"width": 3}, 2, "a")
    assert Sibling.of(Sibling.of_result({"width": 3}, found).text).start == Sibling("a").text
