from __future__ import annotations

from targets.conformance import TargetConformance, sample_layer
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.placement import Placement

QUAD = EdgeTpuQuadTarget()


class TestQuad(TargetConformance):
    target = QUAD
