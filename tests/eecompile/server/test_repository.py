from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eecompile.server import kinds
from eecompile.server.engine import StageEngine
from eecompile.server.metrics import Metrics, Notices
from eecompile.server.refusal import NotServedError
from eecompile.server.repository import Repository
from eecompile.serving.batches.batching import Batching
from eecompile.serving.policies import policy_named
from passes.errors import InputError
from tests.eecompile.server.made_model import KIND, MadeModel, write_made


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setattr(kinds, "KINDS", (KIND,))
    metrics = Metrics(Notices(lambda _: None))
    engine = StageEngine(policy_named("fifo"), Batching(), 100, metrics)
    found = Repository(engine, 2, metrics.follow)
    found.add(write_made(tmp_path / "made"), 4.0)
    yield found
    engine.close()


def test_a_model_has_the_name_of_its_directory(repository: Repository, tmp_path: Path) -> None:
    entry = repository.get("made", "1")
    assert entry.priority == 4.0 and isinstance(entry.model, MadeModel) and entry.model.threads == 2
    with pytest.raises(InputError, match="would both be model 'made'"):
        repository.add(write_made(tmp_path / "other" / "made"), 1.0)
    for name, version, message in (("mad", "", "did you mean 'made'"), ("made", "3", "no version '3'")):
        with pytest.raises(NotServedError, match=message) as refused:
            repository.get(name, version)
        assert refused.value.status == 404


def test_loaded_again_it_is_another_and_the_first_is_given_up(repository: Repository) -> None:
    first, slot = repository.get("made").in_service()
    repository.load("made")
    second, other = repository.get("made").in_service()
    assert first is not second and slot is not other and slot.retired and slot.model is None
    assert other.model is second and not other.retired


def test_what_cannot_be_loaded_leaves_what_was(repository: Repository) -> None:
    entry = repository.get("made")
    before = entry.in_service()
    (entry.folder / "made.json").write_text("{}")
    assert "other files" in entry.changed()
    (entry.folder / "made.json").unlink()
    assert "other files" in entry.changed()
    with pytest.raises(NotServedError, match=r"was not loaded: .* holds nothing that can be served"):
        repository.load("made")
    assert entry.in_service() == before


def test_out_of_service_and_back(repository: Repository) -> None:
    repository.unload("made")
    repository.unload("made")  # again: nothing
    entry = repository.get("made")
    assert entry.changed() == ""
    with pytest.raises(NotServedError, match="is unloaded") as refused:
        entry.in_service()
    assert refused.value.status == 503
    assert [(row["name"], row["state"]) for row in repository.index()] == [("made", "UNAVAILABLE")]
    repository.load("made")
    assert [(row["state"], row["reason"]) for row in repository.index()] == [("READY", "")]
