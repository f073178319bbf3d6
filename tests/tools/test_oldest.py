from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tools.ci import environment
from tools.ci.oldest import EXTRAS, lower_bounds, oldest, pins

ROOT = Path(__file__).parents[2]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_bounds_are_read_and_nothing_is_guessed() -> None:
    assert lower_bounds(["numpy>=1.26", "Foo_Bar >= 2.0.1"]) == {"numpy": "1.26", "foo-bar": "2.0.1"}
    assert lower_bounds(["ortools>=9.11,!=9.12.*, !=9.13.*"]) == {"ortools": "9.11"}
    for unbounded in ("numpy", "numpy<2", "numpy>=1.26,<2", "numpy==1.26"):
        with pytest.raises(ValueError, match="not of the form"):
            lower_bounds([unbounded])


def test_what_the_project_needs_is_old_and_what_tests_it_is_pinned() -> None:
    document = {
        "project": {
            "dependencies": ["numpy>=1.26"],
            "optional-dependencies": {
                "images": ["pillow>=10"],
                "solver": [],
                "search": [],
                "frames": [],
                "plot": ["matplotlib>=3.8"],
                "serve": [],
                "train": ["torch>=2.6"],
                "test": ["pytest>=8.3"],
            },
        }
    }
    pinned = pins("# numpy==0\nnumpy==2.4.6\npytest==9.2.0\npandas==3.1.1\n")
    assert pinned["numpy"] == "2.4.6"
    assert oldest(document, pinned) == {
        "numpy": "1.26",
        "pillow": "10",
        "matplotlib": "3.8",
        "pytest": "9.2.0",
    }


def test_all_that_is_optional_is_tested_but_for_torch_and_messages_of_one_protobuf() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    assert set(EXTRAS) == extras - {"train", "grpc", "mlserver", "ray", "test", "dev", "docs"}
    assert set(environment.EXTRAS.split(",")) == {*EXTRAS, "test"}


def test_every_dependency_is_pinned_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    asked = [line for group in groups for line in group if ">=" in line]
    pinned = pins((ROOT / "constraints.txt").read_text())
    for name, bound in lower_bounds(asked).items():
        assert numbers(pinned[name]) >= numbers(bound), name
