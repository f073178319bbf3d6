"""What some tests need beyond the core: they are skipped, with the reason, where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

WHY_TORCH = "training needs torch, of the extra 'train'"
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason=WHY_TORCH)
