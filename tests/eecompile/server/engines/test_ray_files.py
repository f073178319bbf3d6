"""The files of an application of Ray Serve name each other and what stands in the package."""

from __future__ import annotations

import ast
from pathlib import Path

import yaml

from eecompile.server.engines import ray_files
from eecompile.server.engines.ray_files import ray_files as files_of_ray

ODD = 'it\'s "odd": ü'


def test_the_application_is_the_one_that_its_file_makes(small_run: Path) -> None:
    files = files_of_ray(small_run, ODD)
    document = yaml.safe_load(files["serve.yaml"])
    (application,) = document["applications"]
    module, name = application["import_path"].split(":")
    tree = ast.parse(files[f"{module}.py"])
    (made,) = [node for node in tree.body if isinstance(node, ast.Assign)]
    assert isinstance(made.targets[0], ast.Name) and made.targets[0].id == name
    assert isinstance(made.value, ast.Call)
    assert [c.value for c in ast.walk(made.value) if isinstance(c, ast.Constant)] == [ODD, "run"]
    assert application["name"] == ODD
    assert application["deployments"][0]["name"] == ray_files.DEPLOYMENT


def test_the_run_is_in_it(small_run: Path) -> None:
    files = files_of_ray(small_run, "small")
    for place in ("model.dynamic.onnx", "stages/stage_2.onnx", "summary.json"):
        assert files[f"run/{place}"] == (small_run / place).read_bytes()
