"""The options of the command line: defined once, so that a flag means the same on every verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eecompile.quantization.calibration_names import CALIBRATIONS
from eecompile.quantization.placements import PLACEMENTS
from passes.number_formats import EXACT_ROUNDINGS
from targets.schedule.freedom import MODES

MODEL = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Trained classifier, an .onnx file.", show_default=False)
]
MODEL_OR_STUDY = Annotated[
    Path | None,
    typer.Argument(
        metavar="[MODEL]",
        help="Trained classifier, an .onnx file; none with --from-study.",
        show_default=False,
    ),
]
RUN = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run directory, the --out of a run.", show_default=False)
]
TARGETS_OF_SEARCH = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        metavar="NAME|FILE[,…]",
        help="Accelerator, or the .yaml of one; of several, each is searched for by itself.",
    ),
]
SCHEMES_OF = Annotated[
    str | None,
    typer.Option(
        "--target", "-t", metavar="NAME|FILE", help="Its schemes calibrate `quantize`. [default: diana]"
    ),
]
_TARGET_OR_FILE = "Accelerator; see `eecompile targets`, or the .yaml of one: ours, ZigZag's or Stream's."
TARGET_OR_FILE = Annotated[str, typer.Option("--target", "-t", metavar="NAME|FILE", help=_TARGET_OR_FILE)]
TARGET_OF_RUN = Annotated[
    str | None,
    typer.Option("--target", "-t", metavar="NAME|FILE", help=f"{_TARGET_OR_FILE} [default: diana]"),
]
MAPPING = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Wishes for mappings: ZigZag's or Stream's form, or from --save-mapping."
    ),
]
LOCALITY = Annotated[
    str | None,
    typer.Option(metavar="on|off", help="Tensors may stay on chip between layers. [default: on]"),
]
FUSION = Annotated[
    str | None,
    typer.Option(metavar="on|off", help="Layers hold the activations behind them. [default: on]"),
]
LPF_LIMIT = Annotated[
    str | None,
    typer.Option(metavar="N|full", help="Most temporal factors per layer in the search. [default: 6]"),
]
RULES = Annotated[
    str | None,
    typer.Option(
        metavar="exact|zigzag",
        help="How latency counts what unrollings leave over: in full, or by ZigZag's rules. [default: exact]",
    ),
]
BITS = Annotated[
    str | None,
    typer.Option(metavar="W,A,P", help="Bits of float weights, activations and partial sums, e.g. 8,8,16."),
]
PART_BITS = Annotated[
    str | None,
    typer.Option(
        "--bits",
        metavar="PART=N,…",
        help="Bits of weights by part: head, backbone, a layer or a node: head=4,conv_0=8. See `eecompile "
        "targets NAME` for what its cores have. [default: the first of each core]",
    ),
]
PLACEMENT = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(PLACEMENTS),
        help="What runs in an analog array: by the schedule at the usual numbers of the cores, nothing, or "
        "all it takes; mixed: the cheapest schemes within --max-drop, on any cores. [default: auto]",
    ),
]
SCHEDULE = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(MODES),
        help="Each layer runs whole on one core; or may be split over several; or fused depth first too; or "
        "groups run row by row on several cores. See `eecompile targets NAME` for what a target takes. "
        "[default: the target's first]",
    ),
]
WEIGHTS = Annotated[
    str | None,
    typer.Option(
        metavar="keep|fetch",
        help="Weights that fit stay on chip between inferences, or all are fetched. [default: keep]",
    ),
]
RATIOS = Annotated[
    str | None,
    typer.Option(
        metavar="R0,R1,…",
        help="Share of inputs that leave at each exit, the final one included: schedules for it and shows "
        "expected values. [default: schedules for equal shares]",
    ),
]
SPECULATE = Annotated[
    bool, typer.Option("--speculate", help="The next stage starts while a head decides, where that pays.")
]
SOLVER = Annotated[
    str | None,
    typer.Option(
        metavar="default|exact",
        help="exact: the schedule is improved by CP-SAT, and its distance from the best is bounded.",
    ),
]
TIME_LIMIT = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="When the exact solver stops. [default: 60]")
]
TRACE = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the schedule, without speculation, as a trace for Perfetto."),
]
EXPORTED = Annotated[
    Path | None,
    typer.Option(
        "--export", metavar="DIR", help="Write each table as .tex and .csv, each plot as .svg into a folder."
    ),
]
OVERLAY = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write cost, core, bits and exits per node, for Model Explorer."),
]
SAVE_MAPPING = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the chosen mappings, for --mapping.")
]
BREAKDOWN = Annotated[
    bool, typer.Option("--breakdown", help="Show energy per operand and memory, and the parts of latency.")
]
DATA = Annotated[
    str | None,
    typer.Option(
        "--data",
        "-d",
        metavar="SPEC",
        help="Images: digits, cifar10, cifar100, svhn, mnist, fashion_mnist, an .npz or an image folder.",
    ),
]
PREPROCESS = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="auto, raw, unit, imagenet … or mean=…,std=… (applied to --data). [default: auto]",
    ),
]
EXITS = Annotated[
    str | None,
    typer.Option(
        metavar="N|MOUNTS",
        help="How many mounts to try (run: 2 if not told, 3 where --train is not frozen; those that "
        "pay stay), or where exits shall be: relu_3,add_2; see `eecompile inspect`.",
    ),
]
HEAD = Annotated[
    str | None,
    typer.Option(
        metavar="HEAD|HEAD,…",
        help="Head of inserted exits: auto, linear, mlp, conv, separable or feature, with genes: "
        "'conv{size=10,kernel=5}' or 'linear{reuse=logits}'; several: one per exit. See `eecompile passes "
        "insert-exits`. [default: auto]",
    ),
]
_OBJECTIVE = "What to minimize: edp, latency, energy or macs."
OBJECTIVE = Annotated[str, typer.Option(metavar="NAME", help=_OBJECTIVE)]
OBJECTIVE_OF_RUN = Annotated[
    str | None, typer.Option("--objective", metavar="NAME", help=f"{_OBJECTIVE} [default: edp]")
]
CONFIDENCE = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="How sure an exit is: max_softmax, margin, entropy (also with {temperature=fit}), patience or "
        "gate. [default: what the network records, else max_softmax]",
    ),
]
COST_MODEL = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Latency model of the target; see `eecompile targets NAME`."),
]
MAX_DROP = Annotated[
    float | None,
    typer.Option(metavar="POINTS", help="Allowed accuracy drop, in points. [default: 1.0]"),
]
MIN_GAIN = Annotated[
    float | None,
    typer.Option(
        metavar="POINTS",
        help="What an exit more must save, in points of the network without exits, where a number of mounts "
        "is tried. [default: 2.0]",
    ),
]
OPTIMISTIC = Annotated[
    bool,
    typer.Option(
        "--optimistic",
        help="Hold the plain estimate of the drop to --max-drop, not its upper 90 % bound; "
        "the mean drop over neighbouring thresholds is held to it in both cases.",
    ),
]
GUARANTEE = Annotated[
    float | None,
    typer.Option(
        metavar="DELTA",
        help="The drop exceeds --max-drop with probability DELTA at most: thresholds are tested on a half of "
        "val that chose nothing. Not with --optimistic.",
    ),
]
MAX_LATENCY_P95 = Annotated[
    float | None,
    typer.Option("--max-latency-p95", metavar="SECONDS", help="95 % of the images take no longer."),
]
MAX_WORST_LATENCY = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="No input takes longer: thresholds let all leave before what is slower. (--max-latency leaves "
        "thresholds alone and takes another operating point.)",
    ),
]
MAX_FINAL_RATIO = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Largest share of images that reach the final exit, 0 to 1."),
]
MAX_COST_RATIO = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Largest mean of what is minimized, as a share of the network without exits, 0 to 1.",
    ),
]
HOST_SCALE = Annotated[
    float | None,
    typer.Option(metavar="FACTOR", help="Scale the placeholder cost of host work. [default: 1.0]"),
]
POINT = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Operating point of all figures; see `eecompile targets NAME`. [default: the target's first]",
    ),
]
MAX_LATENCY = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Longest latency of the deepest exit: takes the operating point best for --objective within it.",
    ),
]
SEED = Annotated[
    int | None,
    typer.Option(metavar="N", help="Seed of everything that is drawn at random. [default: 0]"),
]
TRAIN = Annotated[
    str | None,
    typer.Option(
        metavar="frozen|joint|scratch",
        help="What is trained on --data: the heads alone, the whole network with its exits, or that from "
        "fresh weights. [default: frozen]",
    ),
]
EPOCHS = Annotated[
    int | None,
    typer.Option(metavar="N", help="How often each image is seen. [default: by the recipe of --train]"),
]
RECYCLE = Annotated[
    str | None,
    typer.Option(
        metavar="on|off",
        help="Exits add to their logits those of the exit before, weighted as suits val. [default: on where "
        "--train is not frozen and no rule of --confidence is fitted]",
    ),
]
QUANTIZE = Annotated[
    str | None,
    typer.Option(
        metavar="ptq|qat|none",
        help="How integers are found: by calibration alone, or by training behind it; `run` also takes none: "
        "accuracy in float beside the costs of integers. [default: ptq]",
    ),
]
CALIBRATION = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(CALIBRATIONS),
        help="How the range of a tensor follows from its values on training images. [default: least-squares]",
    ),
]
FRONTIER = Annotated[
    bool,
    typer.Option("--frontier", help="Search the scheme of each layer; tell what mappings cost and lose."),
]
KEEP_FLOAT = Annotated[
    str | None,
    typer.Option(
        metavar="LAYERS|auto",
        help="Layers that stay in float: conv_3,gemm_0; or the fewest that keep the drop on val within "
        "--max-drop.",
    ),
]
QAT_EPOCHS = Annotated[
    int | None,
    typer.Option(metavar="N", help="How often each image is seen in that training. [default: by its recipe]"),
]
REQUANTIZE = Annotated[
    bool,
    typer.Option(
        "--requantize", help="The network is quantized already: bring it into float, and quantize it anew."
    ),
]
PRUNE = Annotated[
    str | None,
    typer.Option(
        metavar="GOAL",
        help="Take channels away before exits are put in, until the network costs so much less on its "
        "schedule: cycles=-30% or energy=-20%.",
    ),
]
PRUNE_EPOCHS = Annotated[
    int | None,
    typer.Option(metavar="N", help="How often each image is seen behind that. [default: by its recipe]"),
]
CACHE = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        help="Folder of what is kept for others to take. [default: $EECOMPILE_CACHE, or the user's cache]",
    ),
]
KEEP_THRESHOLDS = Annotated[
    bool,
    typer.Option("--keep-thresholds", help="Exits of the network keep the thresholds that it records."),
]
FROM_STUDY = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Deliver a point of the front of this search as it was found."),
]
TRIAL = Annotated[int, typer.Option("--trial", metavar="N", help="Index of the design.")]
TRIAL_OF_RUN = Annotated[int | None, typer.Option("--trial", metavar="N", help="Index of the design.")]
FRONT_POINT = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        help="Number of the point, where a trial has several. [default: the most accurate on val]",
    ),
]
C_SOURCE = Annotated[
    bool, typer.Option("--c", help="Write C99, in integers alone, that needs no allocation.")
]
MODEL_REPOSITORY = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write a model into a repository, for Triton, KServe and MLServer."),
]
RAY_SERVE = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write an application of Ray Serve into a folder.")
]
EXACT_ROUNDING = Annotated[
    str | None,
    typer.Option(
        "--rounding",
        metavar="|".join(EXACT_ROUNDINGS),
        help="Sums become integers as in onnxruntime, or as on the target's cores. [default: onnxruntime]",
    ),
]
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
REPLAY = Annotated[
    Path | None,
    typer.Option(
        "--replay",
        metavar="RUN",
        help="Do the run of this directory, or run.json, again: the same to the bit; refused if its network "
        "or images are others now. [default --out: RUN-replay]",
    ),
]
