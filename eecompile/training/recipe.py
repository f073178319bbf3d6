"""Recipes: all that is decided about a training before it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from passes.errors import InputError

FROZEN, JOINT, SCRATCH = "frozen", "joint", "scratch"
TRAINERS = (FROZEN, JOINT, SCRATCH)
PTQ, QAT, NONE = "ptq", "qat", "none"
QUANTIZERS = (PTQ, QAT)
AUTO, YES, NO = "auto", "yes", "no"
ADAMW, SGD = "adamw", "sgd"
EQUILIBRIUM, NONE = "equilibrium", "none"
EQUAL, RISING = "equal", "rising"
NOWHERE, HEADS, BACKBONE, ALL = "nowhere", "heads", "backbone", "all"
EDGE, MEAN = "edge", "mean"
AVERAGED, ESTIMATED = "averaged", "estimated"

_CHOICES = {
    "optimizer": (ADAMW, SGD),
    "mirror": (AUTO, YES, NO),
    "border": (EDGE, MEAN),
    "balance": (EQUILIBRIUM, NONE),
    "exit_weights": (EQUAL, RISING),
    "batch_norm": (NOWHERE, HEADS, BACKBONE, ALL),
    "bfloat16": (AUTO, NO),
    "statistics": (AVERAGED, ESTIMATED),
}


def _check(recipe: object) -> None:
    """Refuse what no training can be done with."""
    values = vars(recipe)
    for name, allowed in _CHOICES.items():
        if name in values and values[name] not in allowed:
            raise InputError(
                f"`{name}` of a recipe cannot be '{values[name]}'", f"one of {', '.join(allowed)}"
            )
    for name in (
        "survivors",
        "label_share",
        "linear_share",
        "teacher_share",
        "final_teacher_share",
        "final_share",
        "smoothing",
        "warm_up",
        "live",
    ):
        if name in values and not 0 <= values[name] <= 1:
            raise InputError(f"`{name}` of a recipe is a share between 0 and 1, not {values[name]}")
    for name in ("dropout", "average", "backbone_first", "momentum", "norm_momentum"):
        if name in values and not 0 <= values[name] < 1:
            raise InputError(f"`{name}` of a recipe is at least 0 and less than 1, not {values[name]}")
    for name in ("batch", "epochs", "samples", "least_epochs"):
        if values.get(name) is not None and values[name] < 1:
            raise InputError(f"`{name}` of a recipe is at least 1, not {values[name]}")


def _epochs(samples: float, count: int, least: int, most: int) -> int:
    """Return how often ``count`` images are seen so that together they are ``samples``."""
    return min(most, max(least, round(samples / count)))


@dataclass(frozen=True)
class Recipe:
    """How heads are trained on a frozen backbone. Found on CIFAR-10 validation images with a frozen ResNet8.

    Attributes:
        samples: Images seen by a head with a hidden layer, over all epochs.
        linear_share: Share of that for heads without one, which converge sooner and overfit.
        epochs: How often each head sees all images, instead of these two.
        temperature: Of the distillation.
        label_share: Weight of the true labels beside the network's answers.
        rate: Peak learning rate of the one-cycle schedule.
        linear_rate: The same for heads without a hidden layer.
        warm_up: Share of the steps in which the rate rises.
        decay: Weight decay of AdamW, on weights only.
        dropout: Before the classifier.
        average: Decay per step of the weight average that is kept.
        batch: Images per step.
        survivors: By how much an image counts less for an exit the surer the exits before it are of it: 0 for
            not at all, 1 for nothing left of the surest.
    """

    samples: int = 320_000
    linear_share: float = 0.25
    epochs: int | None = None
    temperature: float = 4.0
    label_share: float = 0.1
    rate: float = 1e-2
    linear_rate: float = 4e-3
    warm_up: float = 0.2
    decay: float = 0.02
    dropout: float = 0.1
    average: float = 0.99
    batch: int = 128
    survivors: float = 0.0

    def __post_init__(self) -> None:
        _check(self)

    def epochs_on(self, count: int, hidden: bool) -> int:
        """Return how often a head sees each of ``count`` images; ``hidden``: it has a hidden layer."""
        if self.epochs is not None:
            return self.epochs
        return _epochs(self.samples * (1.0 if hidden else self.linear_share), count, least=3, most=120)


@dataclass(frozen=True)
class JointRecipe:
    """How backbone and exits are trained together. Found on CIFAR-10 validation images with ResNet8.

    Attributes:
        samples: Images seen over all epochs, of which there are ``least_epochs`` to 200.
        least_epochs: So many at least, however many images there are.
        epochs: How often each image is seen, instead of that.
        batch: Images per step.
        optimizer: ``adamw``, or ``sgd`` with Nesterov's momentum.
        rate: Peak learning rate.
        decay: Weight decay, on weights only.
        momentum: Of SGD.
        warm_up: Share of the steps in which the rate rises; then it falls as a cosine to nothing.
        relative: The rate of each constant is by the size of its values, beside those it would be drawn with.
        backbone_rate: What the rate is multiplied by for constants that are not of heads drawn anew.
        backbone_first: Share of the epochs in which the backbone is trained alone (arXiv 2407.14320).
        balance: ``equilibrium`` scales gradients at each mount so that its head and all behind it weigh alike
            (IMTA), ``none`` leaves them.
        exit_weights: ``equal``, or ``rising`` with depth.
        early_weight: Weight of the losses of early exits beside that of the final one.
        teacher_share: Weight of the answers of the network as it was given, beside the labels, for early
            exits.
        final_teacher_share: The same for the final exit. With 1 it is held where it was: labels it was
            trained on before would only make it surer of them.
        teacher_temperature: Of that distillation.
        final_share: Weight of the answers of the final exit, for early exits.
        final_temperature: Of that distillation.
        smoothing: Of labels.
        dropout: Before classifiers.
        batch_norm: Where layers are normalized while they are trained: ``nowhere``, in ``heads``, in the
            ``backbone``, or in ``all``.
        fitted: Normalizations of a network that was trained already start from the statistics of the images,
            so that it computes at first what it did; else with mean 0 and variance 1.
        norm_momentum: Share of running statistics that stays each step.
        average: Decay per step of the weight average that is kept; 0 for none.
        statistics: Those of normalizations in the average: ``averaged`` too, or ``estimated`` at the end.
        shift: Images are moved by up to this share of their size.
        border: What comes in then: the ``edge`` repeated, or the ``mean`` of the images.
        mirror: ``auto`` where the network (from scratch: nearest images) hardly minds, ``yes`` or ``no``.
        cutout: Side of the square that is blanked, as share of the image; 0 for none.
        bfloat16: ``auto`` where the processor computes it natively, or ``no``.
    """

    samples: int = 725_000
    least_epochs: int = 5
    epochs: int | None = None
    batch: int = 128
    optimizer: str = ADAMW
    rate: float = 4e-3
    decay: float = 0.02
    momentum: float = 0.9
    warm_up: float = 0.1
    relative: bool = True
    backbone_rate: float = 0.1
    backbone_first: float = 0.0
    balance: str = NONE
    exit_weights: str = EQUAL
    early_weight: float = 1.0
    teacher_share: float = 0.5
    final_teacher_share: float = 1.0
    teacher_temperature: float = 4.0
    final_share: float = 0.0
    final_temperature: float = 1.0
    smoothing: float = 0.0
    dropout: float = 0.0
    batch_norm: str = ALL
    fitted: bool = True
    norm_momentum: float = 0.9
    average: float = 0.999
    statistics: str = AVERAGED
    shift: float = 0.125
    border: str = EDGE
    mirror: str = AUTO
    cutout: float = 0.0
    bfloat16: str = AUTO

    def __post_init__(self) -> None:
        _check(self)

    def epochs_on(self, count: int) -> int:
        """Return how often each of ``count`` images is seen."""
        if self.epochs is not None:
            return self.epochs
        return _epochs(self.samples, count, least=self.least_epochs, most=200)


# From fresh weights: no teacher, a longer way, and a backbone that learns as fast as the heads.
FRESH = JointRecipe(samples=1_450_000, teacher_share=0.0, final_teacher_share=0.0, backbone_rate=1.0)

# Behind pruning: what is left learns to answer as the whole network did, as fast as one from fresh weights.
PRUNED = JointRecipe(
    samples=400_000,
    least_epochs=3,
    backbone_rate=1.0,
    final_teacher_share=0.9,
    average=0.998,
)


@dataclass(frozen=True)
class QuantizedRecipe(JointRecipe):
    """How a calibrated network is trained for its integers. Found on CIFAR-10 validation images with ResNet8.

    Attributes:
        step_rate: What the rate is multiplied by for steps of grids: of their logarithm to base 2. Weights of
            few bits lie on their grid, so that it is as much their rate.
        exponent_rate: The same where steps are powers of two, which change halfway to the next.
        stages: Bits that weights have first, one after the other, where in the end some have less than
            ``STAGED_BITS``.
        low_rate: Peak learning rate of stages of less than ``LOW_BITS``.
        low_samples: Images seen in all where weights have less than ``LOW_BITS`` in the end.
        live: Share of the epochs in which layers of an analog array have a live normalization in place of
            their affine, before what the file computes is trained; 0 for none.
        live_rate: Peak learning rate of that.
        live_stages: Bits that ternary weights have first, one after the other, with that.
        live_held: Share of the epochs of their last stage in which converters keep the step they have learnt.
    """

    step_rate: float = 1.0
    exponent_rate: float = 10.0
    stages: tuple[int, ...] = (8, 4)
    low_rate: float = 1e-3
    low_samples: int = 150_000
    live: float = 1.0
    live_rate: float = 2e-3
    live_stages: tuple[int, ...] = ()
    live_held: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("stages", "live_stages"):
            bits = list(getattr(self, name))
            if bits != sorted(set(bits), reverse=True) or min(bits, default=2) < 2:
                raise InputError(f"`{name}` of a recipe are fewer and fewer bits, 2 at least, not {bits}")

    def for_bits(self, bits: int) -> QuantizedRecipe:
        """Return the recipe for a training, or a stage of it, to so few bits of weights."""
        return replace(self, rate=self.low_rate, samples=self.low_samples) if bits < LOW_BITS else self

    def stages_for(self, bits: int, epochs: int) -> list[tuple[int, int]]:
        """Return bits and epochs of all stages, that of ``bits`` last.

        Each stage before it has an equal share, the last one what is left, which is two shares at least; with
        too few epochs for that it is the only one.
        """
        first = [stage for stage in self.stages if stage > bits] if bits < STAGED_BITS else []
        share = epochs // (len(first) + 2)
        early = [(stage, share) for stage in first if share]
        return [*early, (bits, epochs - share * len(early))]


LOW_BITS, STAGED_BITS = 5, 4
"""Weights of fewer bits have a rate of their own, those of fewer still are trained in stages."""

# From weights that were rounded already: near where they are, and nothing on no grid.
QUANTIZED = QuantizedRecipe(
    samples=50_000,
    least_epochs=1,
    rate=2e-4,
    decay=0.0,
    backbone_rate=1.0,
    teacher_share=0.9,
    final_teacher_share=0.9,
    teacher_temperature=4.0,
    batch_norm=NOWHERE,
    average=0.99,
    bfloat16=NO,
)
