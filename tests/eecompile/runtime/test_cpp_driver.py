"""The C++ driver of the examples, compiled against the headers of a release, answers as the session does.

Headers are looked for below ``ONNXRUNTIME_INCLUDE`` (any folder, for instance the npm package
``com.github.asus4.onnxruntime`` unpacked) and where Debian's libonnxruntime-dev puts them; the library is
that of the Python package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from eecompile.runtime.early_exit_session import EarlyExitSession
from tests.eecompile.runtime.small_run import write_small_run

DRIVER = Path(__file__).parents[3] / "examples" / "early_exit.cpp"
HEADER = "onnxruntime_cxx_api.h"
LIBRARY = Path(ort.__file__).parent / "capi" / f"libonnxruntime.so.{ort.__version__}"
PLACES = ("/usr/include/onnxruntime", "/usr/local/include/onnxruntime", "/usr/local/include")


def headers() -> Path:
    """Return the folder of the headers, or skip."""
    if shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    if not LIBRARY.exists():
        pytest.skip("the Python package of onnxruntime brings no libonnxruntime")
    given = [os.environ["ONNXRUNTIME_INCLUDE"]] if "ONNXRUNTIME_INCLUDE" in os.environ else []
    for place in (*given, *PLACES):
        for found in sorted(Path(place).rglob(HEADER)):
            version = re.search(
                r"define ORT_API_VERSION (\d+)", (found.parent / "onnxruntime_c_api.h").read_text()
            )
            if version and int(version[1]) <= int(ort.__version__.split(".")[1]):
                return found.parent
    pytest.skip(f"no {HEADER} of a release up to {ort.__version__}: set ONNXRUNTIME_INCLUDE to its folder")


def test_the_driver_is_short() -> None:
    lines = [
        line for line in DRIVER.read_text().splitlines() if line and not line.startswith(("//", "#include"))
    ]
    assert len(lines) <= 45


def test_the_driver_answers_as_the_session(tmp_path: Path) -> None:
    include = headers()
    folder, images = write_small_run(tmp_path / "run")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (tmp_path / name).symlink_to(LIBRARY)
    program = tmp_path / "early_exit"
    warnings = ("-Wall", "-Wextra", "-Werror", "-isystem", include)
    link = (tmp_path / "libonnxruntime.so", f"-Wl,-rpath,{tmp_path}")
    subprocess.run(["c++", "-std=c++17", *warnings, DRIVER, *link, "-o", program], check=True)

    session = EarlyExitSession(folder)
    known = images[:-1]
    assert np.isnan(images[-1]).all()
    session.model_input(images).tofile(tmp_path / "images.f32")
    expected = session.run(known)
    assert set(expected.exit) == {0, 1, 2}

    def call(model: Path, data: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, model, data], capture_output=True, text=True, check=False)

    done = call(folder / "model.dynamic.onnx", tmp_path / "images.f32")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [int(row[0]) for row in rows] == [*expected.label, -1]
    assert [int(row[1]) for row in rows] == [*expected.exit, 2]
    np.testing.assert_array_equal([np.float32(row[2]) for row in rows[:-1]], expected.confidence)

    (tmp_path / "cut.f32").write_bytes((tmp_path / "images.f32").read_bytes()[:-3])
    cut = call(folder / "model.dynamic.onnx", tmp_path / "cut.f32")
    assert cut.returncode == 2 and "ends within an image" in cut.stderr
    assert len(cut.stdout.splitlines()) == len(images) - 1
    missing = call(folder / "no.onnx", tmp_path / "images.f32")
    assert missing.returncode == 1 and "no.onnx" in missing.stderr
