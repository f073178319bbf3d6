from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import onnx_graphsurgeon as gs
import pytest

from passes.base import Pass, Pipeline
from passes.errors import PassError
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import Decline, decline, state_of
from tests.passes.small_nets import chain


@dataclass(frozen=True)
class Picky(Pass):
    """Refuses, declines or breaks its promise, as told."""

    name: ClassVar[str] = "picky"
    refuse: bool = False
    break_promise: bool = False

    def requires(self, graph: gs.Graph) -> None:
        if self.refuse:
            raise self.broken(graph, "this is not to its liking", "add another pass")

    def run(self, graph: gs.Graph) -> bool:
        decline(graph, self.name, "node", f"run {len(state_of(graph).history)}")
        decline(graph, self.name, "node", f"run {len(state_of(graph).history)}")
        return False

    def ensures(self, graph: gs.Graph) -> None:
        if self.break_promise:
            raise self.broken(graph, "did not do it", "report this")


@dataclass
class Recorder:
    seen: list[str] = field(default_factory=list)

    def before(self, step: Pass, graph: gs.Graph) -> None:
        self.seen.append(f"before {step.name} {len(graph.nodes)}")

    def after(self, step: Pass, graph: gs.Graph, changed: bool, seconds: float) -> None:
        assert seconds >= 0
        self.seen.append(f"after {step.name} {len(graph.nodes)} {changed}")


def test_a_broken_precondition_names_what_ran() -> None:
    graph = from_model(chain())
    parse_pipeline("canonicalize,split-stages{stage=7}".partition(",")[0])(graph)
    with pytest.raises(PassError) as error:
        Picky(refuse=True)(graph)
    expected = (
        "pass 'picky': this is not to its liking (passes that ran before: canonicalize)\nadd another pass"
    )
    assert str(error.value) == expected
    assert error.value.exit_code == 2
    assert state_of(graph).history == ["canonicalize"]


def test_nothing_ran_before() -> None:
    with pytest.raises(PassError, match="ran before: none"):
        Picky(refuse=True)(from_model(chain()))


def test_a_broken_promise_is_an_error() -> None:
    with pytest.raises(PassError, match="did not do it"):
        Picky(break_promise=True)(from_model(chain()))


def test_declines_are_those_of_the_last_run() -> None:
    graph = from_model(chain())
    decline(graph, "other", "node", "stays")
    Picky()(graph)
    Picky()(graph)
    assert state_of(graph).declined == [Decline("other", "node", "stays"), Decline("picky", "node", "run 1")]
    assert state_of(graph).history == ["picky", "picky"]


def test_observers_see_every_step_and_the_pipeline_says_whether_it_changed() -> None:
    graph = from_model(chain())
    recorder = Recorder()
    assert parse_pipeline("insert-exits{at=1},fuse-layers")(graph, [recorder])
    count = len(graph.nodes)
    assert recorder.seen == [
        "before insert-exits 9",
        f"after insert-exits {count} True",
        f"before fuse-layers {count}",
        f"after fuse-layers {count} True",
    ]
    assert not Pipeline((Picky(), Picky()))(graph)
