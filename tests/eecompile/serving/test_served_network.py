"""Runs as they are served, read from their directories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eecompile.run_files.samples import Samples, ShownImages, SplitSamples, write_samples
from eecompile.serving.served_network import networks_of
from passes.errors import InputError
from tests.eecompile.serving.test_service import summary


def test_a_run_is_read_with_its_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four images two are surer than .5 and leave at the first exit; there one is wrong."""
    costs = summary(True)
    exits = tuple(
        e.model_copy(update={"threshold": t}) for e, t in zip(costs.exits, (0.5, None), strict=True)
    )
    monkeypatch.setattr(
        "eecompile.serving.served_network.load_summary",
        lambda _: costs.model_copy(update={"exits": exits, "optimistic": True}),
    )
    with pytest.raises(InputError, match="no answers of images to replay"):
        networks_of(tmp_path, None)
    label = np.zeros(4, np.int32)
    split = SplitSamples(
        label,
        np.array([[0.9, 0.1, 0.6, 0.2]], np.float32),
        np.array([[0, 1, 1, 1], [0, 0, 0, 1]], np.int32),
        np.ones((2, 4), np.float32),
        np.array([0, 0, 0, 1], np.int32),
    )
    write_samples(tmp_path, Samples(split, split, ShownImages.none("none")))
    with pytest.raises(InputError, match=r"has 50.00 % on val, which is below the floor of 60 %"):
        networks_of(tmp_path, None, 0.6)
    gives_way = networks_of(tmp_path, None, 0.4)[0]
    assert gives_way.ladder is not None and gives_way.ladder[0].thresholds == (0.5,)
    assert all(rung.accuracy_val >= 0.4 for rung in gives_way.ladder)
    assert gives_way.right.tolist() == split.correct.tolist()
    with_exits, static = networks_of(tmp_path, None)
    assert with_exits.leaves.tolist() == [0, 1, 0, 1]
    assert with_exits.correct.tolist() == [True, True, False, False]
    assert static.correct.tolist() == [True, True, True, False]
    assert with_exits.outlook.mean[0] == pytest.approx((1e-4 + 3.5e-4) / 2)
    assert static.service.alone_s == pytest.approx([3e-4])
