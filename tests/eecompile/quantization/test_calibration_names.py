from __future__ import annotations

import pytest

from eecompile.quantization.calibration_names import CALIBRATIONS, check_calibration
from passes.errors import InputError


def test_another_name_is_refused() -> None:
    assert [check_calibration(name) for name in CALIBRATIONS] == list(CALIBRATIONS)
    with pytest.raises(InputError, match=r"`calibration` cannot be 'entropi'\ndid you mean 'entropy'"):
        check_calibration("entropi")
