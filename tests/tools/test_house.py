"""Counts of a small house with every kind of circle, and of this one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.house import MOST_FILES, main, survey

SMALL = {
    "eecompile/__init__.py": '"""The top."""\nimport importlib\nimportlib.import_module("eecompile.face")\n',
    "eecompile/face.py": "from eecompile.job_room import steps\n",
    "eecompile/job_room/__init__.py": '"""Nothing but words."""\n',
    "eecompile/job_room/steps.py": "def f():\n    from eecompile.disk_room import disk\n",
    "eecompile/disk_room/__init__.py": "",
    "eecompile/disk_room/disk.py": "import targets.left\nimport numpy\n",
    "eecompile/disk_room/names.py": "import eecompile.job_room.steps\n",
    "targets/__init__.py": "",
    "targets/left.py": "import typing\nif typing.TYPE_CHECKING:\n    from targets.right import Right\n",
    "targets/right.py": "from targets.left import left\nfrom passes.first import Pass\n",
    "passes/__init__.py": "",
    "passes/first.py": "def f():\n    from passes import second\n",
    "passes/second.py": "from passes.first import Pass\n",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name, text in SMALL.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_an_import_in_a_function_closes_a_circle(small: Path) -> None:
    assert survey(small).circles == (("passes.first", "passes.second"),)


def test_imports_for_the_type_checker_are_told_apart(small: Path) -> None:
    assert survey(small).typed_circles == (("targets.left", "targets.right"),)


def test_rooms_reach_each_other_though_no_module_does(small: Path) -> None:
    between = {folder.name: folder.circles for folder in survey(small).folders}
    assert between["eecompile"] == (("eecompile.disk_room", "eecompile.job_room"),)
    assert between["targets"] == (("targets.left", "targets.right"),)
    assert between["eecompile/job_room"] == ()


def test_rooms_and_floors(small: Path) -> None:
    counts = {f.name: (f.files, f.rooms, f.floors) for f in survey(small).folders}
    assert counts == {
        # __init__ -> face -> {job_room, disk_room}: a circle is one room on the way
        "eecompile": (2, 4, 3),
        "eecompile/disk_room": (3, 2, 1),
        "eecompile/job_room": (2, 1, 1),
        "passes": (3, 2, 1),
        "targets": (3, 2, 1),
    }


def test_floors_are_the_longest_chain(small: Path) -> None:
    for number in range(5):
        (small / f"passes/step_{number}.py").write_text(f"import passes.step_{number + 1}\n")
    (small / "passes/step_5.py").write_text("")
    (small / "passes/above.py").write_text("import passes.step_4\nfrom passes.first import Pass\n")
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
    assert "import circles: 1\n  passes.first <-> passes.second\n" in text
    assert "more of them under TYPE_CHECKING: 1\n  targets.left <-> targets.right\n" in text
    assert "eecompile                2      4       3\n" in text
    main([str(small), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["circles"] == [["passes.first", "passes.second"]]
    assert document["folders"][0] == {
        "name": "eecompile",
        "files": 2,
        "rooms": 4,
        "floors": 3,
        "circles": [["eecompile.disk_room", "eecompile.job_room"]],
    }


def test_this_house_has_no_circles() -> None:
    house = survey(Path(__file__).parents[2])
    assert len(house.folders) > 3
    assert (house.circles, house.typed_circles, house.crowded) == ((), (), ())
    assert {folder.name: folder.circles for folder in house.folders if folder.circles} == {}
