"""torchvision where it fits the torch beside it, where it does not, and where it is absent."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

import pytest

from eecompile.data import torchvision_import
from eecompile.data.torchvision_import import import_torchvision
from passes.errors import InputError
from tests.needs import needs_torch

NO_NMS = RuntimeError("operator torchvision::nms does not exist")


def attempts(monkeypatch: pytest.MonkeyPatch, *outcomes: ModuleType | Exception) -> list[str]:
    """Let importing torchvision end as ``outcomes`` say, one after the other; return what is done."""
    done: list[str] = []
    left = list(outcomes)

    def attempt() -> ModuleType:
        done.append("import")
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(torchvision_import, "_torchvision", attempt)
    monkeypatch.setattr(torchvision_import, "_declare_operators", lambda: done.append("declare"))
    return done


@needs_torch
def test_its_data_sets_are_there_and_it_is_imported_once() -> None:
    found = import_torchvision()
    assert found.datasets.CIFAR10.base_folder == "cifar-10-batches-py"
    assert import_torchvision() is found


def test_nothing_is_declared_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("torchvision")
    done = attempts(monkeypatch, module)
    assert import_torchvision() is module and done == ["import"]


def test_missing_operators_are_declared_and_the_half_import_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType("torchvision")
    done = attempts(monkeypatch, NO_NMS, module)
    loaded = dict.fromkeys(("torchvision", "torchvision.ops", "torchvision_extra", "torch"), module)
    monkeypatch.setattr(torchvision_import, "sys", SimpleNamespace(modules=loaded))
    assert import_torchvision() is module
    assert done == ["import", "declare", "import"]
    assert set(loaded) == {"torchvision_extra", "torch"}


def test_other_faults_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = RuntimeError("CUDA driver is too old")
    done = attempts(monkeypatch, fault)
    with pytest.raises(RuntimeError) as caught:
        import_torchvision()
    assert caught.value is fault and done == ["import"]


def test_absent_packages_are_a_message_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts(monkeypatch, ModuleNotFoundError("No module named 'torch'"))
    with pytest.raises(InputError, match="cannot be imported: No module named 'torch'") as caught:
        import_torchvision()
    assert "pip install 'eecompile[train]'" in caught.value.hint
