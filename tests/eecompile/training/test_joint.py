"""Backbone and exits, trained as one: what each option does, and that nothing is lost on the way."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.data.dataset import Split
from eecompile.training.device import computes_bfloat16
from eecompile.training.joint import JointTraining, train_jointly
from eecompile.training.recipe import JointRecipe
from passes.errors import InputError
from passes.exits.chain import keep_exits
from passes.model.graph import from_model
from passes.state import copy_graph, state_of
from tests.eecompile.training.small import accuracy, constants, course, early, images, network, same
from tests.passes.net_builder import NetBuilder

SHORT = JointRecipe(
    epochs=2,
    batch=24,
    rate=1e-2,
    decay=0.05,
    backbone_rate=1.0,
    balance="equilibrium",
    final_share=0.1,
    bfloat16="no",
)
LONG = replace(SHORT, epochs=12, average=0.9, teacher_share=0.0, final_teacher_share=0.0)


def trained(recipe: JointRecipe, head: str = "linear", **how: Any) -> Any:
    graph = network(head)
    train_jointly(graph, images(), recipe, course(), early(graph), **how)
    return graph


@pytest.mark.parametrize("scratch", [False, True])
def test_all_exits_learn_and_the_file_answers_as_what_was_trained(scratch: bool) -> None:
    graph = network("conv", rivals=True)
    before = accuracy(graph)
    log = train_jointly(graph, images(), LONG, course(), early(graph), scratch=scratch)
    after = accuracy(graph)
    assert before.max() < 0.5 and after[:-1].min() > 0.9
    assert after[-1] > (0.9 if scratch else before[-1] + 0.2), "what is only tuned moves less"
    assert [entry["epoch"] for entry in log.epochs] == list(range(1, LONG.epochs_on(len(images().train)) + 1))
    assert list(log.epochs[-1]["accuracy"]) == [e.name for e in state_of(graph).exits]
    assert log.epochs[-1]["loss"] < log.epochs[0]["loss"]
    assert log.to_json()["trainer"] == ("scratch" if scratch else "joint")


def test_names_of_nodes_and_constants_are_those_of_before() -> None:
    graph = network("conv")
    nodes, values = [(n.op, n.name) for n in graph.nodes], constants(graph)
    train_jointly(graph, images(), SHORT, course(), early(graph))
    assert [(n.op, n.name) for n in graph.nodes] == nodes
    after = constants(graph)
    assert after.keys() == values.keys()
    assert all(after[name].shape == values[name].shape for name in values)
    assert not any(np.array_equal(after[name], values[name]) for name in values), "all of them were trained"


# What else an option is seen with, where the short recipe does not use it.
CHANGED: dict[str, dict[str, Any]] = {
    "epochs": {"epochs": 3},
    "samples": {"samples": 7 * 120},
    "least_epochs": {"least_epochs": 3},
    "batch": {"batch": 32},
    "optimizer": {"optimizer": "sgd"},
    "rate": {"rate": 2e-2},
    "decay": {"decay": 0.5},
    "momentum": {"momentum": 0.5},
    "warm_up": {"warm_up": 0.5},
    "relative": {"relative": False},
    "backbone_rate": {"backbone_rate": 0.1},
    "backbone_first": {"backbone_first": 0.5},
    "balance": {"balance": "none"},
    "exit_weights": {"exit_weights": "rising"},
    "early_weight": {"early_weight": 0.5},
    "teacher_share": {"teacher_share": 0.1},
    "final_teacher_share": {"final_teacher_share": 0.1},
    "teacher_temperature": {"teacher_temperature": 1.0},
    "final_share": {"final_share": 0.6},
    "final_temperature": {"final_temperature": 3.0},
    "smoothing": {"smoothing": 0.2},
    "dropout": {"dropout": 0.3},
    "batch_norm": {"batch_norm": "heads"},
    "fitted": {"fitted": False},
    "norm_momentum": {"norm_momentum": 0.5},
    "average": {"average": 0.0},
    "statistics": {"statistics": "estimated"},
    "shift": {"shift": 0.0},
    "border": {"border": "mean"},
    "mirror": {"mirror": "no"},
    "cutout": {"cutout": 0.5},
    "bfloat16": {"bfloat16": "auto"},
}
WITH: dict[str, dict[str, Any]] = {
    "momentum": {"optimizer": "sgd"},
    "samples": {"epochs": None},
    "least_epochs": {"epochs": None, "samples": 1},
}


@pytest.fixture(scope="module")
def plain() -> Any:
    return trained(SHORT)


def test_every_option_is_seen() -> None:
    assert set(CHANGED) == {field.name for field in fields(JointRecipe)}


@pytest.mark.parametrize("option", CHANGED)
def test_an_option_changes_what_is_trained(option: str, plain: Any) -> None:
    if option == "bfloat16" and not computes_bfloat16(Path("/proc/cpuinfo")):
        pytest.skip("this processor does not compute bfloat16 natively")
    base = replace(SHORT, **WITH.get(option, {}))
    reference = plain if base == SHORT else trained(base)
    assert not same(trained(replace(base, **CHANGED[option])), reference)


def test_the_same_seed_gives_the_same_network_and_another_another(plain: Any) -> None:
    assert same(trained(SHORT), plain)
    graph = network()
    train_jointly(graph, images(), SHORT, course(seed=1), early(graph))
    assert not same(graph, plain)


def test_the_backbone_is_first_trained_alone() -> None:
    graph = network()
    training = JointTraining(
        graph, images(), replace(SHORT, epochs=4, backbone_first=0.5, average=0.0), course(), early(graph),
        scratch=False,
    )  # fmt: skip
    heads = [n for n in training.module.learnt if n.startswith("exit_")]
    before = {name: value.detach().clone() for name, value in training.module.named_values().items()}
    for loss in training._losses(0):
        training._fitting.step(loss, 1.0)
    after = training.module.named_values()
    assert all((after[name] == before[name]).all() for name in heads)
    others = [n for n in training.module.learnt if n not in heads]
    assert all((after[name] != before[name]).any() for name in others)
    for loss in training._losses(2):
        training._fitting.step(loss, 1.0)
    assert all((after[name] != before[name]).any() for name in heads)


def test_a_network_that_was_trained_computes_the_same_before_the_first_step() -> None:
    graph = network("conv")
    for fitted in (True, False):
        training = JointTraining(
            graph, images(), replace(SHORT, fitted=fitted), course(), early(graph), scratch=False
        )
        final = [name for name in training.accuracies() if name == "final"]
        form = keep_exits(training.form, [])
        np.testing.assert_allclose(accuracy(form), accuracy(keep_exits(graph, [])), atol=0.01)
        norms = [n for n in form.nodes if n.op == "BatchNormalization"]
        assert final and len(norms) == 3
        moved = [bool(np.any(n.inputs[3].values)) for n in norms]
        assert moved == [fitted] * 3, "statistics are those of the images, or as they are drawn"


def test_exits_that_are_not_drawn_start_from_what_they_have() -> None:
    graph = network()
    values = constants(graph)
    training = JointTraining(graph, images(), SHORT, course(), ["exit_1"], scratch=False)
    held = constants(training.form)
    assert np.array_equal(held["exit_0/gemm.weight"], values["exit_0/gemm.weight"])
    assert not np.array_equal(held["exit_1/gemm.weight"], values["exit_1/gemm.weight"])


def test_a_network_without_early_exits_is_trained_alone() -> None:
    graph = keep_exits(network(), [])
    train_jointly(graph, images(), LONG, course(), [], scratch=True)
    assert accuracy(graph).tolist()[-1] > 0.9


class StoppedError(Exception):
    """The process is killed here."""


def interrupted(folder: Path, recipe: JointRecipe, after: int) -> None:
    """Train until ``after`` epochs are told, and no further."""
    graph = network()

    def progress(line: str) -> None:
        if f"epoch {after} of" in line:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_jointly(graph, images(), recipe, course(folder, progress=progress), early(graph))


@pytest.mark.parametrize(
    "changed", [{}, {"optimizer": "sgd", "dropout": 0.2, "backbone_first": 0.4, "statistics": "estimated"}]
)
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path, changed: dict[str, Any]) -> None:
    recipe = replace(SHORT, epochs=3, **changed)
    whole = trained(recipe)
    interrupted(tmp_path / "kept", recipe, after=2)
    told: list[str] = []
    graph = network()
    log = train_jointly(
        graph, images(), recipe, course(tmp_path / "kept", resume=True, progress=told.append), early(graph)
    )
    assert same(graph, whole)
    assert "goes on after epoch 2 of 3" in told[0] and len(told) == 2
    assert len(log.epochs) == 3


def test_a_checkpoint_of_another_training_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    interrupted(folder, SHORT, after=1)
    data = images()
    other = replace(data, train=Split(data.train.x + 1, data.train.y))
    changed = network()
    changed.nodes[0].inputs[1].values = changed.nodes[0].inputs[1].values * 2
    cases: list[tuple[str, Any, Any, JointRecipe, int]] = [
        ("network", changed, data, SHORT, 0),
        ("recipe", network(), data, replace(SHORT, epochs=5), 0),
        ("seed", network(), data, SHORT, 3),
        ("data", network(), other, SHORT, 0),
    ]
    for what, graph, given, recipe, seed in cases:
        before = constants(graph)
        with pytest.raises(InputError, match=f"is of another {what}"):
            train_jointly(graph, given, recipe, course(folder, resume=True, seed=seed), early(graph))
        assert all(np.array_equal(before[name], value) for name, value in constants(graph).items())
    (folder / "epoch.pt").write_bytes(b"no checkpoint")
    graph = network()
    with pytest.raises(InputError, match="cannot be read"):
        train_jointly(graph, images(), SHORT, course(folder, resume=True), early(graph))


KILLED = """
import sys
from pathlib import Path
from dataclasses import replace
from eecompile.training.joint import train_jointly
from tests.eecompile.training.small import course, early, images, network
from tests.eecompile.training.test_joint import SHORT
graph = network()
recipe = replace(SHORT, epochs=1000)
train_jointly(graph, images(), recipe, course(Path(sys.argv[1]), progress=print), early(graph))
"""


@pytest.mark.slow
def test_a_killed_process_loses_at_most_the_epoch_in_flight(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(3)]
    process.kill()
    process.wait()
    assert "epoch 3 of 1000" in told[-1]
    stopped: list[str] = []

    def progress(line: str) -> None:
        stopped.append(line)
        if len(stopped) == 2:
            raise StoppedError

    graph = network()
    recipe = replace(SHORT, epochs=1000)
    with pytest.raises(StoppedError):
        train_jointly(graph, images(), recipe, course(folder, resume=True, progress=progress), early(graph))
    done = int(stopped[0].split("after epoch ")[1].split(" ")[0])
    assert done >= 3 and f"epoch {done + 1} of" in stopped[1]


def test_numbers_that_are_none_any_more_are_an_error_and_the_epoch_before_stays(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    interrupted(folder, SHORT, after=1)
    kept = (folder / "epoch.pt").read_bytes()
    graph, data = network(), images()
    before = constants(graph)
    data.train.x[:] = np.nan  # of the same training, but for the check of its data
    training = JointTraining(graph, data, SHORT, course(folder, resume=True), early(graph), scratch=False)
    training._checkpoints = replace(training._checkpoints, identity={})
    with pytest.raises(InputError, match="training diverged: the loss of epoch 2"):
        training.run()
    assert (folder / "epoch.pt").read_bytes() == kept
    assert all(np.array_equal(before[name], value) for name, value in constants(graph).items())


def test_a_node_without_a_torch_function_is_named_before_anything_is_trained() -> None:
    net = NetBuilder((1, 2, 16, 16))
    x = net.op("Relu", net.conv("x", 2, 4))
    found = net.op("Flatten", net.op("Det", x))
    graph = from_model(net.model(net.op("Gemm", found, net.normal(3, 4), transB=1)))
    told: list[str] = []
    with pytest.raises(InputError, match=r"node 'n2_Det' \(Det\) cannot be trained through"):
        train_jointly(copy_graph(graph), images(), SHORT, course(progress=told.append), [])
    assert told == []
