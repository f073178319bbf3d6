"""Parameter ``data``: a name, a path, arrays or a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passes.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from eecompile.data.dataset import Dataset
    from eecompile.data.in_memory import ImageSource

    Data = str | Path | Mapping[str, NDArray[Any]] | Sequence[NDArray[Any]] | Dataset

# Arrays in a sequence, by how many there are.
_ORDERS = {
    4: ("train_x", "train_y", "test_x", "test_y"),
    6: ("train_x", "train_y", "val_x", "val_y", "test_x", "test_y"),
}
_FORMS = "data=(train_x, train_y, val_x, val_y, test_x, test_y), or without val; or a dict with these names"


def images_given(data: Data) -> ImageSource:
    """Return images as lower floors take them; nothing is read yet.

    Args:
        data: What `eecompile.data.sources.load_data` takes; or arrays, by name as in an ``.npz``, or in the
            order train_x, train_y, val_x, val_y, test_x, test_y, with or without those of val; or an
            `eecompile.data.dataset.Dataset`.

    Raises:
        InputError: Something else, or arrays that are missing.
    """
    if isinstance(data, str | Path):
        return str(data)
    import numpy as np

    from eecompile.data.arrays import ALL_KEYS, check_keys
    from eecompile.data.dataset import Dataset
    from eecompile.data.in_memory import ImagesInMemory

    if isinstance(data, Dataset):
        return ImagesInMemory(data)
    if not isinstance(data, Mapping):
        if not isinstance(data, list | tuple) or len(data) not in _ORDERS:
            what = f"{len(data)} things" if isinstance(data, list | tuple) else type(data).__name__
            raise InputError(f"`data` is a name, a path, a Dataset, or arrays, not {what}", _FORMS)
        data = dict(zip(_ORDERS[len(data)], data, strict=True))
    check_keys(data, "`data`")
    if unknown := [name for name in data if name not in ALL_KEYS]:
        raise InputError(f"`data` has '{unknown[0]}', which is no array of a data set", _FORMS)
    arrays = {name: np.asarray(values) for name, values in data.items()}
    return ImagesInMemory(arrays)
