"""The verb `run`: exits and a target for a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eecompile.verbs.given.images import images_given
from eecompile.verbs.given.lists import Exits, Heads, exits_given, heads_given
from eecompile.verbs.given.network import network_given
from eecompile.verbs.given.option_rules import check_given
from eecompile.verbs.progress import Progress, silent
from passes.errors import InputError

if TYPE_CHECKING:
    from eecompile.run.main import RunResult
    from eecompile.verbs.given.images import Data
    from eecompile.verbs.given.network import Model

AUTO = "auto"


def run(
    model: Model | None = None,
    target: str | None = None,
    data: Data | None = None,
    out: Path | str | None = None,
    exits: Exits | None = None,
    head: Heads | None = None,
    objective: str | None = None,
    max_drop: float | None = None,
    optimistic: bool = False,
    preprocess: str | None = None,
    cost_model: str | None = None,
    seed: int | None = None,
    point: str | None = None,
    speculate: bool = False,
    min_gain: float | None = None,
    rules: str | None = None,
    schedule: str | None = None,
    max_latency: float | None = None,
    guarantee: float | None = None,
    max_latency_p95: float | None = None,
    max_worst_latency: float | None = None,
    max_final_ratio: float | None = None,
    max_cost_ratio: float | None = None,
    train: str | None = None,
    epochs: int | None = None,
    confidence: str | None = None,
    recycle: bool | None = None,
    quantize: str | None = None,
    qat_epochs: int | None = None,
    placement: str | None = None,
    bits: Mapping[str, int] | None = None,
    prune: Mapping[str, float] | None = None,
    prune_epochs: int | None = None,
    calibration: str | None = None,
    requantize: bool = False,
    keep_thresholds: bool = False,
    cache: Path | str | None = None,
    from_study: Path | str | None = None,
    trial: int | None = None,
    front_point: int | None = None,
    replay: Path | str | None = None,
    progress: Progress = silent,
) -> RunResult:
    """Put exits into a network, compile it for a target and write the run directory.

    Args:
        model: Trained classifier: the path of an ONNX file, its bytes, an ``onnx.ModelProto`` or an
            ``onnx_graphsurgeon.Graph``; absent where a search has it (``from_study``).
        target: Name of the accelerator, or the file of its description; ``diana`` if absent.
        data: Images: a name or a path, see `eecompile.data.sources.load_data`; arrays, see
            `eecompile.verbs.given.images.images_given`; or a `Dataset`. Without, costs are reported and
            nothing is trained.
        out: Run directory; ``runs/<model>-<target>`` if absent.
        exits: How many mounts to try, or the mounts: these all get an exit; two are tried if absent.
        head: Head of inserted exits: ``auto`` (if absent: ``conv`` or ``linear``, whatever suits), or one of
            ``linear``, ``mlp``, ``conv``, ``separable`` and ``feature`` with genes,
            ``conv{kernel=5,reuse=logits}``; or a list: one for each of ``exits``.
        objective: What to minimize: ``edp`` (if absent), ``latency``, ``energy`` or ``macs``.
        max_drop: Allowed accuracy drop against the static network, in points; 1 if absent.
        optimistic: Hold the plain estimate of the drop to ``max_drop``, not its upper 90 % bound; the mean
            drop over neighbouring thresholds is held to it in both cases.
        preprocess: ``auto`` (if absent) or a rule, see `eecompile.data.preprocess.parse_rule`.
        cost_model: Latency model of the target; its default if absent.
        seed: Seed of everything drawn at random; 0 if absent.
        point: Operating point of all costs; the target's first if absent.
        speculate: The next stage may start while a head decides: each exit also tells its costs with that,
            and expected costs and savings are with it.
        min_gain: What an exit more must save, in points of static, where a number of mounts is tried; 2 if
            absent.
        rules: How latency counts what unrollings leave over, on targets that search mappings: ``exact`` (if
            absent) in full, ``zigzag`` as that tool does.
        schedule: Mode of all schedules, one that the target takes (`eecompile targets NAME`); its first if
            absent.
        max_latency: Longest allowed latency of the deepest exit, in s: all costs are for the operating point
            that is best for the objective within it, or for ``point`` if it is.
        guarantee: Probability with which the drop may exceed ``max_drop``: a seeded half of val chooses, the
            other tests thresholds from safe to bold (`eecompile.exits.guarantee`). Not with ``optimistic``.
        max_latency_p95: 95 % of the images take no longer, in s, at the operating point of all costs.
        max_worst_latency: No input takes longer, in s: thresholds let all leave before what is slower.
        max_final_ratio: Largest share of images that reach the final exit.
        max_cost_ratio: Largest mean of the objective, as a share of the network without exits.
        train: What is trained on the images: ``frozen`` the heads alone (if absent), ``joint`` all of the
            network with its exits, ``scratch`` the same from fresh weights.
        epochs: How often each image is seen; as the recipe of the trainer has it if absent.
        confidence: Rule by which all exits decide, see `passes.confidence.confidence_rule`; if absent,
            inserted exits decide by ``max_softmax``, and those of the network by the rules it records.
        recycle: Exits add to their logits those of the exit before, times a weight that suits val; if absent,
            where ``train`` is not ``frozen`` and no rule of confidence is fitted to the logits of one exit.
        quantize: How integers are found: ``ptq`` by calibration and rounding (if absent), ``qat`` by training
            behind that, of the network with its exits and of the static one on its own
            (`docs/quantization.md`); ``none``: not at all: accuracies of float32, costs of integers.
        qat_epochs: How often each image is seen in that training; as its recipe has it if absent.
        placement: What runs in an analog array: ``auto`` (if absent) what the schedule at the usual numbers
            of the cores has there, ``digital`` nothing, ``analog`` all that it takes. ``mixed`` takes one of
            the schemes of all cores for each layer: of the mappings that are searched and measured on val
            the cheapest of which no exit loses more than ``max_drop`` against ``auto`` (`docs/mapping.md`).
        bits: Part of the network -> bits of its weights: ``head``, ``backbone``, a layer or a node; what is
            not named has those of the first scheme of its core.
        prune: By how much the network shall cost less on its schedule, ``{"cycles": -0.3}`` or
            ``{"energy": -0.2}``: channels are taken away before exits are put in (`docs/pruning.md`); savings
            stay against the network as it was given.
        prune_epochs: How often each image is seen behind that; as its recipe has it if absent.
        calibration: How ranges of activations are found, see `eecompile.quantization.calibrators.grid_of`;
            ``least-squares`` if absent.
        requantize: The network is quantized already, and its integers are given up: it is brought into float
            and quantized anew by the rules of the target.
        keep_thresholds: Exits of the network keep the thresholds that it records; none are chosen.
        cache: Folder of what costly steps found out: a run that differs in nothing they depend on takes it
            from there, and one that was interrupted goes on; that of the user if absent.
        from_study: Folder of a search: a point of its front is delivered as it was found, instead of a model
            (`docs/search.md`). Beside may be given ``out``, ``data`` (where the images lie now), and what
            says the same as the search.
        trial: The design of that point.
        front_point: Its number in ``front.json``, where a trial has several; the most accurate on val if
            absent.
        replay: Run directory, or its ``run.json``: that run is done again, to the bit on the same machine,
            into ``out`` (the folder with ``-replay`` if absent). Beside may be given ``model`` and ``data``,
            where these lie elsewhere now, and ``cache``; other bytes than those of the run are refused.
        progress: Called with one line of text per step.

    Returns:
        The run directory, the summary, the costs, what ``run.json`` holds, and whether the early-exit
        files ``passed``: answered every test image as the flat model did.

    Examples:
        >>> from eecompile import api
        >>> result = api.run("digits_resnet.onnx", exits=1, out="costs")
        >>> result
        <RunResult: digits_resnet.onnx on diana: 2 exits; in costs>
        >>> [(item.name, item.mount_name) for item in result.summary.exits]
        [('exit_0', 'relu_4'), ('final', 'relu_6')]
    """
    from eecompile.pruning.goal import PruningGoal
    from eecompile.quantization.calibration_names import LEAST_SQUARES
    from eecompile.run.main import run as run_pipeline
    from eecompile.run.options import MAX_DROP, RunOptions
    from eecompile.training.recipe import FROZEN, PTQ
    from targets.objective import objective_named

    given: dict[str, Any] = {
        "data": data, "out": out, "exits": exits, "head": head, "max_drop": max_drop,
        "optimistic": optimistic, "preprocess": preprocess, "cost_model": cost_model, "seed": seed,
        "point": point, "speculate": speculate, "min_gain": min_gain, "rules": rules,
        "schedule": schedule, "max_latency": max_latency, "guarantee": guarantee,
        "max_latency_p95": max_latency_p95, "max_worst_latency": max_worst_latency,
        "max_final_ratio": max_final_ratio, "max_cost_ratio": max_cost_ratio,
        "train": train, "epochs": epochs, "confidence": confidence,
        "recycle": recycle, "quantize": quantize, "qat_epochs": qat_epochs,
        "placement": placement, "bits": bits,
        "prune": prune, "prune_epochs": prune_epochs, "calibration": calibration, "requantize": requantize,
        "keep_thresholds": keep_thresholds, "cache": cache,
    }  # fmt: skip
    if replay is not None:
        from eecompile.verbs.work.replay import replay_run

        asked = given | {
            "model": None if model is None else network_given(model),
            "data": None if data is None else images_given(data),
            "target": target, "objective": objective, "replay": replay,
            "from_study": from_study, "trial": trial, "front_point": front_point,
        }  # fmt: skip
        told_beside = {
            name: value for name, value in asked.items() if value is not None and value is not False
        }
        return replay_run(told_beside, progress)
    study = {"from_study": from_study, "trial": trial, "front_point": front_point}
    if from_study is not None:
        from eecompile.verbs.work.study_point import run_study_point

        given |= {
            "model": None if model is None else network_given(model),
            "target": target,
            "objective": objective,
            "data": None if data is None else images_given(data),
        }
        return run_study_point(study, given, progress)
    told = check_given("run", given | study)
    if model is None:
        raise InputError(
            "there is no network to compile",
            "give an ONNX file, or a point of a search: `from_study`, `trial`",
        )
    options = RunOptions(
        model=network_given(model),
        target="diana" if target is None else target,
        data=None if data is None else images_given(data),
        out=None if out is None else Path(out),
        exits=exits_given(exits),
        head=heads_given(head),
        objective=objective_named("edp" if objective is None else objective),
        max_drop=MAX_DROP if max_drop is None else max_drop,
        optimistic=optimistic,
        preprocess=AUTO if preprocess is None else preprocess,
        cost_model=cost_model,
        seed=0 if seed is None else seed,
        point=point,
        speculate=speculate,
        min_gain=min_gain,
        rules=rules,
        schedule=schedule,
        told=told,
        max_latency=max_latency,
        guarantee=guarantee,
        max_latency_p95=max_latency_p95,
        max_worst_latency=max_worst_latency,
        max_final_ratio=max_final_ratio,
        max_cost_ratio=max_cost_ratio,
        train=FROZEN if train is None else train,
        epochs=epochs,
        confidence=confidence,
        recycle=recycle,
        quantize=PTQ if quantize is None else quantize,
        qat_epochs=qat_epochs,
        placement=placement,
        bits={} if bits is None else dict(bits),
        prune=None if prune is None else PruningGoal.of_changes(prune),
        prune_epochs=prune_epochs,
        calibration=LEAST_SQUARES if calibration is None else calibration,
        requantize=requantize,
        keep_thresholds=keep_thresholds,
        cache=None if cache is None else Path(cache),
    )
    return run_pipeline(options, progress)
