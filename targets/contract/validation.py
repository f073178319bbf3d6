"""How far the predictions for a target were from silicon, and the error bars that follow from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from targets.description.explain import checked
from targets.description.figure import Frozen, Real
from targets.description.hierarchy import Name
from targets.description.yaml_text import parse_yaml, read_yaml

FILE_NAME = "validation.yaml"
Quantity = Literal["latency", "energy"]
Positive = Annotated[Real, Field(gt=0)]
# What a figure is that no measurement stands behind, in documents.
NONE = "none"


class Prediction(Frozen):
    """A figure of a network on silicon beside what a model says of it, in the same unit.

    Attributes:
        measured: On silicon.
        predicted: By the model as it is.
        left_out: By the same model with its parameters fitted without this network; ``None`` where nothing
            was fitted to it.
    """

    measured: Positive
    predicted: Positive
    left_out: Positive | None = None

    @property
    def honest(self) -> float:
        """The prediction that the measurement had no part in, where there is one."""
        return self.predicted if self.left_out is None else self.left_out

    @property
    def log_error(self) -> float:
        """Distance of the honest prediction from the measurement: |ln(measured / honest)|."""
        return abs(math.log(self.measured / self.honest))


class ValidatedNetwork(Frozen):
    """A network at an operating point, measured and predicted.

    Attributes:
        network: Its name; entries of one network at several points are one network.
        point: Name of the operating point; empty where the target has none.
        cost_model: The cost model that predicts.
        source: Where the measurement is published.
        fitted: The measurement entered the fit of parameters.
        latency_cycles: In cycles; ``None`` where it was not measured.
        energy_pj: In pJ; ``None`` where it was not measured.
    """

    network: Name
    point: str = ""
    cost_model: Name
    source: Name
    fitted: bool
    latency_cycles: Prediction | None = None
    energy_pj: Prediction | None = None

    def of(self, quantity: Quantity) -> Prediction | None:
        """Return what is known of ``quantity``."""
        return self.latency_cycles if quantity == "latency" else self.energy_pj

    @model_validator(mode="after")
    def _says_something(self) -> ValidatedNetwork:
        if self.latency_cycles is None and self.energy_pj is None:
            raise ValueError("neither latency_cycles nor energy_pj is given; add what was measured")
        return self

    @model_validator(mode="after")
    def _left_out_of_a_fit(self) -> ValidatedNetwork:
        for key in ("latency_cycles", "energy_pj"):
            found = getattr(self, key)
            if found is not None and found.left_out is not None and not self.fitted:
                raise ValueError(f"{key}.left_out: nothing was fitted to this network; leave it out")
        return self


class Factors(Frozen):
    """A range around a prediction: it times ``low`` to it times ``high``."""

    low: Annotated[Real, Field(gt=0, le=1)]
    high: Annotated[Real, Field(ge=1)]
    reason: Name


class FittedSpread(Frozen):
    """Ranges around predictions of a model whose only measurements were fitted."""

    latency: Factors | None = None
    energy: Factors | None = None


@dataclass(frozen=True)
class ErrorBar:
    """The interval around a predicted figure.

    Attributes:
        low: Factor on the figure.
        high: Factor on the figure.
        coverage: Share of networks (0 to 1) whose measured figure the interval holds if they are like those
            it was made from; ``None`` where nothing can be said of that.
        basis: What it was made from, as a sentence without a full stop.
    """

    low: float
    high: float
    coverage: float | None
    basis: str

    def around(self, figure: float) -> tuple[float, float]:
        """Return the interval around ``figure``, in its unit."""
        return self.low * figure, self.high * figure


class Validation(Frozen):
    """``validation.yaml``: what the models of a target predicted, and what was measured.

    Attributes:
        command: Prints the predictions again.
        networks: What was measured.
        spread: Ranges around predictions where all measurements were fitted; they go before ``networks``.
        note: Shown with it.
    """

    command: Name
    networks: Annotated[tuple[ValidatedNetwork, ...], Field(min_length=1)]
    spread: FittedSpread = FittedSpread()
    note: str = ""

    @model_validator(mode="after")
    def _fits_left_something_out(self) -> Validation:
        for index, entry in enumerate(self.networks):
            for key, spread in (("latency_cycles", self.spread.latency), ("energy_pj", self.spread.energy)):
                found = getattr(entry, key)
                if entry.fitted and found is not None and found.left_out is None and spread is None:
                    raise ValueError(
                        f"networks[{index}].{key}.left_out: is missing; give what a fit without this network "
                        f"predicts, or spread.{key.partition('_')[0]}"
                    )
        return self

    @model_validator(mode="after")
    def _entries_are_there_once(self) -> Validation:
        keys = [(e.network, e.point, e.cost_model) for e in self.networks]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                raise ValueError(
                    f"networks[{index}]: '{key[0]}' by the same model at the same point is there twice"
                )
        return self

    def error_bar(self, quantity: Quantity, cost_model: str) -> ErrorBar | None:
        """Return the interval around a figure by ``cost_model``; ``None`` if nothing of that was measured.

        With n networks measured and e the largest log error of any of them, it is the figure times exp(-e)
        to the figure times exp(e). A further network like these is within it with probability n / (n + 1):
        of n + 1 errors of exchangeable networks each is as likely to be the largest. Points of one network
        are not independent and count once. (Split conformal prediction with the whole sample as level:
        Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005.)
        """
        entries = [e for e in self.networks if e.cost_model == cost_model and e.of(quantity) is not None]
        if not entries:
            return None
        names = list(dict.fromkeys(e.network for e in entries))
        spread = self.spread.latency if quantity == "latency" else self.spread.energy
        if spread is not None:
            listed = ", ".join(names)
            return ErrorBar(spread.low, spread.high, None, f"{spread.reason}; {listed} entered the fit")
        worst = max(found.log_error for e in entries if (found := e.of(quantity)) is not None)
        held = "each left out of the fit" if any(e.fitted for e in entries) else "none of them fitted"
        several = (
            f"{len(names)} measured networks, {held}" if len(names) > 1 else f"1 measured network, {held}"
        )
        coverage = len(names) / (len(names) + 1)
        return ErrorBar(math.exp(-worst), math.exp(worst), coverage, f"the largest error of {several}")


def load_validation(path: Path) -> Validation:
    """Read a ``validation.yaml``.

    Raises:
        InputError: No such file, not YAML, or a wrong value, with the path of the value.
    """
    return _validation_of(read_yaml(path, "validation of a target"), str(path))


def parse_validation(text: str, where: str) -> Validation:
    """Parse the text of a ``validation.yaml``; ``where`` names it in messages. Raises InputError."""
    return _validation_of(parse_yaml(text, where), where)


def _validation_of(data: object, where: str) -> Validation:
    return checked(Validation, data, where, "'command:' and 'networks:'")


def kind_of(bars: Iterable[ErrorBar | None]) -> str:
    """Return in words what stands behind error bars: ``measured``, ``spread``, both, or ``none``."""
    found = ["spread" if bar.coverage is None else "measured" for bar in bars if bar is not None]
    return " and ".join(sorted(set(found))) or NONE
