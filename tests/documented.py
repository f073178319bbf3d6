"""What pages show, run: their blocks of commands and Python, in order, all pages in one folder.

A block of `sh` or `python` runs, unless a comment says why not. Comments, each on the line before a block:

* ``<!-- not run: REASON -->``
* ``<!-- fails: 2 -->``: the last command ends with this exit code.
* ``<!-- file: NAME -->``: the block, in whatever language, is written into this file.
* ``<!-- output -->``: each line of the block is part of what the block before printed; … stands for anything.

``<!-- runs after: PAGE, … -->`` at the beginning of a page names the pages whose files it takes up.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from typer.testing import CliRunner

from eecompile.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "targets").glob("*/README.md"),
    ]
)
BLOCK = re.compile(r"^( *)(?:<!-- ([^\n]*?) -->\n\1)?```([\w{}-]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
AFTER = re.compile(r"^<!-- runs after: (.*?) -->$", re.MULTILINE)
COMMAND = "from eecompile.cli.main import main; main()"


@dataclass(frozen=True)
class Block:
    """A block of a page, also one in a list: the comment before it, its language, its text."""

    note: str
    kind: str
    text: str

    @property
    def runs(self) -> bool:
        """Whether it is run."""
        return self.kind in ("sh", "python") and not self.note.startswith("not run")


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Block(note, kind, textwrap.dedent(text)) for _, note, kind, text in found]


def commands(text: str) -> list[str]:
    """Return the commands of a block: its lines, where all are ours; one that goes on in the next is one."""
    lines = [line.strip() for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    return found if all(line.startswith("eecompile ") for line in found) else [text]


def asks_for_a_shell(command: str) -> bool:
    """Return whether a command is another than ours, or does more than call it: a pipe, a file it reads."""
    if "\n" in command.strip():
        return True
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return not command.startswith("eecompile ") or any(set(token) <= set("|&;<>()") for token in lexer)


@dataclass
class Documentation:
    """All pages, run in one folder; each once, when it is asked for, behind those it takes files from.

    Attributes:
        folder: Where they run; the examples lie there.
        failures: What went wrong, by page.
    """

    folder: Path
    failures: dict[Path, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the examples there, and a folder in which the shell finds the command."""
        shutil.copytree(ROOT / "examples", self.folder / "examples")
        tools = self.folder.parent / f"{self.folder.name}_commands"
        tools.mkdir()
        for name, arguments in (("eecompile", ["-P", "-c", COMMAND]), ("python", [])):
            line = shlex.join([sys.executable, *arguments])
            (tools / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
            (tools / name).chmod(0o755)
        paths = os.environ.get("PYTHONPATH", "")
        self.shell = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{paths}"}

    def run(self, page: Path) -> list[str]:
        """Run a page that was not run yet; return what failed."""
        if page not in self.failures:
            for needed in AFTER.findall(page.read_text(encoding="utf-8")):
                for name in needed.split(", "):
                    self.run((page.parent / name).resolve())
            self.failures[page] = list(self._failures(page))
        return self.failures[page]

    def _failures(self, page: Path) -> Iterator[str]:
        before = ""
        for block in blocks(page):
            if block.note.startswith("file: "):
                path = self.folder / block.note.removeprefix("file: ")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            if block.note == "output":
                missing = [line for line in block.text.splitlines() if not printed(line, before)]
                if missing:
                    yield "not printed: " + "\n".join(missing) + f"\nbut\n{before}"
            if block.runs:
                code, before = self._run(block)
                wanted = int(block.note.removeprefix("fails: ")) if block.note.startswith("fails: ") else 0
                if code != wanted:
                    yield f"{block.text}ended with {code} instead of {wanted}\n{before}"
                elif not before.strip() and (block.kind == "sh" or "print(" in block.text):
                    yield f"{block.text}printed nothing"

    def _run(self, block: Block) -> tuple[int, str]:
        """Return the exit code and all that the block printed."""
        with contextlib.chdir(self.folder):
            if block.kind == "python":
                return run_python(block.text)
            said = ""
            for command in commands(block.text):
                code, printed_now = self._command(command)
                said += printed_now
                if code:
                    return code, said
        return 0, said

    def _command(self, command: str) -> tuple[int, str]:
        if asks_for_a_shell(command):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command],
                env=self.shell, capture_output=True, text=True, check=False,
            )  # fmt: skip
            return done.returncode, done.stdout + done.stderr
        words = shlex.split(command, comments=True)[1:]
        done_here = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
        failed = done_here.exception
        if failed is not None and not isinstance(failed, SystemExit):
            return 70, done_here.output + "".join(traceback.format_exception(failed))
        return done_here.exit_code, done_here.output


def run_python(text: str) -> tuple[int, str]:
    """Run Python as a program of its own would; return its exit code and what it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(text, "<block>", "exec", dont_inherit=True), {"__name__": "__main__"})
        except BaseException:
            return 1, out.getvalue() + traceback.format_exc()
    return 0, out.getvalue()


def printed(line: str, text: str) -> bool:
    """Return whether a line is part of a text, whatever the spaces; … stands for anything within a line."""
    parts = [re.escape(" ".join(part.split())) for part in line.split("…")]
    return any(re.search(".*".join(parts), " ".join(found.split())) for found in text.splitlines())
