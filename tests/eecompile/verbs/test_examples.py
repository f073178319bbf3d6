"""The examples in the docstrings of the verbs say what happens."""

from __future__ import annotations

import doctest
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eecompile import api
from eecompile.search.searching import SearchOptions, search
from eecompile.verbs.work import doctor
from tests.eecompile.search.small import SPACE, question, write_images
from tests.eecompile.small_models import write_images as write_tiny
from tests.eecompile.small_models import write_skip_net
from tests.eecompile.verbs.work.test_export import write_exported
from tests.needs import needs_torch

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    pytest.importorskip("optuna", reason="a search needs the extra 'search'")
    made = tmp_path_factory.mktemp("searched")
    asked = replace(question(made), cache=made / "kept")
    search(SearchOptions(asked, 1, made / "searched"), lambda _: None)
    return made


def network(at: Path) -> None:
    shutil.copy(ROOT / "examples" / "digits_resnet.onnx", at)


def tiny(at: Path) -> None:
    write_skip_net(at / "tiny.onnx")
    write_tiny(at / "tiny.npz")


def space(at: Path) -> None:
    (at / "space.toml").write_text(SPACE)
    write_images(at)


def integers(at: Path) -> None:
    write_exported(at / "integers")


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    made = tmp_path_factory.mktemp("ran")
    tiny(made)
    api.run(made / "tiny.onnx", data=made / "tiny.npz", exits=1, epochs=1, out=made / "tiny-run")
    return made


FILES: dict[str, Callable[[Path], None]] = {
    "quantize": tiny, "search": space, "export": integers,
}  # fmt: skip
OF_A_RUN = ("retune", "serve", "simulate", "split")
OF_A_SEARCH = ("front", "whatif", "why")


@pytest.mark.parametrize("verb", [name for name in api.__all__ if name not in OF_A_RUN + OF_A_SEARCH])
def test_examples(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if verb in ("quantize", "search"):
        pytest.importorskip("torch", reason="training needs the extra 'train'")
    FILES.get(verb, network)(tmp_path)
    monkeypatch.setattr(doctor, "_example", lambda: doctor.Finding("example", doctor.OK, "not compiled here"))
    assert examples(verb, tmp_path, monkeypatch) > 1


@needs_torch
@pytest.mark.parametrize("verb", OF_A_RUN)
def test_examples_on_a_run(
    verb: str, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_run, tmp_path, dirs_exist_ok=True)
    assert examples(verb, tmp_path, monkeypatch) > 1


@needs_torch
@pytest.mark.parametrize("verb", OF_A_SEARCH)
def test_examples_on_a_search(verb: str, searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examples(verb, searched, monkeypatch) > 1


def examples(verb: str, at: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the examples of a verb in a folder; return how many there are."""
    monkeypatch.chdir(at)
    found = doctest.DocTestFinder(recurse=False).find(getattr(api, verb), verb, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said: list[str] = []
    for test in found:
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
    return runner.tries
