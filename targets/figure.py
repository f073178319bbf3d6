"""What every description is made of: frozen models, and numbers that say how they are known."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Known = Literal["measured", "published", "placeholder"]


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

    value: Annotated[float, Field(gt=0)]
    known: Known
    source: Annotated[str, Field(min_length=1)]
