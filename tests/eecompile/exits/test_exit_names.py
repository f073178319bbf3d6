"""Log, training curves and result of a run call one exit by one name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from eecompile import api
from eecompile.exits.candidates import called, candidate_exits, names_in_files, renamed
from eecompile.run import clock
from tests.eecompile.run.made_evidence import evidence
from tests.eecompile.small_models import write_images, write_skip_net
from tests.needs import WHY_TORCH, needs_torch


@dataclass(frozen=True)
class Told:
    """What files of a run say."""

    log: str
    info: dict[str, Any]
    summary: dict[str, Any]

    @property
    def kept(self) -> dict[str, str]:
        """Name in the files -> head and mount."""
        return {e["name"]: f"{e['head']} head at {e['mount_name']}" for e in self.summary["exits"][:-1]}

    @property
    def removed(self) -> set[str]:
        return {e["name"] for e in self.summary["removed_exits"]}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A run that trains several candidates and does not keep all."""
    pytest.importorskip("torch", reason=WHY_TORCH)
    folder = tmp_path_factory.mktemp("run")
    write_images(folder / "data.npz")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clock, "DETAIL_SECONDS", 0.0)
        out = api.run(
            write_skip_net(folder / "net.onnx"), data=folder / "data.npz", out=folder / "out", exits=2,
            max_drop=100, epochs=2, objective="latency",
        ).out  # fmt: skip
    info, summary = (json.loads((out / name).read_text()) for name in ("run.json", "summary.json"))
    return Told((out / "run.log").read_text(), info, summary)


@needs_torch
def test_the_log_says_no_name_that_the_result_does_not_have(told: Told) -> None:
    trained = [line for line in told.log.splitlines() if ": epoch " in line]
    tried = {*told.kept.values(), *told.removed}
    assert len(tried) >= 2 and told.removed, "names change where some are not kept"
    assert {name for line in trained for name in line[13:].split(": epoch ")[0].split(" + ")} == tried
    names = set(re.findall(r"\bexit_\d+", told.log))
    assert names == told.kept.keys()
    for name, words in told.kept.items():
        assert f"{name} is the {words}" in told.log
    assert not any(re.search(r"\bexit_\d+", line) for line in trained), "numbers are not known yet"


@needs_torch
def test_training_curves_are_by_the_names_of_the_files(told: Told) -> None:
    names = {*told.kept, *told.removed}
    assert set(told.info["training"]["trained"]) == names
    assert all(set(epoch["accuracy"]) - {"final"} == names for epoch in told.info["training"]["epochs"])


@pytest.mark.parametrize("kept", [(0, 1), (1,), ()])
def test_kept_exits_are_numbered_the_others_say_what_they_are(kept: tuple[int, ...]) -> None:
    made = evidence(kept)
    network = made.prepared.graph, made.prepared.mount_names
    exits = candidate_exits(*network)
    names = names_in_files(*network, made.chosen.kept.exits)
    assert list(names) == [item.name for item in exits]
    for number, item in enumerate(exits):
        assert names[item.name] == (f"exit_{kept.index(number)}" if number in kept else str(item))
    assert called(*network) == {item.name: str(item) for item in exits}


def test_logs_are_renamed_in_all_their_parts() -> None:
    epochs = [{"epoch": 1, "accuracy": {"exit_1": 0.5, "final": 0.9}}]
    log = {"trained": ["exit_1"], "epochs": epochs, "static": {"epochs": [{"accuracy": {"final": 1.0}}]}}
    found = renamed({"images": 3, "training": log}, {"exit_1": "exit_0"})
    assert found == {
        "images": 3,
        "training": {
            "trained": ["exit_0"],
            "epochs": [{"epoch": 1, "accuracy": {"exit_0": 0.5, "final": 0.9}}],
            "static": {"epochs": [{"accuracy": {"final": 1.0}}]},
        },
    }
    assert log["trained"] == ["exit_1"], "what is kept in the cache stays as it is"
