"""The wheel, as users install it: nothing is missing in it, and it works in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("eecompile", "passes", "targets")
SNIPPET = re.compile(r"```python\n(from eecompile import api\n.*?)```", re.DOTALL)
pytestmark = pytest.mark.wheel


@dataclass(frozen=True)
class Installed:
    """The wheel, an environment it is installed in without extras, and a folder with the examples alone."""

    wheel: Path
    python: Path
    folder: Path

    def run(self, *command: str | Path) -> str:
        """Return what a command of the environment prints."""
        outside = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            [self.python.parent / command[0], *command[1:]],
            cwd=self.folder, env=outside, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    base = tmp_path_factory.mktemp("wheel")
    # Built from a copy, so that nothing an earlier build left behind gets in.
    left_out = shutil.ignore_patterns(".*", "build", "dist", "runs", "*.egg-info", "__pycache__")
    source = shutil.copytree(ROOT, base / "source", ignore=left_out)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", base / "dist", source], check=True)
    (wheel,) = (base / "dist").glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", base / "env"], check=True)
    python = base / "env" / "bin" / "python"
    pip[0] = str(python)
    subprocess.run([*pip, "install", "-q", "-c", ROOT / "constraints.txt", wheel], check=True)
    folder = base / "elsewhere"
    folder.mkdir()
    shutil.copytree(ROOT / "examples", folder / "examples")
    return Installed(wheel, python, folder)


def test_every_file_of_the_packages_is_in_it_and_nothing_else(installed: Installed) -> None:
    files = (path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file())
    expected = {path.relative_to(ROOT).as_posix() for path in files if path.parent.name != "__pycache__"}
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    there = {name for name in names if ".dist-info/" not in name}
    assert there == expected
    for kind in ("py.typed", "hardware.yaml", ".j2", ".css", ".js"):
        assert any(name.endswith(kind) for name in there), kind
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_core_needs_no_extra(installed: Installed) -> None:
    archive = zipfile.ZipFile(installed.wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    needed = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    core = {re.match(r"[\w-]+", line).group() for line in needed if "extra ==" not in line}  # type: ignore[union-attr]
    assert not core & {"torch", "torchvision", "pillow", "ortools", "pytest"}
    there = installed.run("python", "-m", "pip", "list", "--format", "freeze")
    assert "eecompile==" in there
    assert not re.search(r"^(torch|ortools|pytest)==", there, re.MULTILINE)
    assert installed.run("python", "-m", "pip", "check").strip() == "No broken requirements found."


def test_it_is_the_installed_package_that_runs(installed: Installed) -> None:
    code = "import eecompile, passes, targets; print(eecompile.__file__, passes.__file__, targets.__file__)"
    for path in installed.run("python", "-c", code).split():
        assert "site-packages" in path


def test_verbs_answer_outside_the_checkout(installed: Installed) -> None:
    model = Path("examples", "digits_resnet.onnx")
    assert "diana" in installed.run("eecompile", "targets")
    for target in ("diana", "gap9", "edge_tpu_quad", "max78000", "max78002"):
        assert "exit_0" in installed.run("eecompile", "cost", model, "--target", target, "--exits", "1")
    assert "onnxruntime" in installed.run("eecompile", "doctor")
    assert "conv" in installed.run("eecompile", "inspect", model)


def test_a_run_writes_its_page(installed: Installed) -> None:
    """Templates and style of the page come with the wheel."""
    model = Path("examples", "digits_resnet.onnx")
    installed.run("eecompile", "run", model, "--target", "diana", "-o", "out")
    page = (installed.folder / "out" / "report.html").read_text()
    style = (ROOT / "eecompile" / "report" / "style.css").read_text().splitlines()
    assert [line for line in style if "{%" not in line and line not in page] == []
    assert "{{" not in page and "{%" not in page


def test_the_snippet_of_the_readme(installed: Installed) -> None:
    (snippet,) = SNIPPET.findall((ROOT / "README.md").read_text())
    lines = installed.run("python", "-c", snippet).splitlines()
    assert [line.split()[0] for line in lines] == ["exit_0", "final"]
    assert all(line.endswith(" pJ") for line in lines)


def test_a_type_checker_sees_its_types(installed: Installed) -> None:
    (installed.folder / "user.py").write_text(
        "from eecompile import api\n"
        'result = api.cost("m.onnx", target="diana")\n'
        "reveal_type(result.exits[0].cost.energy_pj)\n"
        'api.cost("m.onnx", target=3)\n'
    )
    command = [sys.executable, "-m", "mypy", "--python-executable", str(installed.python), "user.py"]
    done = subprocess.run(command, cwd=installed.folder, capture_output=True, text=True, check=False)
    assert 'Revealed type is "float"' in done.stdout.replace("builtins.", ""), done.stdout + done.stderr
    assert '"target" to "cost"' in done.stdout
    assert "Found 1 error" in done.stdout
