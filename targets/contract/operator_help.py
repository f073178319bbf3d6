"""What a user can do about an operator that no core of any target runs."""

from __future__ import annotations

from typing import Final

from passes.operator_sets import RECURRENT

_STEPS = (
    "export it as a loop of cells, a node per step (LSTMCell, GRUCell or RNNCell of torch, unroll=True of "
    "Keras): its products and activations are then layers, each placed and costed"
)
OPERATOR_HELP: Final = {
    **dict.fromkeys(sorted(RECURRENT), _STEPS),
    "ConvTranspose": "use a Resize and a Conv instead",
    "Einsum": "export it without an index that stands twice in one operand: all others are products",
}
