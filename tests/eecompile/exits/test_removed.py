"""An exit that was taken out, as files hold it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from eecompile.exits.removed import RemovedExit

GONE = {"name": "conv head at relu_2", "mount_name": "relu_2", "reason": "it saves 1.2 points"}


def test_it_is_read_as_it_was_written() -> None:
    removed = RemovedExit(**GONE)
    assert removed.model_dump() == GONE
    assert RemovedExit.model_validate_json(removed.model_dump_json()) == removed


@pytest.mark.parametrize("key", GONE)
def test_it_says_what_where_and_why(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        RemovedExit.model_validate({name: text for name, text in GONE.items() if name != key})


def test_it_cannot_be_changed() -> None:
    removed = RemovedExit(**GONE)
    with pytest.raises(ValidationError, match="frozen"):
        removed.reason = "other"  # type: ignore[misc]
    assert len({removed, RemovedExit(**GONE)}) == 1
