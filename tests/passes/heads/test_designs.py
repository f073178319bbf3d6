"""Heads as text: what is asked for, what is recorded, and what there is to choose from."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.errors import InputError
from passes.heads.designs import (
    AUTO,
    CONV,
    LINEAR,
    RIVALS,
    WIDE_RIVALS,
    HeadDesign,
    heads_text,
    members,
    members_on,
    on_features,
    parse_head,
    parse_heads,
    rivals_on,
)
from passes.heads.families import FAMILIES
from passes.heads.layers import HeadLayer, Shape

designs = st.sampled_from([design for family in FAMILIES.values() for design in members(family)])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.one_of(designs, st.none()), min_size=1, max_size=4))
def test_heads_read_back_from_their_text(heads: list[HeadDesign | None]) -> None:
    text = ",".join(AUTO if head is None else head.name for head in heads)
    assert parse_heads(text) == tuple(heads)
    names = [AUTO if head is None else head.name for head in heads]
    assert parse_heads(names) == tuple(heads)
    assert heads_text(names) == heads_text(text) == text
    if len(heads) == 1 and heads[0] is not None:
        assert parse_head(text) == heads[0]


def test_texts_of_all_members_differ() -> None:
    listed = [design for family in FAMILIES.values() for design in members(family)]
    assert len({design.name for design in listed}) == len(listed)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("conv{kernel=3}", "conv"),
        ("conv{ reuse=logits, kernel=5 }", "conv{kernel=5,reuse=logits}"),
        (
            "conv{size=10,kernel=5,expansion=2,modules=2,pool=true,reuse=features}",
            "conv{size=10,kernel=5,expansion=2,modules=2,pool=true,reuse=features}",
        ),
        ('conv{kernel="5"}', "conv{kernel=5}"),
    ],
)
def test_a_head_is_written_in_one_way(text: str, name: str) -> None:
    assert parse_head(text).name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no head is named\nheads: auto, linear, mlp, conv, separable, feature"),
        ("liner", "unknown head 'liner'\ndid you mean 'linear'"),
        ("linear,con", "unknown head 'con'\ndid you mean 'conv'"),
        ("auto{kernel=3}", "head 'auto' has no genes"),
        ("conv{kernl=3}", "head 'conv' has no gene 'kernl'\ndid you mean 'kernel'"),
        ("linear{kernel=3}", "head 'linear' has no gene 'kernel'\nknown: reuse"),
        (
            "conv{kernel=4}",
            "head 'conv': gene 'kernel' cannot be '4'\nit is the size of its kernels: one of 3, 5",
        ),
        ("conv{kernel=3+5}", "gene 'kernel' cannot be '3+5'"),
        ("conv{pool=True}", "gene 'pool' cannot be 'True'"),
        ("separable{reuse=feature}", "gene 'reuse' cannot be 'feature'"),
        ("conv{kernel=3", "head text, column 14: expected ',' or '}'"),
    ],
)
def test_what_is_no_head(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_heads(text)
    assert message in str(error.value)


@pytest.mark.parametrize("text", [AUTO, "linear,conv", ""])
def test_what_is_not_one_head(text: str) -> None:
    with pytest.raises(InputError, match="is not one head of a family\nfamilies: linear, mlp"):
        parse_head(text)


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("separable", (8,), "'separable' reads no features with no spatial axes"),
        (
            "feature",
            (8, 4, 4),
            r"'feature' reads no features with 2 spatial axes \(shape \[8, 4, 4\]\)\nheads of",
        ),
        ("conv{kernel=5}", (8,), r"'conv\{kernel=5\}': features without spatial axes .* have no 'kernel'"),
        ("conv{pool=true}", (8,), "have no 'pool'"),
        ("linear", (), "up to 2 spatial axes"),
        ("conv", (1, 2, 3, 4), "up to 2 spatial axes"),
    ],
)
def test_features_that_a_head_does_not_read(text: str, shape: Shape, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_head(text).on(shape, 3)


def test_what_reads_tokens_stands_in_front_and_what_is_reused_at_the_classifier() -> None:
    reading = [HeadLayer("ReduceMean", axes=(1,))]
    ops = {
        reuse: [
            (layer.op, layer.channels)
            for layer in parse_head(f"mlp{{reuse={reuse}}}").on((9, 6), 3, reading, 7)
        ]
        for reuse in ("none", "logits", "features")
    }
    plain = [("ReduceMean", 0), ("Gemm", 48), ("Gemm", 3)]
    assert ops["none"] == plain
    assert ops["logits"] == [*plain, ("Add", 0)]
    assert ops["features"] == [*plain[:2], ("Concat", 7), ("Gemm", 3)]


def test_auto_goes_by_size() -> None:
    assert on_features(None, (16, 8, 8)) == on_features(None, (16, 9)) == CONV
    assert on_features(None, (16, 7, 9)) == on_features(None, (20,)) == LINEAR
    assert on_features(parse_head("mlp"), (16, 8, 8)) == parse_head("mlp")
    with pytest.raises(InputError, match="up to 2 spatial axes"):
        on_features(None, (1, 2, 3, 4))


def test_the_heads_that_auto_tries() -> None:
    assert [design.name for design in RIVALS] == ["linear", "conv"]


TWO, THREE = (design.name for design in WIDE_RIVALS)


@pytest.mark.parametrize(
    ("shape", "tried"),
    [
        ((16, 32, 32), [TWO, THREE]),
        ((16, 20), [TWO, THREE]),
        ((16, 5, 1), [TWO, THREE]),
        ((16, 4, 4), [TWO]),  # a third module had one place to read
        ((16, 3), [TWO]),
        ((16, 2, 2), ["linear", "conv"]),
        ((16,), ["linear", "conv"]),
    ],
)
def test_wide_heads_are_tried_where_each_convolution_has_places_to_read(
    shape: Shape, tried: list[str]
) -> None:
    assert [design.name for design in rivals_on(shape, joint=True)] == tried
    assert rivals_on(shape, joint=False) == RIVALS


def test_the_first_member_is_the_default_and_a_head_alone_reuses_nothing() -> None:
    for name, family in FAMILIES.items():
        found = list(members(family))
        assert found[0] == parse_head(name)
        assert {design.alone() for design in found} == {d for d in found if d.reuse == "none"}
        count = 1
        for gene in family.genes:
            count *= len(gene.values)
        assert len(found) == len(set(found)) == count


@pytest.mark.parametrize("shape", [(12,), (12, 20), (12, 28, 28), (12, 8, 8), (3, 1, 1)])
@pytest.mark.parametrize("reuse", [False, True])
def test_members_on_features_are_all_that_differ_there(shape: Shape, reuse: bool) -> None:
    listed = members_on(shape, reuse)
    layers = {design: design.on(shape, 2) for design in listed}
    assert len({(made, d.reuse) for d, made in layers.items()}) == len(listed)
    for design in (d for family in FAMILIES.values() for d in members(family)):
        try:
            made = design.on(shape, 2)
        except InputError:
            assert design not in listed
            continue
        assert ((made, design.reuse) in {(m, d.reuse) for d, m in layers.items()}) == (
            reuse or design.reuse == "none"
        )


def test_of_members_with_the_same_layers_the_default_stays() -> None:
    names = {design.name for design in members_on((12, 8, 8))}
    assert {"linear", "mlp", "conv", "separable", "separable{kernel=2}", "conv{kernel=5}"} <= names
    assert "conv{size=10}" not in names, "a map of 8 places is pooled to neither"
    assert "conv{size=10}" in {design.name for design in members_on((12, 28, 28))}
    assert "feature" not in {design.name for design in members_on((12,))}, "it is linear there"


@pytest.mark.parametrize("heads", [["linear,conv"], [""], ["conv,linear", ""]])
def test_in_a_list_each_is_one_head(heads: list[str]) -> None:
    with pytest.raises(InputError):
        heads_text(heads)
