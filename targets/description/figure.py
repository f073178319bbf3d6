"""What every description is made of: frozen models, and numbers that say how they are known."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Known = Literal["measured", "published", "placeholder"]


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError(
            f"expected a number, not {value!r}; numbers have no quotes, and 1e9 is 1.0e+9 in YAML"
        )
    return value


# Numbers of a description: text that looks like one, and yes and no, are slips.
Real = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(_number)]


class Frozen(BaseModel):
    """A model that cannot change, with no keys but its own and no infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Figure(Frozen):
    """A number and how it is known.

    Attributes:
        value: The number, in the unit its key names.
        known: ``measured`` on silicon, ``published`` (a paper or public tool), or ``placeholder``.
        source: Where it comes from, or why this placeholder.
    """

    value: Annotated[Real, Field(gt=0)]
    known: Known
    source: Annotated[str, Field(min_length=1)]
