from __future__ import annotations

import dataclasses

import numpy as np

from eecompile.serving.waiting import Waiting


def test_an_index_takes_from_all() -> None:
    columns = np.arange(9.0)[:, None] + np.array([0.0, 10.0, 20.0])
    waiting = Waiting(*columns)
    one = waiting.at(1)
    assert [float(value) for value in dataclasses.astuple(one)] == [10, 11, 12, 13, 14, 15, 16, 17, 18]
    assert dataclasses.replace(waiting, true_s=None).at([0, 2]).true_s is None
