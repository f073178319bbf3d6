"""What pages show works: blocks run, outputs are printed, commands in the text have flags that there are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from eecompile.cli.main import app
from tests.documented import PAGES, ROOT, Block, Documentation, blocks, commands, printed
from tests.needs import needs_torch

# Blocks that are not run, each with its reason. One more has to be put here, so that it is seen.
FAR_IMAGES = "trains for minutes to hours, on images that are not in the repository"
NOT_RUN = {
    "README.md": [
        "these set up an environment, and the second runs this test",
        "it stands for files of yours; commands with files follow",
        "two minutes of training; docs/search.md runs a smaller one",
    ],
    "docs/search.md": [
        "it stands for files of yours; a small search follows",
        "the two ablations are searches of their own",
        "needs a server that several machines reach",
    ],
    "docs/split.md": ["it goes on until it is stopped", "it needs a server that runs"],
    "docs/serving_for_real.md": ["it serves until it is stopped; the block below serves the same"],
    "docs/how_to/model_server.md": [
        "it takes an environment of its own; `make engines-test` runs the same",
    ]
    * 2,
    "docs/tutorial_own_data.md": ["the same run again; tests of the verb give arrays to it"],
    "docs/results/zoo.md": ["makes 81 networks and runs every verb over each"],
    "docs/results/threshold_guarantee.md": [FAR_IMAGES, "takes the directory of a run on CIFAR-10"],
    "examples/README.md": ["trains the example network anew, over the one that lies there"],
} | {
    f"docs/results/{name}.md": [FAR_IMAGES]
    for name in (
        "adaptive_heads",
        "against_resnet8",
        "beside_star",
        "better_than_paper",
        "hardware_awareness",
        "joint_training",
        "paper_space",
        "schemes",
        "serving",
    )
}
MODULE = re.compile(r"python -m (tools[\w.]*)")
GROUP: Any = typer.main.get_group(app)
INLINE = re.compile(r"`(?:python -m )?eecompile ([a-z][^`]*)`")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def with_blocks() -> list[Path]:
    return [page for page in PAGES if any(block.runs for block in blocks(page))]


@pytest.fixture(scope="module")
def documentation(tmp_path_factory: pytest.TempPathFactory) -> Documentation:
    return Documentation(tmp_path_factory.mktemp("pages"))


@needs_torch
@pytest.mark.parametrize("page", with_blocks(), ids=named)
def test_blocks_run(page: Path, documentation: Documentation) -> None:
    assert "\n\n".join(documentation.run(page)) == ""


def test_what_is_not_run_is_known() -> None:
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for block in blocks(page):
            if block.note.startswith("not run"):
                found.setdefault(named(page), []).append(block.note.removeprefix("not run: "))
    assert found == NOT_RUN


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_stand_in_blocks_that_say_so_and_notes_are_known(page: Path) -> None:
    for block in blocks(page):
        assert re.fullmatch(r"|output|not run: .{10,}|fails: \d+|file: \S+", block.note), block.note
        if block.kind not in ("sh", "python"):
            assert not re.search(r"^(eecompile|python|make|pip) ", block.text, re.MULTILINE), block.text
        if block.kind == "toml":
            tomllib.loads(block.text)
        if block.kind == "yaml":
            assert yaml.safe_load(block.text)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_in_the_text_have_flags_that_there_are(page: Path) -> None:
    for command in INLINE.findall(page.read_text(encoding="utf-8")):
        verb = command.split()[0]
        assert verb in GROUP.commands, command
        known = {flag for item in GROUP.commands[verb].params for flag in item.opts} | {"--help"}
        assert set(FLAG.findall(command)) <= known, command


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_tools_that_are_named_are_there(page: Path) -> None:
    for module in MODULE.findall(page.read_text(encoding="utf-8")):
        path = ROOT / module.removesuffix(".").replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


PAGE = """<!-- runs after: first.md -->
# A page
```sh
eecompile targets
cat made.txt
```
<!-- output -->
```
targets NAME … which core
made by the first
```
<!-- file: three.py -->
```python
print(3)
```
<!-- fails: 2 -->
```sh
eecompile cost nothing.onnx
```
<!-- not run: it would take long -->
```sh
eecompile gone
```
"""


def test_pages_take_up_what_others_left_and_all_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "first.md").write_text(
        "```python\nopen('made.txt', 'w').write('made by the first\\n')\nprint(1)\n```\n"
    )
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    pages = Documentation(tmp_path / "work")
    assert pages.run(page) == []
    assert (tmp_path / "work" / "three.py").read_text() == "print(3)\n"
    page.write_text(
        PAGE.replace("fails: 2", "fails: 1")
        .replace("made by the", "made by no")
        .replace("print(3)", "print()")
    )
    failures = Documentation(tmp_path / "again").run(page)
    assert [failure.splitlines()[0] for failure in failures] == [
        "not printed: made by no first",
        "print()",
        "eecompile cost nothing.onnx",
    ]
    assert "printed nothing" in failures[1] and "ended with 2 instead of 1" in failures[2]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("eecompile a \\\n  --b 1\n\n# why\neecompile c > d\n", ["eecompile a --b 1", "eecompile c > d"]),
        ("python -c 'x\ny' |\n  eecompile d\n", ["python -c 'x\ny' |\n  eecompile d\n"]),
    ],
)
def test_lines_are_put_together_and_programs_of_others_stay_whole(text: str, found: list[str]) -> None:
    assert commands(text) == found


def test_an_output_is_part_of_a_line_whatever_the_spaces() -> None:
    assert printed("exit_0 … 4 %", " exit_0   relu_2  307 k   4 %   100 %\nfinal")
    assert not printed("exit_0 … 5 %", "exit_0 4 %\nfinal 5 %")
    assert (
        Block("", "sh", "").runs
        and not Block("not run: why", "sh", "").runs
        and not Block("", "toml", "").runs
    )
