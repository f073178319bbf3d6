"""An exit that was taken out again."""

from __future__ import annotations

from pydantic import BaseModel


class RemovedExit(BaseModel, frozen=True):
    """A candidate exit that is not in the files, and why."""

    name: str
    mount_name: str
    reason: str
