"""What a server runs behind a device, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from eecompile.runtime.split.feature_codec import HEAD, PayloadError
from eecompile.runtime.split.later_parts import LaterParts
from eecompile.runtime.split.records import read_parts
from passes.errors import InputError
from tests.eecompile.split.small_split import small_split


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(small_split().out / "server", tmp_path / "server")
    return tmp_path / "server"


def test_a_payload_is_answered_by_the_part_it_names(folder: Path) -> None:
    parts = LaterParts(folder)
    (name, codec, _), *_ = read_parts(folder)
    number, features = parts.opened(codec.encode(name, np.ones(codec.shape, codec.dtype)))
    assert features.shape == codec.shape and parts.run(number, features).shape == (1, parts.classes) == (1, 4)
    assert parts.batched and parts.run(number, np.concatenate([features] * 3)).shape == (3, 4)
    assert parts.empty(number).dtype == codec.dtype
    with pytest.raises(PayloadError, match="plans of another split"):
        parts.opened(codec.encode(b"xxxxxxxx", features))
    payload = codec.encode(name, features)
    with pytest.raises(PayloadError, match="damaged on the way"):
        parts.opened(payload[: HEAD.size] + b"?" + payload[HEAD.size + 1 :])


def test_files_of_two_splits_are_refused(folder: Path) -> None:
    path = folder / "split.json"
    record = json.loads(path.read_text())
    record["parts"][0]["codec"]["fill"] = [1.5 for _ in record["parts"][0]["codec"]["fill"]]
    record["parts"][0]["codec"]["low"] = [1.5 for _ in record["parts"][0]["codec"]["low"]]
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="is another model than"):
        LaterParts(folder)


def test_no_part_and_no_model_are_said(folder: Path) -> None:
    model = folder / json.loads((folder / "split.json").read_text())["parts"][0]["model"]
    model.write_bytes(b"no model")
    with pytest.raises(InputError, match="cannot be loaded"):
        LaterParts(folder)
    (folder / "split.json").write_text('{"parts": []}')
    with pytest.raises(InputError, match="all is on the device"):
        LaterParts(folder)
