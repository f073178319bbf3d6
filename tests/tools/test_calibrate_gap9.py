"""The tool on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared_files import shared
from tests.tools.gap9.test_calibration import stored_fits
from tools import calibrate_gap9
from tools.calibrate_gap9 import main
from tools.gap9.measured import LOG

TINY = "layer\tcycles\toperations\nConv2d_8x3x3x3_Relu6\t9000\t57344\nConv2d_8x1x3x3\t0\t18432\n"


def test_any_log_is_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.tsv").write_text(TINY)
    assert main(["--layers", str(tmp_path / "log.tsv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 2 + 1 and lines[-1].startswith("total ratio ")


def test_the_vendors_log_is_met(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--layers", str(shared("reference", "gap9", LOG))]) == 0
    lines = capsys.readouterr().out.splitlines()
    kinds = {line.split()[1]: line.split() for line in lines if line.startswith("kind ")}
    products = {"1x1", "depthwise_3x3_s1", "depthwise_3x3_s2", "depthwise_5x5", "FC"}
    assert products | {"MatAdd", "requantize", "transpose", "pooling", "softmax"} <= set(kinds)
    assert sum(int(words[3]) for words in kinds.values()) == 82
    assert all(0.95 <= float(words[5]) <= 1.05 for words in kinds.values()), "Lite0"
    assert 0.95 <= float(lines[-1].split()[2]) <= 1.05


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TINY + "Magic_3x3\t1\t1\n", "line 4: unknown layer 'Magic_3x3'"),
        (TINY + "Conv2d_8x8x1x1\t1\tx\n", "line 4: operations 'x', expected a whole number"),
        (TINY + "Conv2d_8x8x1x1\t1\t77\n", "line 4: 'Conv2d_8x8x1x1' has 77 operations, expected"),
        ("", "no line is a layer"),
    ],
)
def test_a_bad_log_ends_in_one_message(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.tsv").write_text(text)
    assert main(["--layers", str(tmp_path / "log.tsv")]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("error: ") and told in err and "Traceback" not in err


def test_a_folder_without_models_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--shared", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_all_of_it_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shared("models", "mobilenetv1_025_vww.onnx")
    # The fit itself takes ten seconds and is tested beside it.
    monkeypatch.setattr(calibrate_gap9, "fit_all", lambda _evidence: stored_fits())
    assert main(["--shared", str(shared("reference", "gap9", LOG).parents[2])]) == 0
    text = capsys.readouterr().out
    for name in ("ResNet8", "DS-CNN", "MobileNetV1-0.25", "autoencoder"):
        assert f"without {name}" in text
    assert "worst left-out latency" in text and "worst left-out energy" in text
    assert "depthwise_3x3_s2" in text and text.rstrip().endswith("all goals are met")
