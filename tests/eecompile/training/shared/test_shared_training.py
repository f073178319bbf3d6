"""One training for all networks of a family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.cache.content import network_hash
from eecompile.exits.answers import answers
from eecompile.training.checkpoint import NOWHERE, Checkpoints
from eecompile.training.contract import Course
from eecompile.training.recipe import FRESH
from eecompile.training.shared import shared_training
from eecompile.training.shared.cut_out import cut_out
from eecompile.training.shared.shared_training import SharedTraining, Siblings
from eecompile.training.shared.slices import slices_of
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import normalized
from tests.eecompile.training.shared.family import LARGEST, SMALLEST, Genes, draw, images, network

RECIPE = replace(FRESH, epochs=2, batch=64)


def training(
    folder: Path,
    smallest: Genes = SMALLEST,
    epochs: int = 2,
    course: Course | None = None,
    dropout: float = 0.0,
) -> SharedTraining:
    recipe = replace(RECIPE, epochs=epochs, dropout=dropout)
    return SharedTraining(
        network(LARGEST),
        images(folder),
        recipe,
        course or Course(0, lambda _: None, NOWHERE),
        Siblings(smallest, draw, network),
    )


def test_slices_learn_without_a_training_of_their_own(tmp_path: Path) -> None:
    shared, given = training(tmp_path, epochs=8), images(tmp_path)
    log = shared.run()
    assert log[-1]["loss"] < 0.7 * log[0]["loss"]
    for genes in (SMALLEST, (3, 2, 3), LARGEST):
        graph = network(genes)
        cut_out(graph, shared.form, given.train, given.preprocess, RECIPE)
        right = [float(found.mean()) for found in answers(graph, given.val, given.preprocess).correct]
        assert max(right) > 0.6, f"{genes} {right}: chance is 0.33"


def test_every_step_is_one_of_the_largest_the_smallest_and_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Genes] = []
    shared, part = training(tmp_path, epochs=1), SharedTraining._part

    def noted(self: SharedTraining, genes: Genes) -> object:
        asked.append(genes)
        return part(self, genes)

    monkeypatch.setattr(SharedTraining, "_part", noted)
    shared.run()
    steps = [asked[number : number + 3] for number in range(0, len(asked), 3)]
    assert len(steps) == 4 and all(step[0] == SMALLEST for step in steps)
    assert len({genes for step in steps for genes in step[1:]}) > 2


def test_what_a_slice_answers_is_what_it_answers_by_itself(tmp_path: Path) -> None:
    shared = training(tmp_path)
    part = shared._part((3, 1, 3))
    form = normalized(network((3, 1, 3)), "all", RECIPE.norm_momentum)
    values = shared.module.named_values()
    for name, place in slices_of(form, shared.form).items():
        form.tensors()[name].values = place.of(values).detach().numpy().copy()
    x = torch.from_numpy(images(tmp_path).train.x[:32]) / 60
    for found, expected in zip(part(values, x), TorchGraph(form).train()(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_others_learn_what_the_largest_answers(tmp_path: Path) -> None:
    losses = training(tmp_path)._part(SMALLEST).losses
    answer, labels = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([1])
    wrong, right = losses([answer] * 2, labels, [answer]), losses([answer] * 2, labels, [answer.flip(1)])
    assert wrong < 1e-6 < right, "labels say nothing beside the largest network"


def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = training(tmp_path, dropout=0.2)
    whole.run()

    class StoppedError(Exception):
        pass

    def stop(text: str) -> None:
        if "epoch 1 of" in text:
            raise StoppedError

    kept = Checkpoints(tmp_path / "kept", {}, resume=True)
    with pytest.raises(StoppedError):
        training(tmp_path, dropout=0.2, course=Course(0, stop, kept)).run()
    told: list[str] = []
    again = training(tmp_path, dropout=0.2, course=Course(0, told.append, kept))
    again.run()
    assert told[0] == "shared network: goes on after epoch 1 of 2"
    assert network_hash(again.form) == network_hash(whole.form)


def test_seed_and_siblings_say_what_comes_out(tmp_path: Path) -> None:
    def trained(smallest: Genes = SMALLEST, seed: int = 0) -> str:
        shared = training(tmp_path, smallest, 1, Course(seed, lambda _: None, NOWHERE))
        shared.run()
        return network_hash(shared.form)

    found = trained()
    assert found == trained() and len({found, trained(seed=1), trained((2, 1, 5))}) == 3


def test_networks_that_ran_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_training, "_KEPT", 2)
    shared = training(tmp_path)
    first = shared._part((2, 1, 3))
    shared._part((3, 1, 3))
    assert shared._part((2, 1, 3)) is first
    shared._part((4, 1, 3))
    assert list(shared._parts) == [(2, 1, 3), (4, 1, 3)]


def test_draws_are_of_the_whole_family() -> None:
    rng = np.random.default_rng(0)
    assert len({draw(rng) for _ in range(200)}) == 12
