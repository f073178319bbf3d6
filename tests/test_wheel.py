"""The wheel, as users install it: nothing is missing in it, and it works in a folder of its own.

Without extras, and, for what runs a compiled network, without anything but onnxruntime.
"""

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

import numpy as np
import pytest

from eecompile import api
from eecompile.run import steps
from eecompile.runtime.early_exit_session import EarlyExitSession
from tests.eecompile.run.brief_run import BRIEF, DIGITS
from tests.eecompile.runtime.small_run import write_small_run
from tests.eecompile.runtime.test_cpp_driver import DRIVER, LIBRARY, headers
from tests.needs import WHY_TORCH

ROOT = Path(__file__).parents[1]
PACKAGES = ("eecompile", "passes", "targets")
DEPLOYED = re.compile(r"```python\n((?:(?!```).)*?(?:EarlyExitSession|onnxruntime).*?)```", re.DOTALL)
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
        done = self.call(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def call(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in its folder."""
        outside = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return subprocess.run(
            [self.python.parent / command[0], *command[1:]],
            cwd=self.folder, env=outside, capture_output=True, text=True, check=False,
        )  # fmt: skip


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


@pytest.fixture(scope="module")
def deployed(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel without what it depends on, and onnxruntime alone; in its folder a run, and its images."""
    base = tmp_path_factory.mktemp("deployed")
    subprocess.run([sys.executable, "-m", "venv", base / "env"], check=True)
    python = base / "env" / "bin" / "python"
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", "onnxruntime", "numpy"], check=True)
    subprocess.run([*pip, "--no-deps", installed.wheel], check=True)
    folder = base / "elsewhere"
    folder.mkdir()
    return Installed(installed.wheel, python, folder)


def test_a_compiled_network_is_used_with_onnxruntime_alone(deployed: Installed) -> None:
    folder, images = write_small_run(deployed.folder / "small")
    np.save(deployed.folder / "images.npy", images[:-1])
    code = (
        "import numpy as np; from eecompile.runtime import EarlyExitSession; "
        "found = EarlyExitSession('small').run(np.load('images.npy')); "
        "print(found.label.tolist(), found.exit.tolist(), found.confidence.tolist())"
    )
    expected = EarlyExitSession(folder).run(images[:-1])
    told = [values.tolist() for values in (expected.label, expected.exit, expected.confidence)]
    assert set(expected.exit) == {0, 1, 2}
    assert deployed.run("python", "-c", code).strip() == " ".join(map(str, told))
    there = deployed.run("python", "-m", "pip", "list", "--format", "freeze").lower()
    assert not re.search(r"^(onnx|pydantic|typer|scikit-learn|torch|pyyaml)==", there, re.MULTILINE)


def test_the_snippets_of_deployment_run_with_onnxruntime_alone(deployed: Installed) -> None:
    """Images are those of scikit-learn, from a file that stands in for it: it is not there."""
    pytest.importorskip("torch", reason=WHY_TORCH)
    from sklearn.datasets import load_digits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "Recipe", BRIEF)
        api.run(
            DIGITS, data="digits", out=deployed.folder / "runs" / "digits", cache=deployed.folder / "cache"
        )
    (deployed.folder / "sklearn").mkdir()
    np.save(deployed.folder / "digits.npy", load_digits().images)
    (deployed.folder / "sklearn" / "datasets.py").write_text(
        "import types\nimport numpy as np\n"
        "def load_digits(): return types.SimpleNamespace(images=np.load('digits.npy'))\n"
    )
    session, file = DEPLOYED.findall((ROOT / "README.md").read_text())
    assert "EarlyExitSession" in session and "InferenceSession" in file
    first = deployed.run("python", "-c", session)
    assert re.fullmatch(r"\[0 1 2 3\] \[.*\] \[.*\] \(64, 10\)\n", first), first
    assert re.match(r"class 0, left at exit \d, confidence [01]\.\d\d\n", deployed.run("python", "-c", file))


def test_the_driver_in_cpp_is_linked_with_onnxruntime_alone(deployed: Installed) -> None:
    include = headers()
    folder, images = write_small_run(deployed.folder / "for_cpp")
    (library,) = deployed.python.parents[1].glob(f"lib/python*/site-packages/onnxruntime/capi/{LIBRARY.name}")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (deployed.folder / name).symlink_to(library)
    link = (deployed.folder / "libonnxruntime.so", f"-Wl,-rpath,{deployed.folder}")
    program = deployed.folder / "early_exit"
    subprocess.run(["c++", "-std=c++17", "-isystem", include, DRIVER, *link, "-o", program], check=True)
    session = EarlyExitSession(folder)
    session.model_input(images[:-1]).tofile(deployed.folder / "images.f32")
    command = [program, folder / "model.dynamic.onnx", deployed.folder / "images.f32"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = session.run(images[:-1])
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [[int(row[0]), int(row[1])] for row in rows] == np.stack(
        [expected.label, expected.exit], 1
    ).tolist()


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


def test_runs_are_compared_and_reported_without_extras(installed: Installed) -> None:
    model = Path("examples", "digits_resnet.onnx")
    for name, target in (("first", "diana"), ("second", "gap9")):
        installed.run("eecompile", "run", model, "--target", target, "--exits", "1", "-o", name)
    assert "energy" in installed.run("eecompile", "compare", "first", "second")
    assert "Exported" in installed.run("eecompile", "report", "first", "--export", "paper")
    assert (installed.folder / "paper" / "exits.tex").is_file()
    assert list((installed.folder / "paper").glob("*.svg"))


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("train", "run {model} --data digits -o trained"),
        ("search", "search {space} --target diana --data digits -o searched --trials 1"),
        ("solver", "cost {model} --target edge_tpu_quad --solver exact"),
        ("images", "opt {model} -p canonicalize --data folder --verify-each"),
    ],
)
def test_what_needs_an_extra_says_which(installed: Installed, extra: str, command: str) -> None:
    for split in ("train", "test"):
        for label in ("a", "b"):
            place = installed.folder / "folder" / split / label
            place.mkdir(parents=True, exist_ok=True)
            (place / "one.png").write_bytes(b"no matter what")
    names = {"model": "examples/digits_resnet.onnx", "space": "examples/search_digits.toml"}
    done = installed.call("eecompile", *command.format(**names).split())
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"eecompile[{extra}]" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("extra", "call"), [("frames", "to_frame()"), ("plot", "save('a.svg')")])
def test_results_say_which_extra_shows_them(installed: Installed, extra: str, call: str) -> None:
    code = f"from eecompile import api; api.cost('examples/digits_resnet.onnx').{call}"
    done = installed.call("python", "-c", code)
    assert done.returncode == 1 and f"eecompile[{extra}]" in done.stderr, done.stderr


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
