"""The zoo: what it makes, how it judges, and that it finds what crashes, hangs or answers untruly."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.needs import needs_torch
from tools import zoo
from tools.forked import Ended
from tools.fuzz import Verb
from tools.zoo_networks import ANY, NETWORKS, QUANTIZED, Network, quantized

SOME = ("mlp", "custom_operator")


def made(folder: Path, monkeypatch: pytest.MonkeyPatch, names: Sequence[str] = SOME) -> Path:
    monkeypatch.setattr(zoo, "NETWORKS", [network for network in NETWORKS if network.name in names])
    monkeypatch.setattr(zoo, "FOREIGN", ())
    monkeypatch.setattr(zoo, "QUANTIZED", {})
    monkeypatch.setattr(zoo, "_exports", lambda _: {})
    assert zoo.main([str(folder), "--make"]) == 0
    return folder


def test_there_are_forty_networks_without_torch_each_with_a_name_of_its_own() -> None:
    names = [network.name for network in NETWORKS] + list(QUANTIZED)
    assert len(names) == len(set(names)) >= 40
    wrong = [network for network in NETWORKS if network.expected.get(ANY, "ok") != "ok"]
    assert len(wrong) >= 5


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_network_is_made_alike_each_time(network: Network) -> None:
    assert network.build().SerializeToString() == network.build().SerializeToString()


@pytest.mark.parametrize("name", ["qdq_own", "qoperator"])
def test_the_quantizer_of_onnxruntime_writes_what_its_name_says(name: str, tmp_path: Path) -> None:
    operators = {node.op_type for node in quantized(tmp_path, **QUANTIZED[name]).graph.node}
    assert ("QLinearConv" in operators) == (name == "qoperator")
    assert ("DequantizeLinear" in operators) and (("Conv" in operators) == (name != "qoperator"))


def test_every_verb_over_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "zoo", monkeypatch)
    assert zoo.main([str(folder), "--jobs", "2"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows[:-1]] == ["custom_operator.onnx"] * 5 + ["mlp.onnx"] * 5
    assert rows[-1] == "2 files, 10 commands: 5 ok, 5 refused, 0 crashed, 0 hung, 0 unexpected"
    assert all("custom operators: com.example::Magic" in row for row in rows[:5])
    assert all(" ok " in row for row in rows[5:10])
    assert {path.name for path in folder.iterdir()} == {"mlp.onnx", "custom_operator.onnx", zoo.EXPECTED}


def test_the_same_as_one_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "zoo", monkeypatch, ["mlp"])
    capsys.readouterr()
    assert zoo.main([str(folder), "--json"], lambda _: None) == 0
    document = json.loads(capsys.readouterr().out)
    assert [answer["verb"] for answer in document["answers"]] == [
        "cost diana",
        "cost edge_tpu_quad",
        "cost gap9",
        "inspect",
        "opt",
    ]
    assert all(answer["outcome"] == "ok" and answer["seconds"] >= 0 for answer in document["answers"])
    assert document["summary"].startswith("1 files, 5 commands: 5 ok")


def crash(_: Sequence[str]) -> None:
    raise KeyError("planted")


def die(_: Sequence[str]) -> None:
    os.abort()


def hang(_: Sequence[str]) -> None:
    while True:
        pass


def refuse(_: Sequence[str]) -> None:
    print("error: planted")
    raise SystemExit(2)


def refuse_without_a_reason(_: Sequence[str]) -> None:
    raise SystemExit(2)


@pytest.mark.parametrize(
    ("planted", "outcome"),
    [
        (crash, "crashed"),
        (die, "crashed"),
        (hang, "hung"),
        (refuse, "unexpected"),
        (refuse_without_a_reason, "crashed"),
    ],
)
def test_what_is_planted_is_found(
    planted: Verb,
    outcome: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = made(tmp_path / "zoo", monkeypatch, ["mlp"])

    def verb(arguments: Sequence[str]) -> None:
        if arguments[0] == "inspect":
            planted(arguments)

    assert zoo.main([str(folder), "--seconds", "1"], verb) == 1
    assert f"4 ok, 0 refused, {int(outcome == 'crashed')} crashed" in (shown := capsys.readouterr().out)
    assert f"1 {outcome}" in shown


def test_run_of_a_file_that_is_no_model_is_refused_by_run_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "zoo", monkeypatch, ["custom_operator"])
    assert zoo.main([str(folder), "--run"]) == 0
    shown = capsys.readouterr().out
    assert "6 refused, 0 crashed" in shown
    (row,) = [line for line in shown.splitlines() if f" {zoo.RUN} " in line]
    assert "custom operators: com.example::Magic" in row


def ended(code: int, said: str) -> Ended:
    return Ended(code, False, said, (), 1.0)


@pytest.mark.parametrize(
    ("code", "said", "expected", "outcome"),
    [
        (0, "fine", "ok", "ok"),
        (0, "fine", None, "ok"),
        (0, "fine", "batch of 4", "unexpected"),
        (2, "error: a batch of\n  4", "batch of 4", "refused"),
        (1, "error: no core takes it", None, "refused"),
        (1, "error: no core takes it", "ok", "unexpected"),
        (2, "error: no core takes it", "batch of 4", "unexpected"),
        (70, "error: internal error", "ok", "crashed"),
        (-11, "", None, "crashed"),
    ],
)
def test_how_a_command_is_judged(code: int, said: str, expected: str | None, outcome: str) -> None:
    assert zoo.judged("a.onnx", "cost", ended(code, said), expected).outcome == outcome


@needs_torch
def test_run_gets_images_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "zoo", monkeypatch, ["cnn"])

    def verb(arguments: Sequence[str]) -> None:
        if arguments[0] == "run":
            with np.load(arguments[arguments.index("--data") + 1]) as images:
                assert images["test_x"].shape == (16, 4, 16, 16) and int(images["classes"]) == 4

    assert zoo.main([str(folder), "--run"], verb) == 0
    assert "1 files, 6 commands: 6 ok" in capsys.readouterr().out


def test_bad_use(tmp_path: Path) -> None:
    for arguments in ([str(tmp_path)], [str(tmp_path), "--jobs", "0"], [str(tmp_path), "--seconds", "0"]):
        with pytest.raises(SystemExit):
            zoo.main(arguments, refuse)
