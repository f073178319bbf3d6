"""Test the core with the oldest versions of its dependencies that `pyproject.toml` allows.

    python3 -m tools.ci.oldest

The tools that run the tests are those of `constraints.txt`; torch is left out: its oldest version comes
with gigabytes for GPUs. So are the messages of gRPC, which are generated for one recent protobuf.
"""

from __future__ import annotations

import re
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from tools.ci import environment

EXTRAS = ("images", "solver", "search", "frames", "plot", "serve")
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(\[[a-z,]+\])?\s*>=\s*(?P<version>[0-9.]+)(\s*,\s*!=\s*[0-9.*]+)*"
)
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)")


def normalized(name: str) -> str:
    """Return the name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lower_bounds(requirements: Iterable[str]) -> dict[str, str]:
    """Return the oldest version of each package.

    Raises:
        ValueError: A requirement that does not say one, or says more than that and what is excluded.
    """
    bounds = {}
    for requirement in requirements:
        found = _REQUIREMENT.fullmatch(requirement)
        if found is None:
            raise ValueError(f"'{requirement}' is not of the form NAME>=VERSION[,!=VERSION]")
        bounds[normalized(found["name"])] = found["version"]
    return bounds


def pins(text: str) -> dict[str, str]:
    """Return the versions of a constraints file."""
    return {normalized(found["name"]): found["version"] for found in _PIN.finditer(text)}


def oldest(document: Mapping[str, Any], pinned: Mapping[str, str]) -> dict[str, str]:
    """Return what to install: the project's bounds, and the pins of what runs its tests.

    Args:
        document: Of ``pyproject.toml``.
        pinned: Of ``constraints.txt``.
    """
    extras = document["project"]["optional-dependencies"]
    asked = [*document["project"]["dependencies"], *(name for extra in EXTRAS for name in extras[extra])]
    tools = lower_bounds(extras["test"])
    return {name: pinned[name] for name in tools} | lower_bounds(asked)


def main() -> None:
    """Install the oldest versions on the Python that runs this, and test."""
    start = time.monotonic()
    document = tomllib.loads((environment.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    versions = oldest(document, pins(environment.PINS.read_text(encoding="utf-8")))
    python = environment.make("oldest", sys.executable)
    constraints = python.parents[1] / "oldest.txt"
    lines = sorted(f"{name}=={version}" for name, version in versions.items())
    constraints.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"oldest versions: {', '.join(lines)}", flush=True)
    if not environment.install(python, constraints):
        raise SystemExit("the oldest versions cannot be installed together")
    environment.test(python)
    print(f"oldest versions: passed in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
