"""`export` for servers of others: a model of a repository, or an application of Ray Serve."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eecompile.run_files.directory import folders
from eecompile.server.engines import model_repository, ray_files
from eecompile.server.run_model import RunModel
from eecompile.verbs.work.written_files import WrittenFiles
from passes.errors import InputError
from passes.files import write_atomic


@dataclass(frozen=True, repr=False)
class ServableResult(WrittenFiles):
    """What was written.

    Attributes:
        form: ``model-repository`` or ``ray-serve``.
        model: Its name, as clients call it.
        folder: Where to.
        files: Their places in it.
        exits: Names, shallow to deep.
    """

    form: str
    model: str
    folder: Path
    files: tuple[str, ...]
    exits: tuple[str, ...]

    def _words(self) -> str:
        return f"model '{self.model}' as {self.form}: {len(self.files)} files in {self.folder}"


def export_to_repository(run: Path, repository: Path) -> ServableResult:
    """Write a run as a model of a repository, called as its directory; see `eecompile.api.export`."""
    name = run.resolve().name
    folder = repository / name
    files = model_repository.model_repository(run, name)
    _write(folder, files, model_repository.CONFIG, model_repository.RUN)
    return ServableResult("model-repository", name, folder, tuple(sorted(files)), RunModel(run).exits)


def export_to_ray(run: Path, folder: Path) -> ServableResult:
    """Write a run as an application of Ray Serve, called as its directory; see `eecompile.api.export`."""
    name = run.resolve().name
    files = ray_files.ray_files(run, name)
    _write(folder, files, ray_files.CONFIG, ray_files.RUN)
    return ServableResult("ray-serve", name, folder, tuple(sorted(files)), RunModel(run).exits)


def _write(folder: Path, files: Mapping[str, bytes], known_by: str, run: str) -> None:
    """Write an export, over an earlier one or into an empty folder.

    Args:
        folder: Where to.
        files: Content by place.
        known_by: File that only an export has: a folder without it and with others is somebody else's.
        run: Place of the run: nothing of an earlier one stays there.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / known_by).is_file():
        raise InputError(
            f"{folder} holds files and is no export: it has no {known_by}", "give another folder, or empty it"
        )
    places = sorted({(folder / place).parent for place in files})
    if (folder / run).is_dir():
        shutil.rmtree(folder / run)
    with folders(folder, *places):
        for place, content in files.items():
            write_atomic(folder / place, content)
