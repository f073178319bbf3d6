"""Train exit heads on a frozen backbone: distillation from the final exit on stored features.

Heads see stored features and the final exit's logits; the backbone is never touched, so its own accuracy
cannot change. What is trained are the nodes of the head in the graph, whatever layers they are, in training
form. Heads are trained side by side, each on one thread with random numbers of its own: small layers gain
nothing from more threads, and one head never changes another. Exits of which one reads another are trained as
one, without gradients into logits. On the CPU and one thread every operator used here repeats bit for bit, so
no switch of torch is touched.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.training.contract import WATCHED, Course, TrainingImages, TrainingLog, watched
from eecompile.training.device import Device
from eecompile.training.features import TeacherData, extract, taps_of
from eecompile.training.fitting import Fitting, Optimisation, Told, dropout_masks, fit, no_dropout
from eecompile.training.fresh_weights import draw_heads, first_layers
from eecompile.training.losses import distillation
from eecompile.training.observed import moments
from eecompile.training.recipe import ALL, FROZEN, NO, Recipe
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import (
    give_back,
    mask_classifiers,
    normalized,
    part,
    stop_into_logits,
)
from passes.confidence import MAX_SOFTMAX
from passes.exits.chain import ancestors
from passes.macs import node_macs
from passes.progress import Count, counting
from passes.state import Exit, copy_graph, state_of

__all__ = ["Recipe", "train_heads"]
Tensor = torch.Tensor
Array = NDArray[Any]
Float32 = NDArray[np.float32]
_SCALED = 2048
_EVALUATED = 512

_WORKING = threading.Lock()  # trainings take all cores, and one must not see the thread count of another


def train_heads(
    graph: gs.Graph, images: TrainingImages, recipe: Recipe, course: Course, drawn: Collection[str]
) -> TrainingLog:
    """Train the heads of exits, in place; the same arguments give the same weights, bit for bit.

    Args:
        graph: The float network with all exits; constants of the heads get the trained values.
        images: What they are trained on.
        recipe: How.
        course: Seed, checkpoints, progress.
        drawn: Names of the exits whose heads are drawn anew and trained.

    Returns:
        What is told of it.

    Raises:
        InputError: A node of a head without a torch function, before anything is trained; or it diverged.
    """
    log = TrainingLog(FROZEN, list(drawn), recipe, course.seed, watched(images.val))
    groups = _groups(graph, drawn)
    forms = [_form(graph, group) for group in groups]
    for form in forms:
        TorchGraph(form.graph)  # or the node is named that cannot be trained
    macs = sum(node_macs(node) for node in graph.nodes)
    watch = evenly(images.val.x, WATCHED)
    data = extract(graph, images.train, images.preprocess, macs, course.seed, course.progress, watch)
    checkpoints = course.checkpoints_of(graph, images, recipe, drawn, FROZEN)
    if not checkpoints.resume:
        checkpoints.clear()
    stop = threading.Event()
    labels = evenly(images.val.y, WATCHED)
    jobs = [
        HeadTraining(form, data, labels, recipe, replace(course, checkpoints=checkpoints), stop)
        for form in forms
    ]
    answers: dict[str, Float32] = {}
    with counting(f"{len(drawn)} head{'s' * (len(drawn) != 1)}", sum(job.steps for job in jobs)) as count:
        for job in jobs:
            job.count = count
        for wave in _waves(jobs, recipe):
            _side_by_side(wave, stop)
            if recipe.survivors:
                now = {name: logits for job in wave for name, logits in job.answers().items()}
                answers |= now
                sure = sureness(state_of(graph).exits[:-1], answers, now)
                _weigh(jobs, wave[0].form.depth, sure, recipe)
    for job in jobs:
        give_back(job.form.graph, graph)
    log.epochs = _merged([job.log for job in jobs], data, labels, state_of(graph).exits[-1].name)
    log.details = {"copies": len(data.logits), "mirrored": data.flips}
    return log


@dataclass(frozen=True)
class HeadForm:
    """Exits that are trained as one.

    Attributes:
        exits: They, shallow to deep.
        graph: Their nodes in training form, from what is stored to their logits.
        taps: The tensors that are stored, as the inputs of ``graph`` are.
        depth: How many mounts lie before the first of theirs.
    """

    exits: tuple[Exit, ...]
    graph: gs.Graph
    taps: tuple[str, ...]
    depth: int


def _groups(graph: gs.Graph, drawn: Collection[str]) -> list[tuple[Exit, ...]]:
    """Return the exits in groups that have no node of a head in common."""
    exits = state_of(graph).exits
    outputs = {t.name: t for t in graph.outputs}
    backbone = ancestors([outputs[exits[-1].output]])
    groups: list[tuple[list[Exit], set[str]]] = []
    for item in (e for e in exits[:-1] if e.name in drawn):
        nodes = ancestors([outputs[item.output]]) - backbone
        connected = [group for group in groups if group[1] & nodes]
        members = [e for group in connected for e in group[0]]
        merged = [*members, item], nodes.union(*(group[1] for group in connected))
        groups = [group for group in groups if group not in connected] + [merged]
    return [tuple(members) for members, _ in groups]


def _form(graph: gs.Graph, exits: Sequence[Exit]) -> HeadForm:
    outputs = {t.name: t for t in graph.outputs}
    needed = ancestors([outputs[e.output] for e in exits])
    tensors = graph.tensors()
    taps = [name for name in taps_of(graph) if any(reader.name in needed for reader in tensors[name].outputs)]
    made = part(graph, taps, [e.output for e in exits])
    mounts = list(dict.fromkeys(e.mount for e in state_of(graph).exits))
    return HeadForm(tuple(exits), normalized(made, ALL, 0.9), tuple(taps), mounts.index(exits[0].mount))


def _waves(jobs: Sequence[HeadTraining], recipe: Recipe) -> list[list[HeadTraining]]:
    """Return what is trained side by side: all, or mount by mount where the next depends on those before."""
    if not recipe.survivors:
        return [list(jobs)]
    depths = sorted({job.form.depth for job in jobs})
    return [[job for job in jobs if job.form.depth == depth] for depth in depths]


def _side_by_side(jobs: Sequence[HeadTraining], stop: threading.Event) -> None:
    workers = min(len(jobs), os.cpu_count() or 1)
    with _threads_kept(), ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            list(pool.map(HeadTraining.run, jobs))
        except BaseException:  # an interrupt, or one head failed: the pool would wait for the others
            stop.set()
            raise


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Give the number of threads back that torch takes in threads to come: each worker sets it to one."""
    with _WORKING:
        threads = torch.get_num_threads()
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def sureness(exits: Sequence[Exit], answers: Mapping[str, Float32], now: Collection[str]) -> Float32:
    """Return how sure the exits ``now`` are of the training images: the mean of their confidences, [N].

    A rule reads the exits before, as it will in a network: those on mounts before, never a rival on its own.
    Where images still have to say a parameter of a rule, the largest probability stands for it.

    Args:
        exits: The early exits of the network, shallow to deep.
        answers: Exit -> its logits [N, classes], of those that are trained already.
        now: Names of some of these.
    """
    found = []
    for number, item in enumerate(exits):
        if item.name in now:
            rule = MAX_SOFTMAX if item.confidence.unfitted else item.confidence
            before = [e for e in exits[:number] if e.mount != item.mount and e.name in answers]
            found.append(rule.evaluate(answers[item.name], [answers[e.name] for e in before]))
    mean: Float32 = np.mean(found, axis=0)
    return mean


def _weigh(jobs: Sequence[HeadTraining], depth: int, sure: Float32, recipe: Recipe) -> None:
    """Let images count less for exits behind ``depth`` the surer those at it are of them.

    How sure is counted in ranks, so that no threshold has to be known: of an image that a share s of the
    others is less sure of, 1 - survivors * s is left.
    """
    ranks = np.searchsorted(np.sort(sure), sure) / max(len(sure) - 1, 1)
    left = 1 - recipe.survivors * ranks
    for job in jobs:
        if job.form.depth > depth:
            job.weights = (job.weights * left).astype(np.float32)


class HeadTraining:
    """Trains one group of exits on one thread.

    Attributes:
        form: What is trained; it has the trained values after :meth:`run`.
        weights: What each training image counts, [N].
        log: Loss, rate and accuracies of each epoch.
        count: What its steps are added to; they are counted alone if absent.
    """

    def __init__(
        self,
        form: HeadForm,
        data: TeacherData,
        labels: NDArray[np.int64],
        recipe: Recipe,
        course: Course,
        stop: threading.Event,
    ) -> None:
        self.form, self.log = form, list[dict[str, Any]]()
        self._data, self._labels, self._recipe, self._course, self._stop = data, labels, recipe, course, stop
        self.weights = np.ones(len(data.labels), np.float32)
        self._name = "+".join(e.name for e in form.exits)
        self.count: Count | None = None
        self._batch = min(recipe.batch, len(data.labels))
        self._features = [data.features[tap] for tap in form.taps]
        self._device = Device.choose(NO)
        nodes = {node.name for node in form.graph.nodes}
        first = first_layers(form.graph, nodes)
        some = [found.real(evenly(found.copies[0], _SCALED)) for found in self._features]
        seen = moments(
            form.graph,
            list(first.values()),
            lambda piece: [x[piece] for x in some],
            len(some[0]),
            self._device,
        )
        gains = {node: 1 / (seen[read].deviation or 1.0) for node, read in first.items()}
        self._scales = draw_heads(form.graph, nodes, gains, course.seed)
        flow = copy_graph(form.graph)
        stop_into_logits(flow)
        self._masks = mask_classifiers(flow) if recipe.dropout else ()
        self._module = self._device.ready(TorchGraph(flow))
        self._hidden = any(node.op == "BatchNormalization" for node in form.graph.nodes)

    @property
    def steps(self) -> int:
        """Steps of all epochs."""
        return self._epochs * (len(self._data.labels) // self._batch)

    @property
    def _epochs(self) -> int:
        return self._recipe.epochs_on(len(self._data.labels), self._hidden)

    def run(self) -> None:
        """Train; nothing is of use once ``stop`` is set."""
        recipe, device = self._recipe, self._device.name
        torch.set_num_threads(1)  # of this thread, and of those to come: see _threads_kept
        self._teacher = [torch.from_numpy(z).to(device) for z in self._data.logits]
        self._copies = [[torch.from_numpy(c).to(device) for c in found.copies] for found in self._features]
        names = [self._course.called.get(e.name, f"head {e.name}") for e in self.form.exits]
        how = Optimisation(
            rate=recipe.rate if self._hidden else recipe.linear_rate,
            decay=recipe.decay,
            warm_up=recipe.warm_up,
            average=recipe.average,
            scales=self._scales,
        )
        fitting = Fitting(self._module, self._module.learnt, how)
        self.log = fit(
            fitting,
            self._losses,
            self.steps // self._epochs,
            [self._epochs],
            self._accuracies,
            self._course.checkpoints,
            Told(self._course.progress, " + ".join(names), self._course.called, self.count),
            self._name,
            self._stop.is_set,
        )
        fitting.keep_average()
        self._module.write_back(self.form.graph)

    def _losses(self, epoch: int) -> Iterator[Tensor]:
        recipe, device, seed = self._recipe, self._device.name, self._course.seed
        rng = np.random.default_rng([seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        order = torch.from_numpy(rng.permutation(len(self._data.labels))).to(device)
        labels = torch.from_numpy(self._data.labels).to(device)
        weights = torch.from_numpy(self.weights / self.weights.mean()).to(device)
        number = epoch % len(self._teacher)
        for step in range(len(order) // self._batch):
            picked = order[step * self._batch : (step + 1) * self._batch]
            given = [self._real(k, copies[number][picked]) for k, copies in enumerate(self._copies)]
            masks = dropout_masks(self._masks, self._batch, recipe.dropout, generator, device)
            answers = self._module(*given, *masks)
            teacher = self._teacher[number][picked]
            yield sum(  # type: ignore[misc]
                (_loss(answer, teacher, labels[picked], recipe) * weights[picked]).mean()
                for answer in answers
            )

    def _real(self, number: int, stored: Tensor) -> Tensor:
        found = self._features[number]
        real = stored.float().mul_(found.scale).add_(found.offset)
        return real.contiguous(memory_format=torch.channels_last) if real.ndim == 4 else real

    def _run_over(self, stored: Sequence[NDArray[np.uint8]]) -> list[Array]:
        """Return the logits of each exit for stored features; the module is in evaluation mode."""
        parts: list[list[Array]] = [[] for _ in self.form.exits]
        device = self._device.name
        with torch.no_grad():
            for start in range(0, len(stored[0]), _EVALUATED):
                pieces = [torch.from_numpy(x[start : start + _EVALUATED]).to(device) for x in stored]
                given = [self._real(k, piece) for k, piece in enumerate(pieces)]
                masks = no_dropout(self._masks, len(given[0]), device)
                for found, answer in zip(parts, self._module(*given, *masks), strict=True):
                    found.append(answer.cpu().numpy())
        return [np.concatenate(found) for found in parts]

    def _accuracies(self) -> dict[str, float]:
        stored = [found.watched for found in self._features if found.watched is not None]
        answers = self._run_over(stored)
        return {
            e.name: float((z.argmax(axis=1) == self._labels).mean())
            for e, z in zip(self.form.exits, answers, strict=True)
        }

    def answers(self) -> dict[str, Float32]:
        """Return what the exits answer to the training images, as they are: name -> logits [N, classes]."""
        self._module.eval()
        found = self._run_over([stored.copies[0] for stored in self._features])
        return {item.name: logits for item, logits in zip(self.form.exits, found, strict=True)}


def _loss(answer: Tensor, teacher: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Return per image: divergence from the answers of the network, and a little from the labels, [N]."""
    told = distillation(answer, teacher, recipe.temperature)
    hard = torch.nn.functional.cross_entropy(answer, labels, reduction="none")
    return (1 - recipe.label_share) * told + recipe.label_share * hard


def _merged(
    logs: Sequence[Sequence[Mapping[str, Any]]], data: TeacherData, labels: NDArray[np.int64], final: str
) -> list[dict[str, Any]]:
    """Return one list of epochs: of heads that were trained in fewer, the last stays."""
    last = {final: float((data.watched.argmax(axis=1) == labels).mean())} if data.watched is not None else {}
    epochs = []
    for number in range(max(map(len, logs), default=0)):
        now = [log[min(number, len(log) - 1)] for log in logs]
        accuracy = {name: value for entry in now for name, value in entry["accuracy"].items()}
        loss, rate = float(np.mean([entry["loss"] for entry in now])), max(entry["rate"] for entry in now)
        epochs.append(
            {
                "epoch": number + 1,
                "loss": loss,
                "rate": rate,
                "accuracy": dict(sorted(accuracy.items())) | last,
            }
        )
    return epochs
