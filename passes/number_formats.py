"""Number formats: which integers tensors take, and how a core computes with them."""

from __future__ import annotations

from dataclasses import dataclass

HALF_EVEN, HALF_UP, HALF_AWAY, DOWN = "half-even", "half-up", "half-away", "down"
ROUNDINGS = (HALF_EVEN, HALF_UP, HALF_AWAY, DOWN)
# How an integer program rescales: as onnxruntime's float32 does, or as the core by its Requantization.
ONNXRUNTIME, TARGET = "onnxruntime", "target"
EXACT_ROUNDINGS = (ONNXRUNTIME, TARGET)


@dataclass(frozen=True)
class Levels:
    """The integers a tensor may take, counted from its zero point, and how their step is chosen.

    Attributes:
        low: Smallest.
        high: Largest.
        bits: What an element takes in the memories of the target, however it is stored in a file.
        power_of_two: The step is a power of two, so that requantization is a shift.
        per_channel: Weights have one step per output channel.
        symmetric: The zero point is where ``low`` and ``high`` are counted from; else calibration chooses
            one anywhere within them.
    """

    low: int
    high: int
    bits: int
    power_of_two: bool = False
    per_channel: bool = False
    symmetric: bool = True

    def meet(self, other: Levels) -> Levels:
        """Return the integers that both can take, in the wider of both places."""
        return Levels(
            max(self.low, other.low),
            min(self.high, other.high),
            max(self.bits, other.bits),
            self.power_of_two or other.power_of_two,
            self.per_channel and other.per_channel,
            self.symmetric or other.symmetric,
        )


@dataclass(frozen=True)
class Requantization:
    """How a core brings an accumulator onto the grid of its result: times a multiplier, shifted right.

    Attributes:
        multiplier_bits: Width of the unsigned multiplier; 0 where the core only shifts.
        shift_bits: Most places it shifts by.
        rounding: What happens to the places that are shifted out: ``half-even``, ``half-up``, ``half-away``
            (from zero) or ``down`` (towards minus infinity).
    """

    multiplier_bits: int = 31
    shift_bits: int = 62
    rounding: str = HALF_UP


MULTIPLIED = Requantization()


@dataclass(frozen=True)
class InMemoryArray:
    """An analog array: products are added up on its bit lines, and a converter reads the sums.

    Attributes:
        rows: Products that one conversion adds up. A longer contraction is cut into chunks of so many, each
            converted by itself; their conversions are added up as integers.
        converter: The integers a conversion gives, of 1 step each; sums beyond them are clipped.
        affine_bits: Width of scale and bias of the normalization behind the converter.
        noise_db: Signal-to-noise ratio of a conversion in dB; ``None`` where nothing is known of it.
    """

    rows: int
    converter: Levels
    affine_bits: int
    noise_db: float | None = None


@dataclass(frozen=True)
class Precision:
    """The numbers a node computes with on the core it runs on.

    Attributes:
        weights: Of its constant weights; ``None`` for a node without.
        inputs: Of what it reads.
        output: Of what it writes.
        bias_bits: Width of its bias, on the grid input step x weight step.
        accumulator_bits: Width of its partial sums.
        requantization: How its accumulators become results on the core.
        array: The analog array it runs in; ``None`` for arithmetic on integers alone.
    """

    weights: Levels | None
    inputs: Levels
    output: Levels
    bias_bits: int
    accumulator_bits: int = 32
    requantization: Requantization = MULTIPLIED
    array: InMemoryArray | None = None

    def __post_init__(self) -> None:
        """Refuse weights with zero points of their own: calibration and training take 0 for all of them.

        Raises:
            ValueError: They are declared so.
        """
        if self.weights is not None and not self.weights.symmetric:
            raise ValueError("weights have the zero point 0: declare their levels symmetric")
