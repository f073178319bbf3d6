"""Every JSON that is written fits its schema, and documents of all versions are read or refused by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from eecompile import api, report
from eecompile.cli.main import app
from eecompile.run_files.summary import load_summary
from eecompile.search.reasons import reason_of
from eecompile.search.searching import read_front
from eecompile.search.shown.study import shown_study
from eecompile.verbs.work.replay import replay_run
from passes.errors import InputError
from passes.shown_result import ShownResult
from tests.documents import FIXTURES, SCHEMAS, fixture, valid
from tests.eecompile.fabricated_run import write_run
from tests.eecompile.runtime.small_run import write_small_run
from tests.eecompile.serving.test_simulation import load, quietly
from tests.eecompile.small_models import write_skip_net
from tests.eecompile.verbs.work.test_export import write_exported

NAMES = sorted(path.stem for path in SCHEMAS.glob("*.json"))
WITHOUT_VERSION = ("overlay-1", "trace-1")


def kept(name: str) -> dict[str, Any]:
    return fixture(*((part := name.rpartition("-"))[0], int(part[2])))


def test_each_verb_that_answers_as_json_has_a_schema() -> None:
    group: Any = typer.main.get_group(app)
    verbs = {name for name, verb in group.commands.items() if any("--json" in p.opts for p in verb.params)}
    answers = {name.rpartition("-")[0] for name in NAMES} | {"retune"}  # it answers as `run` does
    assert verbs <= answers


def test_each_version_has_a_schema_and_a_document_that_was_kept() -> None:
    assert {path.stem for path in FIXTURES.glob("*.json")} == set(NAMES)
    assert len(NAMES) > 25


@pytest.mark.parametrize("name", NAMES)
def test_documents_that_were_kept_fit_and_others_do_not(name: str) -> None:
    document = kept(name)
    valid(name.rpartition("-")[0], document)
    assert ("schema_version" in document) == (name not in WITHOUT_VERSION)
    if name != "overlay-1":
        with pytest.raises(AssertionError, match="made_up"):
            valid(name.rpartition("-")[0], document | {"made_up": 1})


def made_run(at: Path) -> Path:
    return write_run(at / "run")


def same_twice(at: Path) -> ShownResult:
    return api.compare([made_run(at), made_run(at / "other")], ["expected.edp_j_cycles > 1"])


def network(at: Path) -> Path:
    return write_skip_net(at / "net.onnx")


WRITTEN: dict[str, Callable[[Path], ShownResult]] = {
    "cost": lambda at: api.cost(network(at), exits=1, ratios=[0.5, 0.5], speculate=True),
    "inspect": lambda at: api.inspect(network(at)),
    "opt": lambda at: api.opt(network(at), "canonicalize", verify_each=True),
    "targets": lambda _: api.targets(),
    "passes": lambda _: api.passes(),
    "cache": lambda at: api.cache(at / "none"),
    "report": lambda at: api.report(made_run(at)),
    "compare": same_twice,
    "run": lambda at: api.run(network(at), exits=1, out=at / "out"),
    "simulate": lambda _: quietly(load(90.0, requests=50), ["fifo"], True),
    "export": lambda at: api.export(write_exported(at / "integers"), c=True),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_answers_fit_their_schemas(name: str, tmp_path: Path) -> None:
    path = WRITTEN[name](tmp_path).save(tmp_path / "answer.json")
    valid(name, json.loads(path.read_text()))


def test_a_described_accelerator_tells_more_of_its_layers(tmp_path: Path) -> None:
    found = api.cost(network(tmp_path), target="edge_tpu_quad", schedule="fused").to_json()
    assert any("mapping" in layer for layer in found["layers"])
    valid("cost", json.loads(json.dumps(found)))


def test_other_forms_of_answers_fit_too(tmp_path: Path) -> None:
    found = quietly(load(300.0, requests=500), ["fifo"], batch="none,fluid:4", known=4, detail=True).to_json()
    assert found["detail"]["rows"][-1]["batch"] == "fluid:4" and len(found["batch_costs"]) == 2
    valid("simulate", json.loads(json.dumps(found)))
    beside = quietly(load(90.0, requests=50, overlap=True), ["fifo"]).to_json()
    assert beside["core_bound"] > 0 and beside["rows"][0]["cores"]
    valid("simulate", json.loads(json.dumps(beside)))
    run, _ = write_small_run(tmp_path / "small")
    for told in (
        api.export(run, model_repository=tmp_path / "models"),
        api.export(run, ray_serve=tmp_path / "ray"),
    ):
        valid("export", json.loads(json.dumps(told.to_json())))


def test_files_beside_answers_fit_theirs(tmp_path: Path) -> None:
    overlay, trace = tmp_path / "overlay.json", tmp_path / "trace.json"
    out = api.run(network(tmp_path), exits=1, out=tmp_path / "out").out
    api.cost(network(tmp_path), exits=1, overlay=overlay, trace=trace)
    valid("overlay", json.loads(overlay.read_text()))
    valid("trace", json.loads(trace.read_text()))
    valid("summary", json.loads((out / "summary.json").read_text()))
    valid("run-info", json.loads((out / "run.json").read_text()))
    for path in (out / "overlay").rglob("*.json"):
        valid("overlay", json.loads(path.read_text()))


def of_search(at: Path) -> None:
    (at / "front.json").write_text(json.dumps(fixture("search-front")))
    (at / "trials.json").write_text(json.dumps(fixture("search-trials")))


def of_run(at: Path) -> None:
    (at / "summary.json").write_text(json.dumps(fixture("summary")))
    (at / "run.json").write_text(json.dumps(fixture("run-info")))


READ: dict[str, tuple[Callable[[Path], None], str, Callable[[Path], object]]] = {
    "summary": (of_run, "summary.json", load_summary),
    "report": (of_run, "run.json", report.render),
    "front": (of_search, "front.json", read_front),
    "shown": (of_search, "trials.json", shown_study),
    "why": (of_search, "trials.json", lambda at: reason_of(at, 0)),
}


@pytest.mark.parametrize("reader", READ)
def test_the_version_that_was_kept_is_read_and_a_later_one_refused(reader: str, tmp_path: Path) -> None:
    write, name, read = READ[reader]
    write(tmp_path)
    assert read(tmp_path)
    document = json.loads((tmp_path / name).read_text())
    (tmp_path / name).write_text(
        json.dumps(document | {"schema_version": 99, "objectives": "of another form"})
    )
    with pytest.raises(
        InputError, match=f"{name} has schema_version 99, and this eecompile reads 1"
    ) as refused:
        read(tmp_path)
    assert "update eecompile" in refused.value.hint


def test_a_run_of_a_later_version_is_not_replayed(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(fixture("run-info") | {"schema_version": 2}))
    with pytest.raises(InputError, match="has schema_version 2"):
        replay_run({"replay": tmp_path}, lambda _: None)


def test_a_document_without_a_version_is_of_the_first(tmp_path: Path) -> None:
    of_run(tmp_path)
    for name in ("summary.json", "run.json"):
        document = copy.deepcopy(json.loads((tmp_path / name).read_text()))
        del document["schema_version"]
        (tmp_path / name).write_text(json.dumps(document))
    assert report.render(tmp_path)
