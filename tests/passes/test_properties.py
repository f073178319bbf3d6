"""Properties of the passes that bring graphs into form, on random networks."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import HealthCheck, given, settings

from passes.canonical.canonicalize import Canonicalize
from passes.canonical.fold_batchnorm import FoldBatchnorm
from tests.passes.equivalence import check_passes, check_text_form
from tests.passes.random_graphs import BLOCKS, ENDINGS, FLATTENS, LINEARS, POOLINGS, build, networks

quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@quick
@given(networks())
def test_canonicalize_keeps_the_network(model: onnx.ModelProto) -> None:
    check_passes(model, "canonicalize")


@quick
@given(networks())
def test_fold_batchnorm_keeps_the_network(model: onnx.ModelProto) -> None:
    graph = check_passes(model, "canonicalize,fold-batchnorm")
    assert not [n for n in graph.nodes if n.op in ("BatchNormalization", "Identity", "Dropout")]


@quick
@given(networks())
def test_fold_batchnorm_needs_no_other_pass(model: onnx.ModelProto) -> None:
    check_passes(model, "fold-batchnorm", any_batch=False)


@pytest.mark.parametrize(("family", "kind"), BLOCKS)
def test_each_block_alone(family: str, kind: str) -> None:
    blocks = [(family, kind), ("conv", "same")]
    model = build(blocks, pooling="mean", flatten="flatten", linear="gemm", ending="softmax")
    check_passes(model, "canonicalize")


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("flatten", FLATTENS)
def test_every_head_has_one_form(pooling: str, flatten: str) -> None:
    model = build([("conv", "same")], pooling=pooling, flatten=flatten, linear="matmul", ending="logsoftmax")
    graph = check_passes(model, "canonicalize")
    pool = [] if "none" in pooling else ["GlobalAveragePool"]
    assert [n.op for n in graph.nodes] == ["Conv", "Conv", *pool, "Flatten", "Gemm"]


@pytest.mark.parametrize("linear", LINEARS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_has_one_form(linear: str, ending: str) -> None:
    model = build([], pooling="global", flatten="reshape", linear=linear, ending=ending)
    graph = check_passes(model, "canonicalize")
    gemm = graph.nodes[-1]
    assert gemm.op == "Gemm"
    assert dict(gemm.attrs) == {"alpha": 1.0, "beta": 1.0, "transB": 1}
    assert [o.name for o in graph.outputs] == [gemm.outputs[0].name]


def test_text_forms() -> None:
    check_text_form(Canonicalize())
    check_text_form(FoldBatchnorm())
