from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eecompile.data.images_hash import images_hash
from eecompile.data.preprocess import preprocesses
from eecompile.data.sources import load_data
from tests.eecompile.search.small import write_images


def test_it_is_of_what_networks_see_not_of_where_it_lies(tmp_path: Path) -> None:
    path = write_images(tmp_path)
    data = load_data(str(path), 0)
    unit, raw = (preprocesses(rule, data.train.x, (1, 1, 8, 8))[0] for rule in ("unit", "raw"))
    found = images_hash(data, unit)
    assert found == images_hash(load_data(str(path.rename(tmp_path / "other.npz")), 0), unit)
    test = replace(data.test, y=data.test.y[::-1])
    assert len({found, images_hash(data, raw), images_hash(replace(data, test=test), unit)}) == 3
