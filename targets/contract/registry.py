"""Target names to targets: the built-in table and the entry points of installed packages."""

from __future__ import annotations

from passes.errors import InputError, did_you_mean
from passes.plugins import load_plugin, plugin_table
from targets.contract.target import Target

GROUP = "eecompile.targets"
BUILTIN = {
    "diana": "targets.diana.target:DianaTarget",
    "edge_tpu_quad": "targets.edge_tpu_quad.target:EdgeTpuQuadTarget",
    "gap9": "targets.gap9.target:Gap9Target",
    "max78000": "targets.max78000.target:Max78000Target",
    "max78002": "targets.max78002.target:Max78002Target",
}


def target_table() -> dict[str, str]:
    """Return target name -> ``module:class``; built-in names cannot be overridden."""
    return plugin_table(GROUP, BUILTIN)


def target_class(name: str) -> type[Target]:
    """Return the class of target ``name``.

    Raises:
        InputError: Unknown name (with a suggestion), or an entry point that cannot be loaded.
    """
    # Looking through all packages takes ten milliseconds, and none can have one of ours replaced.
    table = BUILTIN if name in BUILTIN else target_table()
    if name not in table:
        hint = did_you_mean(name, table)
        raise InputError(f"unknown target '{name}'", hint)
    found = load_plugin("target", name, table[name])
    if not (isinstance(found, type) and issubclass(found, Target)):
        raise InputError(f"target '{name}' ({table[name]}) is not a Target")
    return found


def load_target(name: str, cost_model: str = "", host_scale: float = 1.0) -> Target:
    """Return target ``name`` with its options; raises InputError for a wrong name or value.

    Args:
        name: Name of the target.
        cost_model: Latency model; its default if empty.
        host_scale: Factor on the placeholder cost of host work.
    """
    return target_class(name)(cost_model=cost_model, host_scale=host_scale)
