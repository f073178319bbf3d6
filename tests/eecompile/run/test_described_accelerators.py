"""Runs with images on an accelerator that a file describes: what is quantized, costed and read again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from eecompile import api
from eecompile.data.digits import load_digits
from eecompile.run import steps
from eecompile.run.accelerator import open_target
from eecompile.runtime import EarlyExitSession
from eecompile.verbs.work.quantize import QuantizeResult
from passes.errors import InputError
from tests.eecompile.run.brief_run import BRIEF, DIGITS, OPTIONS, call
from tests.eecompile.small_models import write_images, write_skip_net
from tests.targets.small_arch import small_text


def described(path: Path, schemes: str = "", sram_bits: int = 1 << 20) -> str:
    """Write an accelerator of one core with some schemes; return the path as text."""
    text = small_text(sram_bits)
    if schemes:
        text = text.replace("kind: mac_array", f"kind: mac_array\n    schemes: {schemes}")
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits on a file that names no schemes, run once."""
    folder = tmp_path_factory.mktemp("described")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "Recipe", BRIEF)
        call(
            "run", DIGITS, *OPTIONS, "--target", described(folder / "mine.yaml"), "--out", folder / "run",
            "--schedule", "layers",
        )  # fmt: skip
    return folder


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def test_figures_are_those_of_any_run(made: Path) -> None:
    found = summary_of(made / "run")
    assert found["target"] == "small" and found["dataset"]["test"] == 450
    assert found["quantization"]["schemes"] == ["int8-channel"]
    assert [text for text in found["warnings"] if "mine.yaml names no `schemes` of core mac_array_0" in text]
    assert not [text for text in found["warnings"] if "are costed at" in text], "nothing is assumed of bits"
    ratios = [item["ratio"] for item in found["exits"]]
    assert len(ratios) == 3 and sum(ratios) == pytest.approx(1) and found["drop"] is not None
    for key in ("energy_pj", "latency_cycles", "macs", "edp_j_cycles"):
        mean = sum(r * item[key] for r, item in zip(ratios, found["exits"], strict=True))
        assert found["expected"][key] == pytest.approx(mean)
    assert found["saving"]["energy"] == pytest.approx(
        1 - found["expected"]["energy_pj"] / found["static"]["energy_pj"]
    )
    info = json.loads((made / "run" / "run.json").read_text())
    assert info["options"]["target"] == str(made / "mine.yaml") and len(info["target_sha256"]) == 64


def test_layers_are_costed_at_the_bits_of_their_scheme(made: Path) -> None:
    with (made / "run" / "layers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["weight_bits"] for row in rows if row["op_type"] in ("Conv", "Gemm")} == {"8"}
    assert {row["core"] for row in rows} == {"mac_array_0"}


def test_the_files_answer_as_the_summary_says(made: Path) -> None:
    found, test = summary_of(made / "run"), load_digits().test
    decisions = EarlyExitSession(made / "run").run(test.x)
    assert float((decisions.label == test.y).mean()) == found["expected"]["accuracy"]
    shares = np.bincount(decisions.exit, minlength=3) / len(test.y)
    assert shares.tolist() == pytest.approx([item["ratio"] for item in found["exits"]])


def test_reports_and_comparisons_read_it_again(made: Path) -> None:
    report = made / "again.html"
    call("report", made / "run", "--out", report)
    assert "on small</title>" in report.read_text()
    folder = made / "other"
    folder.mkdir(exist_ok=True)
    (folder / "summary.json").write_text((made / "run" / "summary.json").read_text())
    for name in ("samples.npz", "run.json"):
        (folder / name).write_bytes((made / "run" / name).read_bytes())
    assert api.compare([made / "run", folder]).notes == ()
    told = summary_of(folder)
    told["target_description"] = "0" * 64
    (folder / "summary.json").write_text(json.dumps(told))
    notes = api.compare([made / "run", folder]).notes
    assert notes[1:] == ("target small is described otherwise",) and "cycles of different clocks" in notes[0]


def test_a_run_is_retuned_on_what_its_file_said(made: Path) -> None:
    """The file is another one by now, and then gone: the run has kept it."""
    path, before = made / "mine.yaml", summary_of(made / "run")
    assert (
        open_target(str(made / "run" / "described_target.yaml"), "", None)[0].arch
        == open_target(str(path), "", None)[0].arch
    )
    try:
        described(path, sram_bits=1 << 16)
        api.retune(made / "run", max_drop=100.0, out=made / "changed")
        path.unlink()
        api.retune(made / "run", max_drop=100.0, out=made / "gone")
    finally:
        described(path)
    for name in ("changed", "gone"):
        after = summary_of(made / name)
        assert after["static"]["energy_pj"] == before["static"]["energy_pj"]
        assert after["target_description"] == before["target_description"] is not None
        assert (made / name / "described_target.yaml").read_text() == (
            made / "run" / "described_target.yaml"
        ).read_text()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_skip_net(folder / "net.onnx")
    write_images(folder / "images.npz")
    return folder


def quantized(small: Path, out: Path, schemes: str, **options: Any) -> QuantizeResult:
    """Quantize a small network by the schemes of a file."""
    out.mkdir()
    file = described(out / "mine.yaml", schemes)
    return api.quantize(small / "net.onnx", str(small / "images.npz"), target=file, out=out / "q", **options)


def weights_of(path: Path) -> list[np.ndarray[Any, Any]]:
    """Return the weights of a file in Q/DQ form, as integers around zero."""
    model = onnx.load(path)
    known = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    found = []
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in known:
            integers = known[node.input[0]].astype(np.int64)
            if integers.ndim > 1:
                found.append(integers - int(known[node.input[2]].ravel()[0]))
    return found


@pytest.mark.parametrize(
    ("schemes", "options", "taken", "most"),
    [
        ("", {}, ["int8-channel"], 127),
        ("[int4-channel, int8-channel]", {}, ["int4-channel"], 7),
        ("[int8-channel, int2-channel]", {"bits": {"backbone": 2}}, ["int2-channel", "int8-channel"], 1),
    ],
)
def test_weights_are_those_of_the_schemes_of_the_file(
    small: Path, tmp_path: Path, schemes: str, options: dict[str, Any], taken: list[str], most: int
) -> None:
    told = quantized(small, tmp_path / "a", schemes, **options)
    assert list(told.schemes) == taken
    weights = weights_of(tmp_path / "a" / "q" / "model.quant.onnx")
    assert weights and max(int(np.abs(found).max()) for found in weights) == most


def test_powers_of_two_and_zero_points_are_those_of_the_schemes(small: Path, tmp_path: Path) -> None:
    for name, powers, symmetric in (
        ("int8-pow2", True, True), ("uint8-channel", False, False), ("int8-channel", False, True)
    ):  # fmt: skip
        quantized(small, tmp_path / name, f"[{name}]")
        model = onnx.load(tmp_path / name / "q" / "model.quant.onnx")
        known = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
        steps_of = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
        exponents = np.log2([float(known[node.input[1]]) for node in steps_of])
        assert bool((exponents == np.round(exponents)).all()) is powers, name
        zeros = {int(known[node.input[2]]) for node in steps_of}
        assert (zeros <= {0, 128}) is symmetric, name


def test_what_came_quantized_is_kept_where_the_schemes_of_the_file_hold_it(
    small: Path, tmp_path: Path
) -> None:
    quantized(small, tmp_path / "first", "[uint8-channel]")
    model, data = tmp_path / "first" / "q" / "model.quant.onnx", str(small / "images.npz")
    kept = api.quantize(model, data, target=described(tmp_path / "same.yaml", "[uint8-channel]"),
                        out=tmp_path / "kept")  # fmt: skip
    assert weights_of(tmp_path / "kept" / "model.quant.onnx")[0].tolist() == weights_of(model)[0].tolist()
    assert list(kept.schemes) == ["uint8-channel"]
    with pytest.raises(InputError, match="zero point"):
        api.quantize(model, data, target=described(tmp_path / "other.yaml"), out=tmp_path / "refused")


def test_without_images_costs_are_at_assumed_bits(small: Path, tmp_path: Path) -> None:
    found = api.run(small / "net.onnx", target=described(tmp_path / "mine.yaml"), out=tmp_path / "run")
    assert any("8-bit weights" in text for text in found.summary.warnings)
    assert not any("schemes" in text for text in found.summary.warnings)
