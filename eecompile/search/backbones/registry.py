"""Names of families to families: the built-in table and the entry points of installed packages."""

from __future__ import annotations

from eecompile.search.backbones.family import BackboneFamily
from passes.errors import InputError, did_you_mean
from passes.plugins import load_plugin, plugin_table

GROUP = "eecompile.backbones"
BUILTIN = {
    "ds_cnn": "eecompile.search.backbones.mobilenet_v1:DS_CNN",
    "mobilenet_v1": "eecompile.search.backbones.mobilenet_v1:MOBILENET_V1",
    "mobilenet_v2": "eecompile.search.backbones.mobilenet_v2:MOBILENET_V2",
    "resnet": "eecompile.search.backbones.resnet:RESNET",
    "resnet8": "eecompile.search.backbones.resnet:RESNET8",
}


def backbone_table() -> dict[str, str]:
    """Return name of family -> ``module:attribute``; built-in names cannot be overridden."""
    return plugin_table(GROUP, BUILTIN)


def backbone_family(name: str) -> BackboneFamily:
    """Return the family called ``name``.

    Raises:
        InputError: Unknown name (with a suggestion), or an entry point that cannot be loaded.
    """
    table = BUILTIN if name in BUILTIN else backbone_table()
    if name not in table:
        hint = did_you_mean(name, table)
        if name.endswith(".onnx"):
            hint = f'a network of your own is said by file = "{name}" instead of family'
        raise InputError(f"unknown backbone family '{name}'", hint)
    found = load_plugin("backbone", name, table[name])
    if not isinstance(found, BackboneFamily):
        raise InputError(f"backbone '{name}' ({table[name]}) is not a BackboneFamily")
    if found.name != name:
        raise InputError(
            f"backbone '{name}' ({table[name]}) calls itself '{found.name}'",
            "an entry point and its family have one name",
        )
    return found
