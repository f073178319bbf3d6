"""Counts of a small house with every kind of circle, and of this one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.house import MOST_FILES, main, survey

SMALL = {
    "eecompile/__init__.py": '"""The top."""\nimport importlib\nimportlib.import_module("eecompile.api")\n',
    "eecompile/api.py": "from eecompile.run import steps\n",
    "eecompile/run/__init__.py": '"""Nothing but words."""\n',
    "eecompile/run/steps.py": "def f():\n    from eecompile.files import disk\n",
    "eecompile/files/__init__.py": "",
    "eecompile/files/disk.py": "import targets.cost\nimport numpy\n",
    "eecompile/files/names.py": "import eecompile.run.steps\n",
    "targets/__init__.py": "",
    "targets/cost.py": "import typing\nif typing.TYPE_CHECKING:\n    from targets.report import Report\n",
    "targets/report.py": "from targets.cost import cost\nfrom passes.base import Pass\n",
    "passes/__init__.py": "",
    "passes/base.py": "def f():\n    from passes import registry\n",
    "passes/registry.py": "from passes.base import Pass\n",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name, text in SMALL.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_an_import_in_a_function_closes_a_circle(small: Path) -> None:
    assert survey(small).circles == (("passes.base", "passes.registry"),)


def test_imports_for_the_type_checker_are_told_apart(small: Path) -> None:
    assert survey(small).typed_circles == (("targets.cost", "targets.report"),)


def test_rooms_reach_each_other_though_no_module_does(small: Path) -> None:
    between = {folder.name: folder.circles for folder in survey(small).folders}
    assert between["eecompile"] == (("eecompile.files", "eecompile.run"),)
    assert between["targets"] == (("targets.cost", "targets.report"),)
    assert between["eecompile/run"] == ()


def test_rooms_and_floors(small: Path) -> None:
    counts = {f.name: (f.files, f.rooms, f.floors) for f in survey(small).folders}
    assert counts == {
        # __init__ -> api -> {run, files}: a circle is one room on the way
        "eecompile": (2, 4, 3),
        "eecompile/files": (3, 2, 1),
        "eecompile/run": (2, 1, 1),
        "passes": (3, 2, 1),
        "targets": (3, 2, 1),
    }


def test_floors_are_the_longest_chain(small: Path) -> None:
    for number in range(5):
        (small / f"passes/step_{number}.py").write_text(f"import passes.step_{number + 1}\n")
    (small / "passes/step_5.py").write_text("")
    (small / "passes/above.py").write_text("import passes.step_4\nfrom passes.base import Pass\n")
    (passes,) = (f for f in survey(small).folders if f.name == "passes")
    assert (passes.rooms, passes.floors) == (2 + 6 + 1, 6)


def test_crowded_folders(small: Path) -> None:
    for number in range(MOST_FILES - 3):
        (small / f"passes/step_{number}.py").write_text("")
    assert not survey(small).crowded
    (small / "passes/one_more.py").write_text("")
    assert [(folder.name, folder.files) for folder in survey(small).crowded] == [("passes", MOST_FILES + 1)]


def test_the_command_prints_tables_or_json(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(small)])
    text = capsys.readouterr().out
    assert "import circles: 1\n  passes.base <-> passes.registry\n" in text
    assert "more of them under TYPE_CHECKING: 1\n  targets.cost <-> targets.report\n" in text
    assert "eecompile            2      4       3\n" in text
    main([str(small), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["circles"] == [["passes.base", "passes.registry"]]
    assert document["folders"][0] == {
        "name": "eecompile",
        "files": 2,
        "rooms": 4,
        "floors": 3,
        "circles": [["eecompile.files", "eecompile.run"]],
    }


def test_this_house_has_no_circles() -> None:
    house = survey(Path(__file__).parents[2])
    assert len(house.folders) > 3
    assert (house.circles, house.typed_circles) == ((), ())
