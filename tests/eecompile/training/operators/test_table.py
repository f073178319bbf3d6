"""Every operator has a torch function, or a reason why it has none."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs
import pytest

from passes import operator_sets
from tests.eecompile.training.operators.single import OPSET
from tests.needs import needs_torch

pytestmark = needs_torch

# Operators without a torch function, by why. What `canonicalize` resolves does not reach the trainer; all
# else is an error that names the node, and heads on such a network can still be trained.
WITHOUT = {
    "canonicalize computes them beforehand, for shapes are static": (
        "Constant ConstantOfShape EyeLike Range Shape Size"
    ),
    "steps of a sequence depend on each other; nothing such classifies images": "GRU LSTM RNN Scan Loop",
    "another graph is inside: exits are trained on the flat graph": (
        "If Optional OptionalGetElement OptionalHasElement"
    ),
    "integer arithmetic: loading and canonicalize bring it into Q/DQ form": (
        "QLinearConv QLinearMatMul ConvInteger MatMulInteger DynamicQuantizeLinear"
    ),
    "integers have no gradient": "BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor",
    "what it computes depends on chance": (
        "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike"
    ),
    "places or shapes depend on the values of the image": (
        "Compress GatherElements GatherND NonMaxSuppression NonZero OneHot RoiAlign MaxRoiPool "
        "ScatterElements ScatterND Scatter TensorScatter Unique MaxUnpool ReverseSequence GridSample"
    ),
    "no image classifier needs it": (
        "Acos Acosh AffineGrid Asin Asinh Atan Atanh BlackmanWindow CenterCropPad Col2Im Cosh CumSum DFT "
        "DeformConv Det HammingWindow Hardmax HannWindow ImageDecoder IsInf IsNaN MelWeightMatrix "
        "NegativeLogLikelihoodLoss RegexFullMatch STFT Sinh SoftmaxCrossEntropyLoss StringConcat "
        "StringNormalizer StringSplit Tan TfIdfVectorizer Trilu Xor CastLike Upsample"
    ),
    "sequences of tensors": (
        "ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert "
        "SequenceLength SequenceMap SplitToSequence"
    ),
}


def reasons() -> dict[str, str]:
    """Return operator -> why it has no function."""
    return {op: reason for reason, ops in WITHOUT.items() for op in ops.split()}


def operators_of_onnx() -> set[str]:
    """Return the names of all operators of the operator set that files are written in."""
    return {
        schema.name
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.domain == "" and schema.since_version <= OPSET and not schema.deprecated
    }


def test_every_operator_is_run_or_has_a_reason() -> None:
    from eecompile.training.operators.table import OPERATORS

    assert operators_of_onnx() - OPERATORS.keys() - reasons().keys() == set()
    assert OPERATORS.keys() & reasons().keys() == set()
    assert OPERATORS.keys() <= operators_of_onnx()


def test_every_set_of_the_compiler_is_run_but_what_has_a_reason() -> None:
    from eecompile.training.operators.table import OPERATORS

    named = {op for name, value in vars(operator_sets).items() if name.isupper() for op in value}
    assert named - OPERATORS.keys() == {
        "LSTM", "GRU", "RNN", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger",
    }  # fmt: skip


def test_no_operator_is_made_twice() -> None:
    from eecompile.training.operators import elementwise, integers, linear, moves, norms, pooling, resize
    from eecompile.training.operators.table import OPERATORS

    tables = (elementwise, integers, linear, moves, norms, pooling, resize)
    assert sum(len(table.BUILDERS) for table in tables) == len(OPERATORS)


@pytest.mark.parametrize(("op", "domain"), [("LSTM", ""), ("NoSuchThing", ""), ("Relu", "com.microsoft")])
def test_an_operator_without_a_function_is_named_with_its_node(op: str, domain: str) -> None:
    from eecompile.training.operators.table import step_of
    from passes.errors import InputError

    node = gs.Node(op, "the_node", domain=domain)
    with pytest.raises(InputError, match=rf"node 'the_node' \({op}\) .* its operator has no torch function"):
        step_of(node)
