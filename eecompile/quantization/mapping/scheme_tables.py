"""A front of mappings as JSON and as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eecompile.quantization.mapping.scheme_front import SchemeFront, SchemePoint, worth
from targets.objective import Objective


def front_json(front: SchemeFront, objective: Objective, taken: SchemePoint | None = None) -> dict[str, Any]:
    """Return all that was measured, as it stands in files.

    Args:
        front: What a search found.
        objective: What was minimised.
        taken: The mapping that was chosen from it, if one was.
    """
    return {
        "objective": str(objective),
        "val_images": front.images,
        "float_accuracy": list(front.float_accuracy),
        "choices": {
            layer: [{"scheme": c.scheme, "cost": c.cost, "loss": c.loss} for c in entries]
            for layer, entries in front.choices.items()
        },
        "points": [
            _point(point, objective) | {"front": point in front.front, "taken": point == taken}
            for point in front.points
        ],
    }


def _point(point: SchemePoint, objective: Objective) -> dict[str, Any]:
    return {
        "name": point.name,
        "schemes": dict(point.schemes),
        "value": worth(point.cost, objective),
        "latency_cycles": point.cost.latency_cycles,
        "energy_pj": point.cost.energy_pj,
        "loss_nats": point.loss,
        "accuracy_val": list(point.accuracy),
        "predicted_cost": point.predicted_cost,
        "predicted_loss": point.predicted_loss,
    }


def front_rows(
    front: SchemeFront, usual: Mapping[str, str], test: Mapping[int, float]
) -> list[dict[str, Any]]:
    """Return one row per measured mapping, cheap to dear.

    Args:
        front: What a search found.
        usual: Layer -> its usual scheme.
        test: Position among ``front.points`` -> accuracy of the last exit on test, a share.
    """
    return [
        {
            "mapping": point.name,
            "latency_cycles": point.cost.latency_cycles,
            "energy_pj": point.cost.energy_pj,
            "accuracy_val": point.accuracy[-1],
            "accuracy_test": test.get(number),
            "loss_nats": point.loss,
            "front": point in front.front,
            "changed": " ".join(
                f"{layer}={scheme}" for layer, scheme in point.schemes.items() if scheme != usual[layer]
            ),
        }
        for number, point in enumerate(front.points)
    ]
