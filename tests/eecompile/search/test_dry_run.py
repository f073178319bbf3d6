from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.search.dry_run import tell_space
from tests.eecompile.search.small import SPACE, question


def test_corners_and_time_are_told_and_nothing_is_trained(tmp_path: Path) -> None:
    found = tell_space(question(tmp_path), 20, lambda _: None)
    assert (found.designs, found.objectives, found.found) == (2, ("accuracy", "edp"), True)
    small, large = found.corners
    assert small.name == "smallest resnet" and large.name == "largest resnet"
    assert 0 < small.figures["macs"] < large.figures["macs"] and small.exits == 2
    assert found.seconds is not None and 0 < found.seconds[0] <= found.seconds[1]
    assert small.epoch_s is not None and found.seconds[0] <= 3 * 2 * max(small.epoch_s, large.epoch_s or 0)
    kinds = {path.parent.parent.name for path in (tmp_path / "cache").rglob("*.entry")}
    assert kinds == {"costs"}
    assert found.to_json()["corners"][0]["name"] == "smallest resnet"


def test_shared_weights_are_trained_once(tmp_path: Path) -> None:
    space = SPACE.replace("epochs = 3\n", "epochs = 3\nshare = true\n", 1)
    found = tell_space(question(tmp_path, space), 1000, lambda _: None)
    small, large = (corner.epoch_s or 0.0 for corner in found.corners)
    ends, drawn = small + large, sorted((2 * small, 2 * large))
    assert found.shared and found.seconds == pytest.approx([3 * (ends + one) for one in drawn])


def test_a_design_that_the_target_cannot_run_says_why(tmp_path: Path) -> None:
    """The 10 x 4 stem of DS-CNN has a kernel that neither core of DIANA takes."""
    space = '[backbone]\nfamily = "ds_cnn"\nchannels = 8\n[training]\nepochs = 1\n'
    found = tell_space(question(tmp_path, space), 1, lambda _: None)
    assert not found.found and found.seconds is None
    assert all(corner.refusal and corner.epoch_s is None for corner in found.corners)
