"""`doctor` tells of this machine."""

from __future__ import annotations

import pytest

from eecompile import api
from eecompile.verbs.work import doctor
from eecompile.version import version


def test_this_version_on_this_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_example", lambda: doctor.Finding("example", doctor.FAIL, "broken"))
    found = api.doctor()
    assert not found.healthy and found.findings == doctor.examine().findings
    assert version() in str(found.to_json())
