"""What a compiled network takes in onnxruntime on this machine, beside its stages and the static network.

    python -m tools.bench.bench_runtime [RUN --data DATA] [--images 400] [--repeat 5] [--batch 64]

RUN is a run directory and DATA what it was made with; without them the embedded digits are compiled first.
One thread; everything takes turns in one process on the same test images, so that a busy moment of the
machine is nobody's alone. Of each image and each batch the least time of ``--repeat`` counts. Printed:

* image by image: the nested model, and `EarlyExitSession.run` around it, beside the sum of share times
  measured time of the stages (each run by itself on what it reads), and beside the static network, whose
  images are preprocessed within the time where those of the session are;
* in batches: `EarlyExitSession.run` on ``--batch`` images, of which each stage runs on those that stay,
  beside the static network on as many.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from eecompile import api
from eecompile.data.sources import load_data
from eecompile.runtime.compiled_files import from_directory
from eecompile.runtime.early_exit import Array, DynamicModel, Float32, StagedModel
from eecompile.runtime.early_exit_session import EarlyExitSession
from eecompile.runtime.sessions import session
from passes.exits.chain import keep_exits
from passes.model.graph import load
from passes.model.writing import to_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_resnet.onnx"


def seconds(calls: Sequence[Callable[[], Any]]) -> list[float]:
    """Return what each of ``calls`` takes, one after the other."""
    taken = []
    for call in calls:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return taken


def least(rounds: Sequence[Sequence[Sequence[float]]]) -> NDArray[np.float64]:
    """Return from times [repeats][images][calls] the least of each image and call, as means over images."""
    found: NDArray[np.float64] = np.array(rounds).min(axis=0).mean(axis=0)
    return found


def stage_inputs(staged: StagedModel, image: Float32) -> list[dict[str, Array]]:
    """Return what every stage reads for one image, exits or not."""
    known: dict[str, Array] = {staged.sessions[0].get_inputs()[0].name: image}
    given = []
    for stage in staged.sessions:
        given.append({entry.name: known[entry.name] for entry in stage.get_inputs()})
        known |= dict(zip((t.name for t in stage.get_outputs()), stage.run(None, given[-1]), strict=True))
    return given


def one_by_one(folder: Path, static: ort.InferenceSession, images: Array, repeat: int) -> None:
    """Print what one image takes."""
    recorded, paths = from_directory(folder)
    compiled, nested = EarlyExitSession(folder), DynamicModel(folder / "model.dynamic.onnx")
    staged = StagedModel(paths, recorded.thresholds)
    entry, first = static.get_inputs()[0].name, nested.session.get_inputs()[0].name
    raw = [images[k : k + 1] for k in range(len(images))]
    ready = [compiled.model_input(image) for image in raw]
    given = [stage_inputs(staged, image) for image in ready]

    def calls(index: int) -> list[Callable[[], Any]]:
        stages = [
            lambda s=stage, g=part: s.run(None, g)
            for stage, part in zip(staged.sessions, given[index], strict=True)
        ]
        return [
            lambda: nested.session.run(None, {first: ready[index]}),
            lambda: static.run(None, {entry: ready[index]}),
            lambda: compiled.run(raw[index]),
            lambda: static.run(None, {entry: compiled.model_input(raw[index])}),
            *stages,
        ]

    taken = least([[seconds(calls(k)) for k in range(len(raw))] for _ in range(repeat)])
    inside, plain, whole, plain_raw, *stages = 1e3 * taken
    left_at = compiled.run(images).exit
    shares = np.bincount(left_at, minlength=len(paths)) / len(left_at)
    expected = float((shares * np.cumsum(stages)).sum())
    print(
        f"one image, ms (of {len(raw)}; {', '.join(f'{100 * s:.1f} %' for s in shares)} leave at each exit)"
    )
    print(f"  {'stages':<42}" + "  ".join(f"{ms:.4f}" for ms in stages))
    print(f"  {'sum of share x time of stages':<42}{expected:.4f}")
    print(f"  {'static, preprocessed / raw':<42}{plain:.4f}  {plain_raw:.4f}")
    for name, ms, beside in (("nested model", inside, plain), ("session, raw image", whole, plain_raw)):
        print(f"  {name:<42}{ms:.4f}  = {ms / expected:.3f} x stages, {ms / beside:.3f} x static")


def in_batches(folder: Path, static: ort.InferenceSession, images: Array, repeat: int, batch: int) -> None:
    """Print what a batch takes."""
    if not isinstance(static.get_inputs()[0].shape[0], str):
        print("the network has its batch built in: there is nothing to compact")
        return
    compiled = EarlyExitSession(folder, max_batch=batch)
    entry = static.get_inputs()[0].name
    whole = [images[start : start + batch] for start in range(0, len(images) - batch + 1, batch)]
    if not whole:
        print(f"fewer than {batch} images: no batch")
        return

    def calls(part: Array) -> list[Callable[[], Any]]:
        return [
            lambda: compiled.run(part),
            lambda: static.run(None, {entry: compiled.model_input(part)}),
        ]

    compacted, plain = 1e3 * least([[seconds(calls(part)) for part in whole] for _ in range(repeat)])
    print(f"batch of {batch}, ms ({len(whole)} batches; raw images, preprocessing within)")
    print(f"  {'static':<42}{plain:.4f}")
    print(f"  {'session, stages on those that stay':<42}{compacted:.4f}  = {compacted / plain:.3f} x static")


def main() -> None:
    """Print what one image and one batch take."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="run directory [default: digits]")
    parser.add_argument("--data", default="digits", help="what it was made with [default: digits]")
    parser.add_argument("--images", type=int, default=400, metavar="N", help="test images [default: 400]")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="times each [default: 5]")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="images at once [default: 64]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.run
        if folder is None:
            folder = Path(temporary) / "run"
            api.run(EXAMPLE, data=options.data, out=folder)
        images = load_data(options.data).test.x[: options.images]
        lowered = folder / "model.lowered.onnx"
        takes_any = isinstance(session(lowered).get_inputs()[0].shape[0], str)
        static = session(to_model(keep_exits(load(lowered), []), "N" if takes_any else None))
        one_by_one(folder, static, images, options.repeat)
        in_batches(folder, static, images, options.repeat, options.batch)


if __name__ == "__main__":
    main()
