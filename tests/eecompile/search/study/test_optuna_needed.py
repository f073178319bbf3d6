from __future__ import annotations

import sys

import pytest

from eecompile.search.study.optuna_needed import import_optuna
from passes.errors import InputError


def test_without_optuna_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert import_optuna().__name__ == "optuna"
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match="needs Optuna") as error:
        import_optuna()
    assert error.value.hint == "pip install 'eecompile[search]'"
