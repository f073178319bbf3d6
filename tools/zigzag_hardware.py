"""Write the accelerators and mapping wishes of the outside reference in this project's own format.

    python -m tools.zigzag_hardware INPUTS tests/targets/references/zigzag_hardware.yaml

INPUTS is the folder `zigzag/inputs` of an installed zigzag-dse 3.8.5. The result lets the tests, and tables
from recorded figures, do without that package: numbers of nine accelerators, each with the wishes that the
recorded figures were made with.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from targets.description.architecture import Architecture
from targets.description.mapping import MappingRule
from targets.description.readers.files import read_architecture
from targets.description.readers.mapping import read_mapping

VERSION = "3.8.5"
# Cores and their mapping files; the matrix core is recorded with wishes of the recorder's own.
MAPPINGS = {
    "edge_tpu_like": "edge_tpu_like",
    "tpu_like": "tpu_like",
    "meta_prototype": "meta_prototype_like",
    "tesla_npu_like": "tesla_npu_like",
    "ascend_like": "ascend_like",
    "eyeriss_like": "default",
    "gemm_l1": None,
    "aimc": "default_imc",
    "dimc": "default_imc",
}
MATRIX_WISHES = (MappingRule("default", spatial={"D1": {"K": 8}, "D2": {"C": 8}, "D3": {"D": 8}}),)
# Operators whose wishes the records use; other entries of the files are examples.
USED = ("default",)
HEADER = f"""# Accelerators of ZigZag {VERSION} and the mapping wishes its recorded figures were made with.
# Numbers only; written by tools/zigzag_hardware.py from the files each source names.
"""


class _Dumper(yaml.SafeDumper):
    """Repeats what occurs twice: readers of this project refuse aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def describe(architecture: Architecture, name: str) -> dict[str, Any]:
    """Return an accelerator as plain data, every source named in full."""
    data: dict[str, Any] = architecture.model_dump(mode="json", exclude_defaults=True)
    source = f"ZigZag {VERSION} {name}.yaml"
    for core in data["cores"]:
        for part in (core["array"], *core["memories"].values()):
            part["source"] = source
    return data | {"name": name}


def wishes(rules: tuple[MappingRule, ...]) -> list[dict[str, Any]]:
    """Return mapping rules as entries of a mapping file."""
    entries = []
    for rule in rules:
        if rule.name not in USED:
            continue
        entry: dict[str, Any] = {"name": rule.name}
        if rule.spatial:
            entry["spatial_mapping"] = {
                d: [f"{loop}, {factor}" for loop, factor in factors.items()]
                for d, factors in rule.spatial.items()
            }
        if rule.hint:
            entry["spatial_mapping_hint"] = {d: list(loops) for d, loops in rule.hint.items()}
        entries.append(entry)
    return entries


def collect(inputs: Path) -> dict[str, Any]:
    """Return all accelerators with their wishes, read from the package's folder of inputs."""
    result = {}
    for name, mapping in MAPPINGS.items():
        architecture = read_architecture(inputs / "hardware" / f"{name}.yaml")
        rules: tuple[MappingRule, ...] = MATRIX_WISHES
        if mapping is not None:
            rules, _ = read_mapping(inputs / "mapping" / f"{mapping}.yaml", architecture.array_dimensions)
        result[name] = {"mapping": wishes(rules), "architecture": describe(architecture, name)}
    return result


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    text = yaml.dump(
        collect(arguments.inputs), Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110
    )
    arguments.out.write_text(HEADER + text, encoding="utf-8")


if __name__ == "__main__":
    main()
