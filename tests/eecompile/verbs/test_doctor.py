"""`doctor` tells of this machine."""

from __future__ import annotations

from eecompile import api
from eecompile.version import version


def test_this_version_on_this_machine_is_told() -> None:
    found = api.doctor()
    assert found.healthy
    assert version() in str(found.to_json())
