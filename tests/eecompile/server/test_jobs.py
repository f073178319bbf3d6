from __future__ import annotations

from concurrent.futures import InvalidStateError
from typing import cast

import numpy as np
import pytest

from eecompile.server.contract import Answered
from eecompile.server.jobs import ModelSlot, RequestJob


def test_a_job_hands_its_answers_over_once_and_nobody_cancels_it() -> None:
    answers = [Answered(number, {"x": np.zeros(1)}) for number in range(2)]
    job = RequestJob(cast("ModelSlot", None), 0.0, [answers[0], None], 1)
    assert not job.done.cancel()
    job.answers[1] = answers[1]
    job.finish()
    assert job.done.result(0) == answers
    with pytest.raises(InvalidStateError):
        job.finish()
