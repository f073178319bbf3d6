"""What the README shows works: its commands and snippets run, in order, in one folder."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import needs_torch

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"<!-- test -->\n```(sh|python)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples", path / "examples")
    return path


@needs_torch
def test_blocks_run_in_order(folder: Path) -> None:
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    assert [kind for kind, _ in blocks] == ["sh", "sh", "sh", "python", "python", "python"]
    for kind, text in blocks:
        commands = [[sys.executable, "-c", text]]
        if kind == "sh":
            start = [sys.executable, "-c", "from eecompile.cli.main import main; main()"]
            commands = [[*start, *shlex.split(line)[1:]] for line in text.splitlines()]
        for command in commands:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            assert done.stdout.strip(), f"{command} answered nothing"


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "targets").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_table_of_results_is_what_the_results_page_says() -> None:
    readme, page = ((ROOT / p).read_text() for p in ("README.md", "docs/results/resnet8_diana.md"))
    assert "RESULT_" not in readme, "a placeholder was left"
    rows = re.findall(r"^\| (?:expected|energy|MACs|images).*$", readme, re.MULTILINE)
    figures = re.findall(r"\d+\.\d %", "\n".join(rows))
    assert len(figures) == 12, "six savings of energy-delay product, two of each other row"
    assert [figure for figure in figures if figure not in page] == []
