"""The fuzz target: it runs what was asked, finds what is planted, and finds nothing in 100 cases."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from eecompile.data.npz import load_npz
from passes.model.graph import from_model
from targets.description.readers.files import read_architecture
from targets.description.readers.mapping import parse_mapping
from tools import fuzz
from tools.fuzz_mutations import mutate_lines, mutate_message
from tools.fuzz_samples import HARDWARE, HARDWARE_PARTS, MAPPINGS, images, models

ROOT = Path(__file__).parents[2]


def test_100_cases_find_nothing() -> None:
    command = [sys.executable, "-m", "tools.fuzz", "--cases", "100", "--seed", "0"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: [int(n) for n in line.split()[1:5]] for line in done.stdout.splitlines()[1:5]}
    assert {kind: row[0] for kind, row in rows.items()} == dict.fromkeys(fuzz.KINDS, 25)
    assert all(row[1] > 0 and row[2] > 0 for row in rows.values()), "some are read, some refused"
    assert "100 cases, 0 failed, seed 0" in done.stdout


def raise_an_error(_: Sequence[str]) -> None:
    raise KeyError("planted")


def say_it_is_internal(_: Sequence[str]) -> None:
    raise SystemExit(70)


def die(_: Sequence[str]) -> None:
    os.abort()


def never_end(_: Sequence[str]) -> None:
    while True:
        pass


def write_elsewhere(_: Sequence[str]) -> None:
    Path("elsewhere").touch()


def as_it_should(_: Sequence[str]) -> None:
    Path("out/x").touch()


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        (raise_an_error, "exit code 99: KeyError: 'planted'"),
        (say_it_is_internal, "exit code 70"),
        (die, "exit code -6"),
        (never_end, "hang"),
        (write_elsewhere, "wrote "),
    ],
)
def test_what_is_planted_is_found(planted: fuzz.Verb, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    def verb(arguments: Sequence[str]) -> None:
        if "--mapping" in arguments:
            planted(arguments)

    assert fuzz.main(["--cases", "8", "--seconds", "1"], verb) == 1
    shown = capsys.readouterr().out
    assert "8 cases, 2 failed, seed 0" in shown
    assert f"mapping 2: {told}" in shown and "mapping 6: " in shown
    assert "python -m tools.fuzz --kind mapping --seed 0 --only 6 --keep DIR" in shown


def test_nothing_planted_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--cases", "8", "--jobs", "2"], as_it_should) == 0
    assert "8 cases, 0 failed" in capsys.readouterr().out


def test_one_case_is_made_again_with_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--kind", "npz", "--seed", "3", "--only", "7", "--keep", str(tmp_path / "kept")]
    assert fuzz.main(arguments, raise_an_error) == 1
    case = fuzz.make_case("npz", 3, 7)
    shown = capsys.readouterr().out
    assert "eecompile opt net.onnx" in shown and "planted" in shown
    for name, data in case.files.items():
        assert (tmp_path / "kept" / "npz_7" / name).read_bytes() == data


@pytest.mark.parametrize(
    "arguments", [["--only", "3"], ["--keep", "x"], ["--cases", "0"], ["--jobs", "0"], ["--kind", "x"]]
)
def test_bad_use(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        fuzz.main(arguments, as_it_should)


@pytest.mark.parametrize("kind", sorted(fuzz.KINDS))
def test_a_case_is_known_by_seed_kind_and_number(kind: str) -> None:
    assert fuzz.make_case(kind, 1, 2) == fuzz.make_case(kind, 1, 2)
    assert fuzz.make_case(kind, 1, 2) != fuzz.make_case(kind, 1, 3)
    assert fuzz.make_case(kind, 1, 2) != fuzz.make_case(kind, 2, 2)


def test_unbroken_samples_are_read(tmp_path: Path) -> None:
    for name, text in HARDWARE_PARTS.items():
        (tmp_path / name).write_text(text)
    for name, text in HARDWARE.items():
        (tmp_path / f"{name}.yaml").write_text(text)
        assert read_architecture(tmp_path / f"{name}.yaml").cores
    for name, text in MAPPINGS.items():
        assert parse_mapping(text, name, {"mac_array_0": ("D1", "D2"), "simd_1": ("D1", "D2")})[0]
    for data in models().values():
        assert from_model(onnx.ModelProto.FromString(data)).nodes
    np.savez(tmp_path / "images", **{name: np.load(io.BytesIO(data)) for name, data in images().items()})
    assert load_npz(tmp_path / "images.npz").classes == 2


def test_a_field_may_be_of_any_kind_and_the_message_stays_one() -> None:
    changed = set()
    for seed in range(300):
        model = onnx.ModelProto.FromString(models()["qdq"])
        mutate_message(model, random.Random(seed), 1)
        data = model.SerializePartialToString()
        onnx.ModelProto.FromString(data)
        changed.add(data)
    assert len(changed) > 200


def test_text_that_another_mutation_emptied_is_broken_all_the_same() -> None:
    broken = {mutate_lines("", random.Random(seed)) for seed in range(50)}
    assert "" in broken and len(broken) > 5
