"""What ``quantize`` prints, on figures that are made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eecompile.cli import show_quantize
from eecompile.quantization.sensitivity import Disturbance, LayerSensitivity
from eecompile.verbs.work.quantize import ExitAccuracy, QuantizeResult, SplitAccuracy
from eecompile.verbs.work.quantize_options import QuantizeOptions
from tests.eecompile.cli.table_rows import cells
from tests.eecompile.cli.test_terminal import printed

SPLIT = SplitAccuracy(300, 0.9, (0.85, 0.93), 0.88, (0.83, 0.92), 2.0, (0.5, 3.5))
FOUND = QuantizeResult(
    options=QuantizeOptions(Path("a/net.onnx"), "images.npz", "gap9", calibration="entropy"),
    preprocess="unit",
    schemes=("int8-channel",),
    images=512,
    rounding={"conv": "gptq"},
    equalization=None,
    kept_float=(),
    exits=(ExitAccuracy("final", SPLIT, replace(SPLIT, images=1000, drop=-0.25)),),
    calibrated=(),
    training={},
    sensitivity=(LayerSensitivity("conv_0", Disturbance(31.25, 0.00123), Disturbance(40.0, 0.2)),),
    sensitivity_images=128,
    suggested=("conv_0", "gemm_1"),
    share=0.625,
    tried=(((), 2.0), (("conv_0",), 0.5)),
    notes=("look out",),
    front=(
        {
            "mapping": "all digital",
            "front": True,
            "latency_cycles": 162623,
            "energy_pj": 4.2e6,
            "accuracy_val": 0.885,
            "accuracy_test": None,
            "changed": "",
        },
    ),
    out=Path("runs/x"),
)


def test_accuracies_layers_and_what_to_paste() -> None:
    text = printed(lambda out: show_quantize.quantized(out, FOUND), 100)
    assert text.startswith("net.onnx on gap9 by int8-channel, entropy on 512 training images\n")
    rows = cells(text, "Accuracy in %, drop in points, with 95 % intervals")
    assert ["final", "ptq", "val (300)", "90.0 [85.0, 93.0]", "88.0 [83.0, 92.0]", "2.0 [0.5, 3.5]"] in rows
    assert any(row[:3] == ["final", "ptq", "test (1,000)"] and row[-1].startswith("-0.2") for row in rows)
    layers = "Logits against float on 128 training images: signal over noise in dB, divergence in nats"
    assert ["conv_0", "31.2", "0.0012", "40.0", "0.2"] in cells(text, layers)
    assert "62 % of the noise" in text and "\n--keep-float conv_0,gemm_1\n" in text
    assert "none: 2.00 points lost on val" in text and "conv_0: 0.50 points lost on val" in text
    mappings = cells(text, "Mappings that were measured; their layers in front.csv")
    assert ["all digital", "yes", "162,623", "4.20", "88.5", "–"] in mappings  # noqa: RUF001
    assert "look out" in text and "Files: runs/x" in text


def test_both_forms_are_told_where_it_was_trained_and_whether_that_was_kept() -> None:
    exits = (ExitAccuracy("final", replace(SPLIT, drop=0.75), SPLIT),)
    options = replace(FOUND.options, quantize="qat")
    trained = replace(
        FOUND, options=options, exits=exits, calibrated=FOUND.exits, training={"kept": "trained"}
    )
    text = printed(lambda out: show_quantize.quantized(out, trained), 100)
    rows = cells(text, "Accuracy in %, drop in points, with 95 % intervals")
    seen = {(row[1], row[2]): row[-1].split()[0] for row in rows if row[0] == "final"}
    assert (seen["ptq", "val (300)"], seen["qat", "val (300)"]) == ("2.0", "0.8")
    assert "raised the loss" not in text
    thrown = replace(trained, training={"kept": "calibrated"})
    assert "raised the loss on val" in printed(lambda out: show_quantize.quantized(out, thrown), 100)


def test_layers_in_float_are_named_and_not_suggested_again() -> None:
    text = printed(lambda out: show_quantize.quantized(out, replace(FOUND, kept_float=("conv_0",))), 100)
    assert "; in float: conv_0\n" in text and "--keep-float" not in text
