"""What a user wishes of the numbers that layers are computed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eecompile.quantization.layer_schemes import HEAD, PARTS, SchemeOption, WeightedLayer, has_array
from eecompile.quantization.placements import ANALOG, AUTO, DIGITAL, PLAIN_PLACEMENTS
from passes.errors import InputError, did_you_mean
from passes.integers.schemes import Scheme
from targets.contract.target import Target


@dataclass(frozen=True)
class SchemeWish:
    """Which layers run in an analog array, and how many bits weights have.

    Attributes:
        placement: ``auto``: where the schedule of the network at the usual numbers of its cores has them;
            ``analog``: in the array whatever it takes; ``digital``: nothing there.
        bits: Part of the network (``head``, ``backbone``, a layer or a node of it) -> bits of its weights.
            What names less counts more: layers before parts, and both before ``placement`` and ``chosen``.
        chosen: Layer -> name of its scheme, as a search found it.

    Raises:
        InputError: An unknown placement or a width that is none, on construction.
    """

    placement: str = AUTO
    bits: Mapping[str, int] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.placement not in PLAIN_PLACEMENTS:
            raise InputError(
                f"`placement` cannot be '{self.placement}'", did_you_mean(self.placement, PLAIN_PLACEMENTS)
            )
        for part, width in self.bits.items():
            if isinstance(width, bool) or not isinstance(width, int) or width < 1:
                raise InputError(
                    f"`bits` of '{part}' are a whole number of at least 1, not {width!r}",
                    "example: head=4,backbone=8",
                )

    def __bool__(self) -> bool:
        """Whether it asks for anything but what is usual."""
        return self.placement != AUTO or bool(self.bits) or bool(self.chosen)

    def of_part(self, layers: Sequence[WeightedLayer]) -> SchemeWish:
        """Return the wish without what names nothing of ``layers``, a part of the network it was made for."""
        names = {name for layer in layers for name in layer.names}
        parts = {layer.part for layer in layers}
        bits = {name: width for name, width in self.bits.items() if name in names | parts}
        chosen = {name: scheme for name, scheme in self.chosen.items() if name in names}
        return SchemeWish(self.placement, bits, chosen)

    def schemes(
        self, layers: Sequence[WeightedLayer], usual: Mapping[str, Scheme], target: Target
    ) -> dict[str, Scheme]:
        """Return the scheme of each of ``layers``.

        Args:
            layers: Layers with weights, with what may be chosen for them.
            usual: Layer -> scheme by the schedule at the usual numbers.
            target: The accelerator.

        Raises:
            InputError: A part or layer that is none, a width that no core has for a layer, or a placement
                that makes no difference on the target.
        """
        self._check(layers, target)
        return {layer.name: self._scheme(layer, usual) for layer in layers}

    def _check(self, layers: Sequence[WeightedLayer], target: Target) -> None:
        if self.placement in (ANALOG, DIGITAL) and not has_array(target):
            raise InputError(
                f"`placement` {self.placement} says what runs in an analog array, and {target.title} "
                "has none",
                "leave `placement` away",
            )
        names = {name for layer in layers for name in layer.names}
        for part in self.bits:
            if part == HEAD and part not in names and not any(layer.head for layer in layers):
                raise InputError(
                    "`bits` of 'head' are those of early exits, and the network has none",
                    "name the classifier as a layer; `eecompile inspect` lists layers",
                )
            if part not in names | {*PARTS}:
                known = [*PARTS, *(layer.name for layer in layers)]
                raise InputError(
                    f"`bits` name '{part}', which is no layer with weights", did_you_mean(part, known)
                )
        if self.placement == ANALOG and not any(o.analog for layer in layers for o in layer.options):
            reasons = dict.fromkeys(f"{layer.name}: {_said(layer)}" for layer in layers)
            raise InputError(
                f"`placement` analog: the array of {target.title} takes no layer of this network",
                "; ".join(reasons),
            )

    def _scheme(self, layer: WeightedLayer, usual: Mapping[str, Scheme]) -> Scheme:
        allowed = layer.options
        if self.placement == DIGITAL:
            allowed = tuple(option for option in allowed if not option.analog)
        width = self._bits(layer)
        if width is not None:
            return _of_width(layer, allowed, width, usual[layer.name])
        if layer.name in self.chosen:
            return next(s for s in layer.schemes() if s.name == self.chosen[layer.name])
        if self.placement == ANALOG:
            return next((option.scheme for option in allowed if option.analog), usual[layer.name])
        if usual[layer.name].array is not None and self.placement == DIGITAL:
            if not allowed:
                raise InputError(f"`placement` digital: no digital core takes layer '{layer.name}'")
            return allowed[0].scheme
        return usual[layer.name]

    def _bits(self, layer: WeightedLayer) -> int | None:
        named = next((width for name, width in self.bits.items() if name in layer.names), None)
        return named if named is not None else self.bits.get(layer.part)


def _of_width(layer: WeightedLayer, allowed: Sequence[SchemeOption], width: int, usual: Scheme) -> Scheme:
    """Return the scheme with weights of ``width`` bits, the usual one if it is that."""
    if usual.weights.bits == width and any(option.scheme == usual for option in allowed):
        return usual
    found = next((o.scheme for o in allowed if o.scheme.weights.bits == width), None)
    if found is not None:
        return found
    widths: dict[str, list[int]] = {}
    for option in allowed:
        widths.setdefault(option.core, []).append(option.scheme.weights.bits)
    there = "; ".join(f"{core} has {_listed(sorted({*bits}))}" for core, bits in widths.items())
    raise InputError(
        f"`bits`: no core computes layer '{layer.name}' with weights of {width} bits: "
        f"{there or 'none takes it'}",
        "give it one of these; `eecompile targets NAME` lists the schemes of all cores",
    )


def _listed(widths: Sequence[int]) -> str:
    return ", ".join(map(str, widths)) + (" bits" if widths != [1] else " bit")


def _said(layer: WeightedLayer) -> str:
    return ", ".join(dict.fromkeys(reason.rule for reason in layer.declined)) or "no analog core runs it"


def check_mixed(layers: Sequence[WeightedLayer], target: Target) -> None:
    """Refuse to choose between schemes where no layer has two.

    Raises:
        InputError: With what to do.
    """
    if all(len(layer.schemes()) < 2 for layer in layers):
        raise InputError(
            f"there is nothing to mix: {target.title} has one scheme for each layer of this network",
            "leave `placement` away, or take a target whose cores have several (`eecompile targets NAME`)",
        )


def not_analog(layers: Sequence[WeightedLayer]) -> dict[str, str]:
    """Return layer -> why no analog array takes it, for all that none takes."""
    return {
        layer.name: _said(layer) for layer in layers if not any(option.analog for option in layer.options)
    }
