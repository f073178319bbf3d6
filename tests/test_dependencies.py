"""What the project says it needs is what it imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from eecompile.verbs.work.doctor import REQUIRED

ROOT = Path(__file__).parents[1]
PACKAGES = ("eecompile", "passes", "targets")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What users of the packages need; "dev" is for who works on them.
EXTRAS = ("train", "images", "solver", "search", "frames", "plot", "serve", "grpc", "mlserver", "ray")
# uvicorn asks for the first where we ask for its faster protocol; MLServer does not start with a new second.
WITHOUT_IMPORT = {"httptools", "uvloop"}


def imported() -> set[str]:
    """Return the modules of others that the packages name in an import, wherever it stands."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    found.add(str(node.module).partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(PACKAGES)


def distribution(module: str) -> str:
    shared = {"google": "protobuf", "pydantic_core": "pydantic"}  # many distributions put modules there
    return normal(shared.get(module) or packages_distributions().get(module, [module])[0])


def normal(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return name[0].lower().replace("_", "-")


def declared(*extras: str) -> set[str]:
    listed = list(PROJECT["dependencies"])
    for extra in extras:
        listed += PROJECT["optional-dependencies"][extra]
    return {normal(requirement) for requirement in listed}


def test_what_is_imported_is_declared_and_nothing_else() -> None:
    assert {distribution(module) for module in imported()} | WITHOUT_IMPORT == declared(*EXTRAS)


def test_doctor_looks_for_every_dependency() -> None:
    no_command_line_without = {"typer"}
    assert {
        distribution(module.partition(".")[0]) for module in REQUIRED
    } == declared() - no_command_line_without
