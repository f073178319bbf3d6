"""One entry for accelerator files: ours, ZigZag's cores, Stream's systems, told apart by their keys."""

from __future__ import annotations

from pathlib import Path

from targets.description.architecture import Architecture, architecture_of
from targets.description.readers.entry import Entry
from targets.description.readers.mapping import is_mapping
from targets.description.readers.stream import read_stream
from targets.description.readers.zigzag import read_zigzag
from targets.description.readers.zigzag_memories import is_left_over
from targets.description.yaml_text import read_yaml

_STREAM_KEYS = {"core_connectivity", "graph", "offchip_core_id"}


def read_architecture(path: Path) -> Architecture:
    """Read an accelerator description of any known form.

    ``operational_array``, or ``memories`` by name, makes it a ZigZag core; links between cores, or cores
    given as file names, make it a Stream system; any other with ``cores`` is ours.

    Raises:
        InputError: The file cannot be read or says something wrong, with the path of the value and the fix.
    """
    document = read_yaml(path, "accelerator description", is_left_over)
    if is_mapping(document):
        raise Entry(document, str(path)).wrong(
            "holds mappings, not an accelerator", "give it with `mapping`, and an accelerator with `target`"
        )
    if not isinstance(document, dict):
        raise Entry(document, str(path)).wrong("expected keys and values such as 'name:' and 'cores:'")
    cores = document.get("cores")
    if "operational_array" in document or isinstance(document.get("memories"), dict):
        return read_zigzag(document, str(path))
    if _STREAM_KEYS & document.keys() or isinstance(cores, dict) or _names_files(cores):
        return read_stream(document, path)
    if "cores" in document:
        return architecture_of(document, str(path))
    raise Entry(document, str(path)).wrong(
        "none of the known forms of an accelerator description",
        "ours has 'name' and 'cores'; a ZigZag core 'memories' and 'operational_array'; "
        "a Stream system 'cores' and 'core_connectivity' or 'graph'",
    )


def _names_files(cores: object) -> bool:
    return isinstance(cores, list) and any(isinstance(core, str) for core in cores)
