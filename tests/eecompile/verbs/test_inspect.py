"""`inspect` tells of a network on a target."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile import api
from eecompile.verbs.work.inspect_network import inspect_network
from passes.errors import InputError
from tests.eecompile.small_models import write_skip_net


def test_the_network_is_looked_at_for_the_target_asked(tmp_path: Path) -> None:
    model = write_skip_net(tmp_path / "net.onnx")
    found = api.inspect(str(model), "gap9")
    assert found.to_json() == inspect_network(model, "gap9", None).to_json()
    assert found.to_json() != api.inspect(model).to_json()
    with pytest.raises(InputError, match="no cost model 'macth'"):
        api.inspect(model, cost_model="macth")
