"""One function per verb of the command line, with the same parameter names; nothing is printed.

Each verb imports what it works with, so that none waits for the packages of another.

All raise :class:`passes.errors.EecompileError` for what a user can put right: its message says what,
where and what to do, its ``exit_code`` is that of the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eecompile.verbs.front import front
from eecompile.verbs.given_lists import exits_given, layers_given, numbers, texts
from eecompile.verbs.option_rules import check_given
from eecompile.verbs.retune import retune
from eecompile.verbs.search import cache, search, why
from eecompile.verbs.whatif import whatif
from passes.errors import InputError

if TYPE_CHECKING:
    from eecompile.run.main import RunResult
    from eecompile.verbs.compare import Comparison
    from eecompile.verbs.doctor import Diagnosis
    from eecompile.verbs.export import ExportResult
    from eecompile.verbs.inspect_network import Inspection
    from eecompile.verbs.listing import PassList, TargetList
    from eecompile.verbs.optimize import OptResult
    from eecompile.verbs.quantize import QuantizeResult
    from targets.evaluation.report import CostReport
    from targets.network.layer import Bits

__all__ = [
    "cache",
    "compare",
    "cost",
    "doctor",
    "export",
    "front",
    "inspect",
    "opt",
    "passes",
    "quantize",
    "report",
    "retune",
    "run",
    "search",
    "targets",
    "whatif",
    "why",
]

AUTO = "auto"

Progress = Callable[[str], None]
# How many exits, or their mounts.
Exits = int | str | Sequence[str]


def _silent(text: str) -> None:
    """Drop a line of progress."""


def run(
    model: Path | str | None = None,
    target: str | None = None,
    data: str | None = None,
    out: Path | str | None = None,
    exits: Exits | None = None,
    head: str | None = None,
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
    prune: str | None = None,
    prune_epochs: int | None = None,
    calibration: str | None = None,
    requantize: bool = False,
    keep_thresholds: bool = False,
    cache: Path | str | None = None,
    from_study: Path | str | None = None,
    trial: int | None = None,
    front_point: int | None = None,
    progress: Progress = _silent,
) -> RunResult:
    """Put exits into a network, compile it for a target and write the run directory.

    Args:
        model: Trained classifier, an ONNX file; absent where a search has it (``from_study``).
        target: Name of the accelerator, or, without data, the file of its description; ``diana`` if absent.
        data: Images, see `eecompile.data.sources.load_data`; without, costs are reported and nothing is
            trained.
        out: Run directory; ``runs/<model>-<target>`` if absent.
        exits: How many mounts to try, or the mounts (one text separated by commas, or a sequence): these all
            get an exit; two are tried if absent.
        head: Head of inserted exits: ``auto`` (if absent: ``conv`` or ``linear``, whatever suits), or one of
            ``linear``, ``mlp``, ``conv``, ``separable`` and ``feature`` with genes,
            ``conv{kernel=5,reuse=logits}``; or several, separated by commas: one for each of ``exits``.
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
        prune: By how much the network shall cost less on its schedule, ``cycles=-30%`` or ``energy=-20%``:
            channels are taken away before exits are put in (`docs/pruning.md`); savings stay against the
            network as it was given.
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
        progress: Called with one line of text per step.

    Returns:
        The run directory, the summary, the costs, what ``run.json`` holds, and whether the early-exit
        files ``passed``: answered every test image as the flat model did.
    """
    from eecompile.quantization.calibration_names import LEAST_SQUARES
    from eecompile.run.main import run as run_pipeline
    from eecompile.run.options import MAX_DROP, RunOptions
    from eecompile.training.recipe import FROZEN, PTQ
    from targets.objective import objective_named

    given = {
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
    study = {"from_study": from_study, "trial": trial, "front_point": front_point}
    if from_study is not None:
        from eecompile.verbs.study_point import run_study_point

        given |= {"model": model, "target": target, "objective": objective}
        return run_study_point(study, given, progress)
    told = check_given("run", given | study)
    if model is None:
        raise InputError(
            "there is no network to compile",
            "give an ONNX file, or a point of a search: `from_study`, `trial`",
        )
    options = RunOptions(
        model=Path(model),
        target="diana" if target is None else target,
        data=data,
        out=None if out is None else Path(out),
        exits=exits_given(exits),
        head=AUTO if head is None else head,
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
        prune=prune,
        prune_epochs=prune_epochs,
        calibration=LEAST_SQUARES if calibration is None else calibration,
        requantize=requantize,
        keep_thresholds=keep_thresholds,
        cache=None if cache is None else Path(cache),
    )
    return run_pipeline(options, progress)


def inspect(model: Path | str, target: str = "diana", cost_model: str | None = None) -> Inspection:
    """Return the nodes, layers, exits and mounts of a network, with the reason for what is not.

    Args:
        model: An ONNX file; its weights may be absent.
        target: Target whose cores the layers are placed on.
        cost_model: Latency model of the target; its default if absent.
    """
    from eecompile.verbs.inspect_network import inspect_network

    return inspect_network(Path(model), target, cost_model)


def opt(
    model: Path | str,
    pipeline: str,
    out: Path | str | None = None,
    data: str | None = None,
    preprocess: str | None = None,
    target: str | None = None,
    verify_each: bool = False,
    save_stages: Path | str | None = None,
    seed: int | None = None,
    progress: Progress = _silent,
) -> OptResult:
    """Run passes on a network.

    Args:
        model: An ONNX file.
        pipeline: Text form of the passes, see `passes.registry.parse_pipeline`.
        out: Where to write the resulting ONNX file, if anywhere.
        data: Images that calibrate ``quantize`` and, if given, are what the passes are verified on.
        preprocess: How stored images become the model's input; found out if absent.
        target: Target whose quantization schemes calibration uses; ``diana`` if absent.
        verify_each: Run the network in onnxruntime before and after each pass and compare.
        save_stages: Folder for the network after each pass.
        seed: Seed of the random inputs of the verification, and of a validation split; 0 if absent.
        progress: Called with one line of text per step.
    """
    from eecompile.run.options import check_seed
    from eecompile.verbs.optimize import optimize

    check_given(
        "opt",
        {"data": data, "preprocess": preprocess, "target": target, "verify_each": verify_each, "seed": seed},
    )
    return optimize(
        Path(model),
        pipeline,
        out=None if out is None else Path(out),
        data=data,
        preprocess=AUTO if preprocess is None else preprocess,
        target=target,
        verify_each=verify_each,
        save_stages=None if save_stages is None else Path(save_stages),
        seed=check_seed(0 if seed is None else seed),
        progress=progress,
    )


def quantize(
    model: Path | str,
    data: str | None = None,
    target: str = "diana",
    out: Path | str | None = None,
    objective: str = "edp",
    preprocess: str | None = None,
    seed: int | None = None,
    calibration: str | None = None,
    keep_float: str | Sequence[str] | None = None,
    max_drop: float | None = None,
    placement: str | None = None,
    bits: Mapping[str, int] | None = None,
    frontier: bool = False,
    quantize: str | None = None,
    qat_epochs: int | None = None,
    requantize: bool = False,
    progress: Progress = _silent,
) -> QuantizeResult:
    """Quantize a network, with or without exits, by the schemes of a target, and tell which layers lose most.

    Args:
        model: Trained classifier, an ONNX file.
        data: Images: training images calibrate, accuracy is that of val and test.
        target: Name of the accelerator.
        out: Where files are written; ``runs/<model>-<target>-quantized`` if absent.
        objective: What layers are placed for.
        preprocess: ``auto`` (if absent) or a rule, see `eecompile.data.preprocess.parse_rule`.
        seed: Seed of a validation split that has to be carved; 0 if absent.
        calibration: How ranges of activations are found, see `eecompile.quantization.calibrators.grid_of`;
            ``least-squares`` if absent.
        keep_float: Layers that stay in float (one text separated by commas, or a sequence), or ``auto``: the
            fewest with which no exit loses more than ``max_drop`` on val, by the plain estimate.
        max_drop: Accuracy that may be lost, in points; 1 if absent.
        placement: ``auto`` (if absent), ``digital`` or ``analog``, as in `run`.
        bits: Part of the network -> bits of its weights, as in `run`.
        frontier: Search the scheme of each layer, and tell what the mappings worth having cost and lose.
        quantize: ``ptq`` (if absent): by calibration alone; ``qat``: trained for its integers behind it, and
            so is each mapping of ``frontier`` before it is measured.
        qat_epochs: How often each image is seen in that training; by its recipe if absent.
        requantize: The network is quantized already, and its integers are given up, as in `run`; else they
            are kept, and only measured and lowered.
        progress: Called with one line of text per step.

    Raises:
        InputError: A wrong file or value.
        NoSolutionError: A layer that no core of the target supports, or no layers in float help enough.
    """
    from eecompile.verbs.quantize import QuantizeOptions, quantize_network
    from targets.objective import objective_named

    check_given("quantize", {"keep_float": keep_float, "max_drop": max_drop})
    if data is None:
        raise InputError(
            "`data` is missing: without images nothing can be calibrated", "example: `data` digits"
        )
    kept: str | tuple[str, ...] = ()
    if keep_float is not None:
        kept = AUTO if keep_float == AUTO else layers_given("keep_float", keep_float)
    options = QuantizeOptions(
        model=Path(model),
        data=data,
        target=target,
        out=None if out is None else Path(out),
        objective=objective_named(objective),
        preprocess=AUTO if preprocess is None else preprocess,
        seed=0 if seed is None else seed,
        calibration="least-squares" if calibration is None else calibration,
        keep_float=kept,
        max_drop=max_drop,
        placement=placement,
        bits={} if bits is None else dict(bits),
        frontier=frontier,
        quantize="ptq" if quantize is None else quantize,
        qat_epochs=qat_epochs,
        requantize=requantize,
    )
    return quantize_network(options, progress)


def cost(
    model: Path | str,
    target: str = "diana",
    objective: str = "edp",
    cost_model: str | None = None,
    exits: Exits | None = None,
    head: str | None = None,
    host_scale: float | None = None,
    mapping: Path | str | None = None,
    locality: bool | None = None,
    fusion: bool = True,
    lpf_limit: int | Literal["full"] | None = None,
    bits: Bits | None = None,
    save_mapping: Path | str | None = None,
    point: str | None = None,
    max_latency: float | None = None,
    schedule: str | None = None,
    weights: str | None = None,
    ratios: Sequence[float] | None = None,
    speculate: bool = False,
    solver: str | None = None,
    time_limit: float | None = None,
    trace: Path | str | None = None,
    rules: str | None = None,
    progress: Progress = _silent,
) -> CostReport:
    """Return what a network and each of its exits cost on a target.

    Args:
        model: An ONNX file; its weights may be absent.
        target: Name of the accelerator, or the file of its description: ours, ZigZag's or Stream's.
        objective: What mapping and schedule minimize.
        cost_model: Latency model of the target; its default if absent.
        exits: Exits to insert first: how many, or mounts. Exits the network has already are costed.
        head: Head of inserted exits, as `run` has it; ``auto`` if absent.
        host_scale: Factor on the placeholder cost of host work; 1 if absent.
        mapping: File with wishes for the mapping of layers: ZigZag's or Stream's form, or as saved.
        locality: Tensors may stay on chip between layers: the default of targets that search mappings.
        fusion: Layers hold the activations that follow them.
        lpf_limit: Most temporal factors per layer in the search of mappings, or ``full``.
        bits: Precision of float tensors, a `targets.network.layer.Bits`; the target's own if absent.
        save_mapping: Where to write the chosen mappings.
        point: Operating point the figures are for; the target's first if absent.
        max_latency: Longest allowed latency of the deepest exit, in s: the figures are for the operating
            point that is best for the objective within it, or for ``point`` if it is.
        schedule: ``layers``: each whole on one core; ``split``: cut over cores where that helps; ``fused``:
            also fused depth first; ``rows``: groups of layers row by row on several cores. A target takes
            some of them (`eecompile targets NAME`); its first if absent.
        weights: ``keep`` (the default): weights that fit stay on chip between inferences; ``fetch``: none do.
        ratios: Share of inputs that leave at each exit, the final one included: the schedule is made for
            them, and expected values are given. Equal shares are scheduled for if absent.
        speculate: The next stage may start while a head decides; it does where that lowers the objective.
        solver: ``default`` or ``exact``, which improves the default schedule and bounds it.
        time_limit: Seconds after which the exact solver stops; 60 if absent.
        trace: Where to write the schedule as a trace that Perfetto opens.
        rules: How latency counts what unrollings leave over: ``exact`` (if absent) in full, so that no layer
            is faster than its data or its work allows; ``zigzag`` as that tool does, rounded down.
        progress: Called with one line of text per step.

    Raises:
        InputError: A wrong file or value, or an option the target cannot honour.
        NoSolutionError: A layer that no core of the target supports, or no point meets ``max_latency``.
    """
    from eecompile.run.schedule_options import ScheduleOptions
    from eecompile.verbs.cost import CostOptions, cost_network
    from passes.heads.designs import check_heads
    from targets.network.layer import Bits
    from targets.objective import objective_named

    kind = AUTO if head is None else check_heads(head)
    check_given("cost", {"exits": exits, "head": head, "solver": solver, "time_limit": time_limit})
    if bits is not None and not isinstance(bits, Bits):
        raise InputError(
            f"`bits` is a targets.network.layer.Bits, not {bits!r}",
            "write Bits(8, 8, 16): of weights, of activations, of partial sums",
        )
    if lpf_limit is not None and lpf_limit != "full" and lpf_limit < 1:
        raise InputError(f"`lpf_limit` must be at least 1, or 'full', not {lpf_limit}", "6 is the default")
    options = CostOptions(
        mapping=None if mapping is None else Path(mapping),
        locality=locality,
        fusion=fusion,
        lpf_limit=lpf_limit,
        bits=bits,
        save_mapping=None if save_mapping is None else Path(save_mapping),
        point=point,
        max_latency_s=max_latency,
        trace=None if trace is None else Path(trace),
        rules=rules,
        scheduling=ScheduleOptions(
            schedule,
            weights,
            None if ratios is None else numbers("ratios", ratios, "[0.6, 0.3, 0.1]"),
            speculate,
            solver,
            time_limit,
        ),
    )
    return cost_network(
        Path(model), target, objective_named(objective), cost_model, exits_given(exits), kind, host_scale,
        options, progress,
    )  # fmt: skip


@dataclass(frozen=True)
class WrittenReport:
    """Where a report was written."""

    report: Path

    def to_json(self) -> dict[str, Any]:
        """Return the answer as one JSON document."""
        return {"schema_version": 1, "report": str(self.report)}


def report(run: Path | str, out: Path | str | None = None) -> WrittenReport:
    """Write ``report.html`` of a run again from its files.

    Args:
        run: The run directory.
        out: Where to write; ``report.html`` in the run directory if absent.
    """
    from eecompile import report as report_page

    return WrittenReport(report_page.write(Path(run), None if out is None else Path(out)))


def export(
    run: Path | str, c: bool = False, rounding: str | None = None, out: Path | str | None = None
) -> ExportResult:
    """Write the lowered network of a run as source code, in integers alone (`docs/integers.md`).

    Args:
        run: The run directory.
        c: Write C99; so far the only form, so that it must be told.
        rounding: How sums become integers of a grid: ``onnxruntime`` (if absent) as its float32 does,
            ``target`` by multiplier and shift as on the cores.
        out: Folder to write into; ``c`` in the run directory if absent.
    """
    from eecompile.verbs.export import export_run

    check_given("export", {"c": c, "rounding": rounding, "out": out})
    return export_run(Path(run), c, rounding, None if out is None else Path(out))


def compare(run_a: Path | str, run_b: Path | str, fail_if: str | Sequence[str] = ()) -> Comparison:
    """Compare two runs, and hold run B to one gate or several; see `eecompile.verbs.compare.compare_runs`."""
    from eecompile.verbs.compare import compare_runs

    return compare_runs(Path(run_a), Path(run_b), texts("fail_if", fail_if))


def targets(name: str | None = None) -> TargetList:
    """Return all targets, or the one called ``name`` with its support table."""
    from eecompile.verbs.listing import list_targets

    return list_targets(name)


def passes(name: str | None = None) -> PassList:
    """Return all passes, or the one called ``name``."""
    from eecompile.verbs.listing import list_passes

    return list_passes(name)


def doctor() -> Diagnosis:
    """Return whether this machine has what eecompile needs."""
    from eecompile.verbs.doctor import examine

    return examine()
