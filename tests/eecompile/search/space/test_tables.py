"""What tables say, and what they say by default."""

from __future__ import annotations

from pathlib import Path

from eecompile.pruning.goal import PruningGoal
from eecompile.search.space.bits import BitsByPart
from passes.confidence import MARGIN, MAX_SOFTMAX
from passes.heads.designs import RIVALS, parse_head
from tests.eecompile.search.space.files import space_of


def test_defaults(tmp_path: Path) -> None:
    space = space_of(tmp_path, "")
    assert space.exits.mounts == () and space.exits.heads == RIVALS and space.exits.at_most is None
    assert space.exits.confidence == (MAX_SOFTMAX,) and space.exits.final_heads == (None,)
    assert space.exits.thresholds == "individual" and space.objectives.front == ("accuracy", "edp")
    assert space.precision.backbone == space.precision.heads == (None,) and space.pruning.goal == (None,)
    assert space.precision.placement == ("auto",) and space.mapping.points == ()
    assert set(space.constraints.model_dump().values()) == {None}
    assert (space.training.quantize, space.training.keep, space.sampler.name) == ("qat", 0.5, "nsga2")


def test_all_that_is_written_is_read(tmp_path: Path) -> None:
    space = space_of(tmp_path, """
        [exits]
        mounts = ["stage_1.block_0", 0]
        heads = ["linear", {family = "conv", kernel = [3, 5], modules = 2, pool = true}]
        final_heads = ["own", "mlp"]
        at_most = 2
        confidence = ["margin", "max_softmax{temperature=1.5}"]
        thresholds = "global"
        [precision]
        backbone = ["usual", 4, { stem = 8, "stage_1.block_0" = 2 }]
        heads = 2
        placement = ["auto", "analog"]
        [pruning]
        goal = ["none", "energy=-20%"]
        [mapping]
        points = "fast"
        objective = "latency"
        [objectives]
        front = ["accuracy", "energy", "worst_latency"]
        [constraints]
        min_accuracy = 0.8
        max_drop = 1
        max_edp_j_cycles = 9.5
        max_latency_cycles = 1000
        max_energy_pj = 1e6
        max_macs = 2500000
        max_memory_bytes = 65536
        max_worst_latency_cycles = 2000
        max_final_ratio = 0.5
        max_cost_ratio = 0.25
        [training]
        epochs = 9
        rungs = [3, 6]
        keep = 0.25
        inherit = true
        final_epochs = 0
        quantize = "qat"
        qat_epochs = 2
        [sampler]
        name = "tpe"
        startup = 5
    """)  # fmt: skip
    exits = space.exits
    assert exits.mounts == ("stage_1.block_0", 0) and exits.at_most == 2 and exits.thresholds == "global"
    assert exits.heads == tuple(
        parse_head(text)
        for text in ("linear", "conv{modules=2,pool=true}", "conv{kernel=5,modules=2,pool=true}")
    )
    assert exits.final_heads == (None, parse_head("mlp"))
    assert exits.confidence[0] == MARGIN and exits.confidence[1].parameters == {"temperature": 1.5}
    assert space.precision.backbone[:2] == (None, 4)
    assert space.precision.backbone[2] == BitsByPart((("stage_1.block_0", 2), ("stem", 8)))
    assert space.precision.heads == (2,)
    assert space.precision.placement == ("auto", "analog")
    assert space.pruning.goal == (None, PruningGoal("energy", 0.2))
    assert space.mapping.points == ("fast",) and space.mapping.objective == "latency"
    assert space.objectives.front == ("accuracy", "energy", "worst_latency")
    assert list(space.constraints.model_dump(exclude_none=True).values()) == [
        0.8, 1.0, 9.5, 1000.0, 1e6, 2.5e6, 65536.0, 2000.0, 0.5, 0.25,
    ]  # fmt: skip
    training = space.training
    assert (training.epochs, training.rungs, training.keep, training.inherit) == (9, (3, 6), 0.25, True)
    assert (training.final_epochs, training.quantize, training.qat_epochs) == (0, "qat", 2)
    assert (space.sampler.name, space.sampler.startup) == ("tpe", 5)
