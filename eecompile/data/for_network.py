"""Images for a network: loaded, checked against it, and the preprocessing it wants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.data.dataset import Dataset, halves
from eecompile.data.fit import fit_to_model
from eecompile.data.in_memory import ImageSource
from eecompile.data.preprocess import standardizing
from eecompile.data.preprocess_choice import AUTO, PreprocessChoice, choose_preprocess
from eecompile.data.sources import load_data
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import CANNOT_RUN, OUT_OF_MEMORY, Array, Evaluator, Float32, said
from passes.errors import InputError
from passes.exits.recognise import classifier_exits
from passes.model.writing import to_model


@contextmanager
def users_network(where: str) -> Iterator[None]:
    """Blame the network ``where`` for what onnxruntime refuses inside: only for models as users gave them.

    Raises:
        InputError: onnxruntime cannot load or run it.
    """
    try:
        yield
    except CANNOT_RUN as error:
        hint = "export it again with standard operators"
        if OUT_OF_MEMORY in str(error):
            hint = "it needs more memory than this machine has free"
        raise InputError(f"onnxruntime cannot run {where}: {said(error)}", hint) from error


def open_data(
    graph: gs.Graph,
    spec: ImageSource,
    rule: str | Preprocess,
    seed: int,
    where: str,
    held: bool = False,
    fresh: bool = False,
) -> tuple[Dataset, PreprocessChoice]:
    """Load images and choose how they become the network's input, on validation images.

    Args:
        graph: A classifier with weights; its last output is the final one.
        spec: What `eecompile.data.sources.load_data` takes.
        rule: ``auto``, a preprocessing rule, or the preprocessing that is known to be right.
        seed: Of a validation split that has to be carved.
        where: Name of the network in messages.
        held: Only the first of two halves of val chooses; the other has to stay unseen by all choices.
        fresh: It has learnt nothing yet: by ``auto`` images get mean 0 and deviation 1, and answers near
            chance are no reason to warn.

    Returns:
        The images, with a note if the network has its batch built in, and the preprocessing.

    Raises:
        InputError: Data that cannot be read or does not fit, a network onnxruntime cannot run, or that is no
            classifier.
    """
    classifier_exits(graph)
    entry = graph.inputs[0]
    if np.dtype(entry.dtype) != np.float32:
        hint = "give the float network with a float32 input: it is quantized by the rules of the target"
        if any(reader.op == "Gather" and reader.inputs[1] is entry for reader in entry.outputs):
            hint = (
                "it takes numbers of words, and data here are images or feature vectors; without `data` its "
                "costs, with exits too, can be reported"
            )
        raise InputError(
            f"input '{entry.name}' of {where} is {np.dtype(entry.dtype)}, and images are fed as float32", hint
        )
    shape = tuple(int(d) for d in entry.shape)
    final = graph.outputs[-1]
    dataset = fit_to_model(load_data(spec, seed), shape, int(final.shape[-1]))
    with users_network(where):
        evaluator = Evaluator.of(lambda batch: to_model(graph, batch))
    if evaluator.note:
        dataset = dataset.with_note(evaluator.note)

    def predict(images: Float32) -> Array:
        return evaluator.run(lambda piece: images[piece], len(images), [final.name])[0]

    val = dataset.val
    chooses = halves(len(val), seed)[0] if held else slice(None)
    if fresh and rule == AUTO:
        rule = standardizing(dataset.train.x)
    found = choose_preprocess(rule, predict, val.x[chooses], val.y[chooses], shape)
    return dataset, replace(found, warning=None) if fresh else found
