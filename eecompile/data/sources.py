"""``data``: a name or a path → train, validation and test images, checked against the model."""

from __future__ import annotations

import os
from pathlib import Path

from eecompile.data.dataset import Dataset
from eecompile.data.in_memory import ImagesInMemory, ImageSource
from passes.errors import InputError, did_you_mean

IDX_NAMES = ("mnist", "fashion_mnist")
TORCHVISION_NAMES = ("cifar10", "cifar100", "svhn")
NAMES = ("digits", *IDX_NAMES, *TORCHVISION_NAMES)
ROOT_VARIABLE = "EECOMPILE_DATA"


def data_root(root: Path | str | None = None) -> Path:
    """Return the folder of downloaded data sets: ``root``, else ``$EECOMPILE_DATA``, else ``./data``."""
    return Path(root or os.environ.get(ROOT_VARIABLE) or "data")


def load_data(spec: ImageSource, seed: int = 0, root: Path | str | None = None) -> Dataset:
    """Load the images a user named.

    Args:
        spec: ``digits``, a torchvision name (``mnist``, ``fashion_mnist``, ``cifar10``, ``cifar100``,
            ``svhn``), the path of an ``.npz``, or the path of an image folder; or images in memory.
        seed: Seed of the splits that have to be carved out (no ``val_*`` in the source, or a folder
            without splits). ``digits`` is always split the same way: the example network was
            trained on its training images, so another seed would put those among the test images.
        root: Where downloaded data sets lie; see `data_root`.

    Returns:
        Images as stored (nothing is transposed or converted, see `eecompile.data.preprocess`).

    Raises:
        InputError: Unknown name, missing or damaged files, or data that cannot be used.
    """
    if isinstance(spec, ImagesInMemory):
        return spec.load(seed)
    # A name wins over a file of that name, so that a stray ./digits does not change a run.
    if spec == "digits":
        from eecompile.data.digits import load_digits

        return load_digits()
    if spec in IDX_NAMES:
        from eecompile.data.idx import load_idx

        return load_idx(spec, data_root(root), seed)
    if spec in TORCHVISION_NAMES:
        from eecompile.data.torchvision import load_torchvision

        return load_torchvision(spec, data_root(root), seed)
    try:
        return _load_path(spec, seed)
    except OSError as error:  # a folder that may not be listed, a name too long for the file system
        raise InputError(
            f"data {spec[:200]!r} cannot be read: {error.strerror}", "check the path and its permissions"
        ) from error


def _load_path(spec: str, seed: int) -> Dataset:
    path = Path(spec)
    if not spec.strip():
        raise InputError("the name of the data is empty", "known names: " + ", ".join(NAMES))
    if path.suffix == ".npz" and path.is_dir():
        raise InputError(f"{spec} is a folder, not an .npz file", "rename it if it is a folder of images")
    if path.suffix == ".npz":
        from eecompile.data.npz import load_npz

        return load_npz(path, seed)
    if path.is_dir():
        from eecompile.data.folder import load_folder

        return load_folder(path, seed)
    if path.exists():
        raise InputError(
            f"{spec} is neither an .npz file nor a folder of images",
            "store it with numpy.savez(train_x=…, train_y=…, test_x=…, test_y=…) as .npz",
        )
    raise InputError(f"no data called {spec!r}, and no such file or folder", did_you_mean(spec, NAMES))
