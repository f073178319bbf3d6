"""`eecompile cost` with accelerator files, mapping files and the options of the search."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eecompile.cli import main as cli
from eecompile.verbs.work import cost
from passes.progress import Count
from tests.eecompile.cli.table_rows import cells
from tests.eecompile.small_models import write_skip_net
from tests.targets.small_arch import small_text

MAPPING = """
- name: default
  spatial_mapping: {D1: ["K, 4"], D2: ["C, 4"]}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return a model, an accelerator and a mapping by the words that stand for them in the tests."""
    folder = tmp_path_factory.mktemp("cost")
    (folder / "small.yaml").write_text(small_text())
    (folder / "mapping.yaml").write_text(MAPPING)
    return {
        "MODEL": str(write_skip_net(folder / "net.onnx")),
        "FILE": str(folder / "small.yaml"),
        "MAPPING": str(folder / "mapping.yaml"),
        "FOLDER": str(folder),
    }


def call(files: dict[str, str], *arguments: str, columns: int = 80) -> Result:
    given = ["cost", *(files.get(a, a) for a in arguments)]
    return CliRunner().invoke(cli.app, given, env={"COLUMNS": str(columns)})


def document(files: dict[str, str], *arguments: str) -> dict[str, Any]:
    result = call(files, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


SEARCH = ("MODEL", "--target", "FILE", "--mapping", "MAPPING")


def test_a_file_is_a_target(files: dict[str, str]) -> None:
    found = document(files, *SEARCH)
    assert (found["target"], found["cost_model"]) == ("small", "engine")
    assert found["bits"] == {"weight": 8, "activation": 8, "partial_sum": 16, "logits": 8}
    assert "16-bit partial sums" in found["notes"][0], "an assumption nobody asked for is said"
    assert (found["locality"], found["fusion"], found["lpf_limit"]) == ("on", "on", 6)
    assert found["total"]["latency_s"] is None and found["total"]["edp_j_cycles"] > 0
    keys = {"name", "op_type", "origin", "core", "macs", "latency_cycles", "energy_pj", "utilization"}
    assert keys | {"bound_cycles", "mapping", "latency", "energy", "gap"} <= found["layers"][0].keys()


def test_bits_override_what_a_file_is_costed_at(files: dict[str, str]) -> None:
    wide, narrow = (document(files, *SEARCH, "--bits", bits) for bits in ("16,16,32", "4,4,16"))
    assert wide["bits"] == {"weight": 16, "activation": 16, "partial_sum": 32, "logits": 16}
    assert wide["notes"] == [] and wide["layers"][0]["bits"]["weight"] == 16
    assert wide["total"]["energy_pj"] > narrow["total"]["energy_pj"]


def test_without_locality_each_layer_goes_off_chip(files: dict[str, str]) -> None:
    on, off = (document(files, *SEARCH, "--locality", value) for value in ("on", "off"))
    assert off["locality"] == "off"
    assert on["total"]["energy_pj"] < off["total"]["energy_pj"]
    accesses = [a for layer in off["layers"] for a in layer["energy"]["accesses"] if a["memory"] == "dram"]
    assert off["energy"][-1]["offchip_pj"] == pytest.approx(sum(a["energy_pj"] for a in accesses))
    for layer in off["layers"]:
        assert {"I", "O"} <= {a["operand"] for a in layer["energy"]["accesses"] if a["memory"] == "dram"}


def test_without_fusion_every_node_is_a_layer(files: dict[str, str]) -> None:
    fused, apart = (document(files, *SEARCH, "--fusion", value) for value in ("on", "off"))
    assert [x["op_type"] for x in fused["layers"]].count("Relu") == 0
    relus = [x for x in apart["layers"] if x["op_type"] == "Relu"]
    assert len(relus) == 3 and all(x["energy_pj"] > 0 for x in relus)
    assert all(len(x["origin"]) <= 1 for x in apart["layers"])
    assert document(files, "MODEL", "--fusion", "off")["fusion"] == "off", "closed forms can do that too"


def test_saved_mappings_give_the_same_cost(files: dict[str, str], tmp_path: Path) -> None:
    saved = str(tmp_path / "new" / "saved.yaml")
    whole = ("--exits", "1", "--schedule", "layers")
    first = document(files, *SEARCH, *whole, "--save-mapping", saved)
    again = document(files, "MODEL", "--target", "FILE", *whole, "--mapping", saved)
    assert again["total"] == first["total"] and again["exits"] == first["exits"]
    assert [x["mapping"] for x in again["layers"]] == [x["mapping"] for x in first["layers"]]
    assert again["warnings"] == first["warnings"] == []
    assert not any("mappings" in note for note in first["notes"])


def test_layers_in_tiles_have_no_mapping_to_save(files: dict[str, str], tmp_path: Path) -> None:
    saved = tmp_path / "saved.yaml"
    first = document(files, *SEARCH, "--objective", "latency", "--save-mapping", str(saved))
    whole = {x["name"]: x for x in first["layers"] if x["tiles"] == 1}
    cut = len(first["layers"]) - len(whole)
    assert whole and cut, "the test needs both"
    assert f"holds {len(whole)} of {len(first['layers'])} mappings" in first["notes"][-1]
    again = document(files, *SEARCH[:3], "--objective", "latency", "--mapping", str(saved))
    for layer in again["layers"]:
        if layer["name"] in whole:
            was = whole[layer["name"]]
            assert (layer["mapping"], layer["core"]) == (was["mapping"], was["core"])
            assert layer["energy"] == was["energy"] and layer["latency"] == was["latency"]


def test_a_longer_search_is_never_worse(files: dict[str, str]) -> None:
    short, long = (
        document(files, *SEARCH, "--objective", "latency", "--locality", "off", "--lpf-limit", limit)
        for limit in ("3", "6")
    )
    assert (short["lpf_limit"], long["lpf_limit"]) == (3, 6)
    assert long["total"]["latency_cycles"] <= short["total"]["latency_cycles"]


def test_a_full_search_proves_its_gap(files: dict[str, str]) -> None:
    found = document(files, *SEARCH, "--lpf-limit", "full")
    assert found["lpf_limit"] == "full"
    assert all(layer["gap"] is not None and layer["gap"] >= 0 for layer in found["layers"])


def test_tables_fit_80_columns(files: dict[str, str]) -> None:
    result = call(files, *SEARCH, "--breakdown")
    assert result.exit_code == 0
    assert max(len(text.rstrip()) for text in result.stdout.splitlines()) <= 80
    heading = next(text for text in result.stdout.splitlines() if text.split()[:2] == ["layer", "core"])
    assert heading.split() == ["layer", "core", "tiles", "MACs", "cycles", "stall", "energy", "used"]
    assert "\n all layers " in result.stdout
    for title in ("Cores, links and ports until", "Memories on chip", "Energy: cores at work, and moves"):
        assert title in result.stdout
    for what in ("Energy by memory and operand", "Latency by part", "first loads", "sram", "array"):
        assert what in result.stdout
    assert "Energy by memory" not in call(files, *SEARCH).stdout


def test_tables_of_closed_forms_fit_80_columns(files: dict[str, str]) -> None:
    result = call(files, "MODEL", "--exits", "1")
    lines = [text.rstrip() for text in result.stdout.splitlines()]
    first = next(i for i, text in enumerate(lines) if text.split()[:3] == ["layer", "core", "exit"])
    rows = lines[first + 2 : lines.index("", first)]
    assert max(map(len, rows)) <= 80 and all(len(row.split()) >= 8 for row in rows), "one line per layer"


def test_diana_shows_how_far_its_models_lie_apart(files: dict[str, str]) -> None:
    found = document(files, "MODEL")
    assert list(found["models"]) == ["match", "odimo", "engine"]
    assert found["models"]["match"] == found["total"]["latency_cycles"]
    assert (
        found["models"]["engine"]
        == document(files, "MODEL", "--cost-model", "engine")["total"]["latency_cycles"]
    )
    assert (found["locality"], found["lpf_limit"]) == (None, None)
    assert "The whole network by cost model: match" in call(files, "MODEL", columns=200).stdout


def test_a_named_target_of_the_engine(files: dict[str, str]) -> None:
    found = document(files, "MODEL", "--target", "edge_tpu_quad")
    assert found["target"] == "edge_tpu_quad" and found["models"] == {}
    assert found["notes"] == []
    used = {core for x in found["layers"] for core in x["cores"]}
    assert {"core_0", "simd", "pooling"} <= used <= {f"core_{i}" for i in range(4)} | {"simd", "pooling"}


def test_layers_are_whole_split_or_fused_as_asked(files: dict[str, str]) -> None:
    quad = ("MODEL", "--target", "edge_tpu_quad", "--objective", "latency")
    whole, split, fused = (
        document(files, *quad, "--schedule", mode) for mode in ("layers", "split", "fused")
    )
    assert [x["schedule"]["mode"] for x in (whole, split, fused)] == ["layers", "split", "fused"]
    assert all(x["tiles"] == 1 and x["cores"] == [x["core"]] and x["axis"] == "" for x in whole["layers"])
    assert any(x["tiles"] > 1 and x["axis"] in ("K", "OY") for x in split["layers"])
    assert split["total"]["latency_cycles"] < whole["total"]["latency_cycles"]
    assert document(files, *quad)["total"] == fused["total"], "fused is the default"
    assert whole["schedule"]["runs"] == len(whole["layers"])
    for found in (whole, split, fused):
        groups = [x["group"] for x in found["layers"] if x["group"] is not None]
        assert set(groups) == set(range(1, found["schedule"]["groups"] + 1))
        assert all(groups.count(number) > 1 for number in groups)
    assert whole["schedule"]["groups"] == split["schedule"]["groups"] == 0


def test_fused_layers_are_counted(files: dict[str, str]) -> None:
    found = document(files, "MODEL", "--target", "edge_tpu_quad")
    count = sum(x["group"] is not None for x in found["layers"])
    groups = found["schedule"]["groups"]
    said = f"{count} layers fused in {groups} group" if groups else "nothing fused"
    text = call(files, "MODEL", "--target", "edge_tpu_quad", columns=250).stdout
    assert said in text and "activations fused" in text


def test_weights_stay_or_are_fetched(files: dict[str, str]) -> None:
    kept, fetched = (document(files, *SEARCH, "--weights", value) for value in ("keep", "fetch"))
    assert kept["schedule"]["weights"] == "keep" and fetched["schedule"]["weights"] == "fetch"
    names = {x["layer"] for x in kept["schedule"]["resident"]}
    assert names <= {x["name"] for x in kept["layers"] if x["bits"]["weight"]} and names
    assert fetched["schedule"]["resident"] == []
    assert kept["total"]["energy_pj"] < fetched["total"]["energy_pj"]
    assert "All weights are fetched for each" in call(files, *SEARCH, "--weights", "fetch").stdout
    assert f"Weights of {len(names)} of " in call(files, *SEARCH, columns=200).stdout


def test_shares_of_inputs_give_expected_costs(files: dict[str, str]) -> None:
    asked = (*SEARCH, "--exits", "1", "--ratios", "0.7,0.3")
    found = document(files, *asked, "--speculate")
    assert found["ratios"] == [0.7, 0.3] and found["expected"]["speculation"] is True
    costs = [x["speculative"] for x in found["exits"]]
    assert found["expected"]["energy_pj"] == pytest.approx(
        0.7 * costs[0]["energy_pj"] + 0.3 * costs[1]["energy_pj"]
    )
    without = document(files, *asked)
    assert without["expected"]["speculation"] is False and "speculative" not in without["exits"][0]
    assert [{k: v for k, v in x.items() if k != "speculative"} for x in found["exits"]] == without["exits"]
    result = call(files, *asked, "--speculate")
    assert max(len(text.rstrip()) for text in result.stdout.splitlines()) <= 80
    assert "With speculation" in result.stdout and "\n expected " in result.stdout
    assert "Expected energy times expected latency is" in result.stdout
    assert document(files, *SEARCH, "--exits", "1")["expected"] is None


def test_figures_of_the_schedule_add_up(files: dict[str, str]) -> None:
    found = document(files, *SEARCH, "--exits", "1")
    assert found["schedule"]["latency_cycles"] == found["total"]["latency_cycles"]
    assert max(x["end_cycle"] for x in found["layers"]) <= found["total"]["latency_cycles"]
    assert sum(x["energy_pj"] for x in found["layers"]) == pytest.approx(found["total"]["energy_pj"])
    for path, split in zip(found["exits"], found["energy"], strict=True):
        assert split["exit"] == path["name"]
        assert sum(v for k, v in split.items() if k != "exit") == pytest.approx(path["energy_pj"])
    for memory in found["memories"]:
        assert memory["peak_bits"] == max(memory["peaks_bits"])
        assert memory["capacity_bits"] is None or memory["peak_bits"] <= memory["capacity_bits"]
    assert all(
        0 <= w <= t <= 1 for x in found["utilization"] for w, t in zip(x["working"], x["taken"], strict=True)
    )


def test_the_exact_solver_is_never_worse_and_says_how_far_it_is(files: dict[str, str]) -> None:
    pytest.importorskip("ortools")
    asked = (*SEARCH, "--schedule", "layers", "--objective", "latency")
    first, found = document(files, *asked), document(files, *asked, "--solver", "exact", "--time-limit", "20")
    exact = found["exact"]
    assert first["exact"] is None
    assert exact["value"] == found["total"]["latency_cycles"] <= first["total"]["latency_cycles"]
    assert 0 < exact["bound"] <= exact["value"] and exact["gap"] == 1 - exact["bound"] / exact["value"]
    assert "seconds" not in exact, "two runs give the same document"
    text = call(files, *asked, "--solver", "exact", "--time-limit", "20", columns=200).stdout
    said = "is proven best" if exact["proven"] else "above the best (not proven)"
    assert said in text


def test_a_trace_holds_the_schedule(files: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "new" / "trace.json"
    found = document(files, *SEARCH, "--exits", "1", "--trace", str(path))
    trace = json.loads(path.read_text())
    assert [x["end_cycle"] for x in trace["otherData"]["stages"]] == [
        x["latency_cycles"] for x in found["exits"]
    ]
    names = {event["name"] for event in trace["traceEvents"] if event["ph"] == "X"}
    assert {x["name"] for x in found["layers"]} <= names


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (
            ["--mapping", "MAPPING"],
            "--mapping needs a target whose search of mappings has options",
            "another target",
        ),
        (["--locality", "off"], "--locality needs a target", "leave --locality away"),
        (["--lpf-limit", "4"], "diana with cost model 'match' has none", "leave --lpf-limit away"),
        (["--lpf-limit", "4", "--cost-model", "engine"], "whose search of mappings has options", "leave"),
        (["--save-mapping", "m.yaml", "--cost-model", "engine"], "--save-mapping needs a target", "leave"),
        (["--target", "FILE", "--host-scale", "2"], "small has none", "leave --host-scale away"),
        (["--target", "FILE", "--cost-model", "match"], "'small' has no cost model 'match'", "engine"),
        (["--target", "missing.yaml"], "there is no such file", "the path of a .yaml"),
        (
            ["--target", "tpu_like"],
            "is neither a target nor a file",
            "the path of the .yaml of an accelerator",
        ),
        (["--target", "FOLDER"], "it is a folder", "the path of the .yaml of an accelerator"),
        (["--target", "MAPPING"], "holds mappings, not an accelerator", "give it with --mapping"),
        (["--target", "dianna"], "unknown target 'dianna'", "did you mean 'diana'?"),
        (
            ["--target", "FILE", "--mapping", "missing.yaml"],
            "cannot read the mapping file",
            "the path of a .yaml",
        ),
        (["--target", "FILE", "--mapping", "FILE"], "describes an accelerator", "give it with --target"),
        (["--target", "FILE", "--bits", "8,8"], "--bits 8,8", "--bits 8,8,16"),
        (["--target", "FILE", "--bits", "8,0,16"], "from 1 to 64", "--bits 8,8,16"),
        (["--target", "FILE", "--bits", "8,16,8"], "narrower than 16-bit activations", "partial sums"),
        (["--target", "FILE", "--locality", "of"], "--locality of", "did you mean"),
        (["--schedule", "split"], "--schedule split: diana with cost model 'match' takes", "layers or rows"),
        (["--schedule", "fused"], "takes layers or rows", "fused is taken by edge_tpu_quad"),
        (["--target", "gap9", "--schedule", "rows"], "takes layers", "rows is taken by diana"),
        (["--target", "FILE", "--schedule", "rows"], "takes layers, split or fused", "is taken by diana"),
        (["--weights", "keep"], "costs whole layers", "whose mappings are searched"),
        (["--weights", "keep"], "--weights keep: the cost model", "--weights fetch"),
        (
            ["--target", "FILE", "--locality", "off", "--schedule", "split"],
            "--locality off keeps all of them off chip",
            "leave one of the two away",
        ),
        (
            ["--schedule", "tiles"],
            "--schedule tiles: expected layers, split, fused or rows",
            "did you mean 'layers'",
        ),
        (["--weights", "kept"], "--weights kept: expected keep or fetch", "did you mean 'keep'"),
        (["--ratios", "0.5;0.5"], "--ratios 0.5;0.5: expected numbers", "--ratios 0.6,0.3,0.1"),
        (["--ratios", "0.5,0.5"], "whatever --ratios says", "insert exits with --exits"),
        (["--exits", "1", "--ratios", "1"], "1 ratios for 2 exits", "the final one included"),
        (["--speculate"], "has no early exit", "--exits"),
        (["--speculate", "--solver", "exact"], "not of the exact one", "leave --speculate or --solver exact"),
        (["--solver", "best"], "--solver best: no such solver", "default"),
        (["--time-limit", "5"], "--time-limit is when the exact solver stops", "add --solver"),
        (["--time-limit", "5", "--solver", "default"], "that of the exact solver", "add --solver exact"),
        (["--solver", "exact", "--time-limit", "-1"], "--time-limit -1.0 is not a time", "seconds above 0"),
        (["--target", "FILE", "--trace", "FOLDER"], "is a folder", "schedule.trace.json"),
        (["--fusion", "maybe"], "--fusion maybe", "known: off, on"),
        (["--target", "FILE", "--lpf-limit", "0"], "--lpf-limit 0", "6 is the default"),
        (["--target", "FILE", "--lpf-limit", "all"], "--lpf-limit all", "6 is the default"),
        (["--target", "FILE", "--save-mapping", "MODEL/m.yaml"], "is a file", "give a folder"),
        (["--target", "FILE", "--save-mapping", "FOLDER"], "is a folder", "give a file, such as "),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    files: dict[str, str],
    arguments: list[str],
    message: str,
    fix: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [a.replace("MODEL/", f"{files['MODEL']}/") for a in arguments]
    result = call(files, "MODEL", *given)
    assert result.exit_code == 2, result.stdout + result.stderr
    assert result.stdout == "" and "Traceback" not in result.stderr
    assert message in result.stderr and fix in result.stderr
    assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_a_mapping_of_another_layer_names_the_layer(files: dict[str, str], tmp_path: Path) -> None:
    saved = tmp_path / "saved.yaml"
    document(files, *SEARCH, "--schedule", "layers", "--save-mapping", str(saved))
    saved.write_text(saved.read_text().replace("[OX, ", "[OY, "))
    result = call(files, "MODEL", "--target", "FILE", "--mapping", str(saved))
    assert result.exit_code == 2
    assert f"{saved}: layer 'conv_0' on core 'mac_array_0'" in result.stderr
    assert "saved from another network or target? save it again with --save-mapping" in result.stderr


def test_long_searches_tell_each_layer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "DETAIL_SECONDS", 0.001)
    told: list[str] = []
    count = Count("layers", None)
    with cost._Ticker(told.append, count) as ticker:
        for layer in ("conv_0", "conv_1"):
            ticker(layer)
            time.sleep(0.1)
    assert told == ["search mappings: conv_0", "search mappings: conv_1"]
    assert count.done == 2


@pytest.mark.parametrize("rules", [None, "exact", "zigzag"])
def test_the_rules_of_latency_are_said_in_tables_and_documents(
    files: dict[str, str], rules: str | None
) -> None:
    told = [] if rules is None else ["--rules", rules]
    assert document(files, *SEARCH, *told)["rules"] == (rules or "exact")
    assert (
        f"temporal factors per layer, {rules or 'exact'} rules."
        in call(files, *SEARCH, *told, columns=200).stdout
    )
    assert document(files, "MODEL")["rules"] is None, "closed forms have none"


def test_exits_are_shown_beside_the_network_without(files: dict[str, str]) -> None:
    alone = cells(call(files, "MODEL").stdout, "Exit paths: all that runs when an image leaves there")[1]
    shown = call(files, "MODEL", "--exits", "1")
    table = cells(shown.stdout, "Exit paths: all that runs when an image leaves there")
    table = [row for row in table if row[0]]  # intervals are on lines below
    assert [row[0] for row in table[1:]] == ["exit_0", "final", "no exits"]
    assert table[3][1:6] == alone[1:6]
    given = call(files, "MODEL", "--exits", "1", "--ratios", "0,1")
    rows = cells(given.stdout, "Exit paths: all that runs when an image leaves there")
    assert [row[0] for row in rows[1:] if row[0]] == ["exit_0", "final", "no exits", "expected"]
    for result in (shown, given):
        assert "Break-even of the mean energy-delay product with no exits: " in result.stdout.replace(
            "\n", " "
        )
    # All go to the end and pay for the head as well: that comes first, and once.
    text = " ".join(given.stdout.split())
    assert text.count("is above that of the network without exits") == 1
    assert given.stdout.splitlines()[1].startswith("Warning: with these exits and the given shares")
    assert "without exits" not in call(files, "MODEL").stdout
