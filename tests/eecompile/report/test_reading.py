"""Files of a run as the report reads them: all there is, what may be absent, what is damaged."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from eecompile.report.reading import LayerRow, read_run
from eecompile.run_files.samples import write_samples
from eecompile.run_files.summary import Summary
from passes.errors import InputError
from tests.eecompile.fabricated_run import LAYERS, run_info, samples, summary, trace, write_run
from tests.eecompile.report.made_traces import tiled, trace_of


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = read_run(write_run(tmp_path))
    assert found.summary == Summary.model_validate(summary())
    assert found.info == run_info(with_data=True)
    written = json.loads(json.dumps(trace()))
    assert [{**event, "name": ""} for event in found.events] == [{**event, "name": ""} for event in written]
    assert found.schedule is None, "a trace that says nothing beside its events"
    rows = list(csv.DictReader((tmp_path / "layers.csv").read_text().splitlines()))
    assert len(found.layers) == len(LAYERS)
    for layer, row in zip(found.layers, rows, strict=True):
        for key, text in row.items():
            value = getattr(layer, key)
            assert value == (float(text) if isinstance(value, float) else text), key


def test_layers_are_called_by_the_users_nodes_in_the_trace_too(tmp_path: Path) -> None:
    found = read_run(write_run(tmp_path))
    assert found.names["conv_0"] == "functional_1/conv_0/BiasAdd;functional_1/conv_0/Conv2D"
    told = {event["name"] for event in found.events if event["ph"] == "X"}
    assert told == set(found.names.values())


def test_what_a_trace_says_beside_its_events_is_read(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (run / "schedule.trace.json").write_text(json.dumps(trace_of(tiled())))
    found = read_run(run)
    assert found.schedule is not None and found.schedule.name == "small"
    assert found.events


def test_answers_per_image_are_read_for_the_exits_of_the_run(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert read_run(run).samples is None
    write_samples(run, samples())
    found = read_run(run).samples
    assert found is not None and found.test.prediction.shape == (3, 1000)
    fewer = summary()
    del fewer["exits"][0]
    with pytest.raises(InputError, match="does not fit the run"):
        read_run(write_run(tmp_path, fewer))


def test_a_trace_may_be_a_list_of_events(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (run / "schedule.trace.json").write_text('[{"ph": "X"}]')
    found = read_run(run)
    assert (found.events, found.schedule) == (({"ph": "X"},), None)


def test_the_summary_alone_is_a_run(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    for name in ("run.json", "layers.csv", "schedule.trace.json"):
        (run / name).unlink()
    found = read_run(run)
    assert (found.info, found.layers, found.events, found.schedule) == ({}, (), (), None)


def test_a_number_that_is_empty_or_has_no_column_is_zero(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (run / "layers.csv").write_text("name,macs,energy_pj,invented\nconv,,2.5,7\nrelu\n")
    assert read_run(run).layers == (LayerRow("conv", energy_pj=2.5), LayerRow("relu"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", "{", "is not JSON"),
        ("run.json", "[]", "no JSON object"),
        ("schedule.trace.json", '{"traceEvents": 3}', "no trace events"),
        ("schedule.trace.json", "[3]", "no trace events"),
        ("schedule.trace.json", "", "is not JSON"),
        ("layers.csv", "name,macs\nconv_0,many\n", "is damaged"),
        ("summary.json", "{}", "Field required"),
    ],
)
def test_damaged_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    run = write_run(tmp_path)
    (run / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_run(run)
    assert name in caught.value.message


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    for name in ("run.json", "layers.csv", "schedule.trace.json"):
        run = write_run(tmp_path / name)
        (run / name).unlink()
        (run / name).mkdir()
        with pytest.raises(InputError, match=f"^cannot read .*{name}: Is a directory$"):
            read_run(run)


@pytest.mark.parametrize("name", ["gone", "file"])
def test_what_is_no_folder_is_no_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("{}")
    with pytest.raises(InputError, match=f"{name} is not a run directory") as caught:
        read_run(tmp_path / name)
    assert caught.value.hint == "give the folder that a run was written to"
