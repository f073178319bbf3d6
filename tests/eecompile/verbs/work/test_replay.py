"""``replay``: the same run again to the bit, and a refusal where anything is another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from eecompile import api
from eecompile.run import provenance
from passes.errors import InputError
from tests.eecompile.small_models import skip_net, write_images, write_skip_net
from tests.needs import needs_torch
from tests.targets.small_arch import small_text

SAME = ("summary.json", "exits.csv", "layers.csv", "schedule.trace.json")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_skip_net(tmp_path / "net.onnx")
    write_images(tmp_path / "images.npz")
    return tmp_path


def same(a: Path, b: Path, *more: str) -> None:
    for name in (*SAME, *more):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


OPTIONS: dict[str, Any] = {
    "exits": ["relu_0"], "head": ["conv{kernel=5,size=10}"], "objective": "latency", "seed": 3,
    "speculate": True,
}  # fmt: skip


def test_costs_are_the_same_beside_the_run(files: Path) -> None:
    options = {name: value for name, value in OPTIONS.items() if name != "seed"}
    first = api.run(files / "net.onnx", "gap9", out=files / "run", **options)
    again = api.run(replay=first.out)
    assert again.out == files / "run-replay"
    same(first.out, again.out)
    told, was = (json.loads((at / "run.json").read_text()) for at in (again.out, first.out))
    assert told["told"] == [name for name in was["told"] if name != "out"]
    changed = {"out", "cache"}
    assert {k: v for k, v in told["options"].items() if k not in changed} == {
        k: v for k, v in was["options"].items() if k not in changed
    }


@needs_torch
def test_what_was_trained_is_the_same_without_the_cache(files: Path) -> None:
    options = {**OPTIONS, "max_drop": 100.0, "preprocess": "raw", "bits": {"head": 8}}
    first = api.run(files / "net.onnx", data=files / "images.npz", out=files / "run", **options)
    again = api.run(replay=first.out / "run.json", out=files / "again", cache=files / "empty")
    assert again.info["from_cache"] == []
    same(first.out, again.out, "model.exits.onnx", "model.quant.onnx", "model.dynamic.onnx", "samples.npz")


@needs_torch
def test_what_was_in_memory_is_in_the_directory_or_given_again(files: Path) -> None:
    with np.load(files / "images.npz") as found:
        arrays = dict(found)
    options: dict[str, Any] = {"exits": 1, "preprocess": "raw", "max_drop": 100.0}
    first = api.run(onnx.load(files / "net.onnx"), data=arrays, out=files / "run", **options)
    with pytest.raises(InputError, match="were given in memory"):
        api.run(replay=first.out)
    again = api.run(replay=first.out, data=arrays, out=files / "again")
    same(first.out, again.out, "model.dynamic.onnx")
    arrays["test_x"] = arrays["test_x"] + np.float32(1)
    with pytest.raises(InputError, match="arrays holds other images than those"):
        api.run(replay=first.out, data=arrays, out=files / "again")


def test_another_network_is_refused_and_one_that_moved_is_named(files: Path) -> None:
    run = api.run(files / "net.onnx", exits=1, out=files / "run")
    (files / "elsewhere").mkdir()
    shutil.move(files / "net.onnx", files / "elsewhere")
    with pytest.raises(InputError, match="is not there") as caught:
        api.run(replay=run.out)
    assert "`model`" in caught.value.hint
    same(run.out, api.run(files / "elsewhere" / "net.onnx", replay=run.out, out=files / "again").out)
    changed = skip_net()
    changed.producer_name = "another"
    onnx.save(changed, files / "net.onnx")
    with pytest.raises(InputError, match=r"net\.onnx is not the network of .*SHA-256 is another"):
        api.run(replay=run.out)


@needs_torch
def test_other_images_are_refused(files: Path) -> None:
    run = api.run(
        files / "net.onnx",
        data=files / "images.npz",
        exits=1,
        out=files / "run",
        preprocess="raw",
        max_drop=100.0,
    )
    with np.load(files / "images.npz") as found:
        np.savez(files / "images.npz", **{**found, "val_y": found["val_y"][::-1]})
    with pytest.raises(InputError, match="holds other images than those"):
        api.run(replay=run.out)
    assert not (files / "run-replay").exists()


def test_another_accelerator_is_refused(files: Path) -> None:
    (files / "small.yaml").write_text(small_text())
    run = api.run(files / "net.onnx", str(files / "small.yaml"), exits=1, out=files / "run")
    same(run.out, api.run(replay=run.out).out)
    (files / "small.yaml").write_text(small_text() + "# another\n")
    with pytest.raises(InputError, match="is not the accelerator"):
        api.run(replay=run.out)


def test_other_versions_are_told(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = api.run(files / "net.onnx", exits=1, out=files / "run")
    now = provenance.versions()
    monkeypatch.setattr(provenance, "versions", lambda: {**now, "numpy": "9.9"})
    told: list[str] = []
    api.run(replay=run.out, progress=told.append)
    assert f"numpy is 9.9 here and was {now['numpy']}: figures may differ" in told


@pytest.mark.parametrize("option", [{"seed": 0}, {"exits": 1}, {"max_drop": 0.0}, {"target": "gap9"}])
def test_what_could_make_another_run_is_refused(files: Path, option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"`{next(iter(option))}` could make another of it"):
        api.run(replay=files, **option)


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot read"), ("{", "is no JSON document"), ("{}", "`options`"), ("[]", "`options`")],
)
def test_what_is_no_run(files: Path, text: str | None, said: str) -> None:
    if text is not None:
        (files / "run.json").write_text(text)
    with pytest.raises(InputError, match=said):
        api.run(replay=files)
