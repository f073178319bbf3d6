"""Commands that must refuse what they are given, and leave all as it was."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from eecompile.cli import main as cli

VERBS = (
    ("run", "{model}", "-o", "out"),
    ("cost", "{model}"),
    ("inspect", "{model}"),
    ("opt", "{model}", "-p", "canonicalize", "-o", "new/new.onnx", "--save-stages", "stages/all"),
)


def contents(folder: Path) -> dict[str, bytes | None]:
    found = sorted(folder.rglob("*"))
    return {str(p): p.read_bytes() if p.is_file() and not p.is_symlink() else None for p in found}


def refused(folder: Path, *arguments: object) -> str:
    """Return the message of a command that must refuse its input and leave ``folder`` as it was."""
    before = contents(folder)
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    progress = [line for line in result.stderr.splitlines() if line.lstrip()[:1].isdigit()]
    message = [line for line in result.stderr.splitlines() if line not in progress]
    assert message[0].startswith(("error: ", "Usage: "))
    assert sum(line.lower().startswith("error: ") for line in message) == 1
    assert len(message) >= 2, "it must say what to do"
    assert "Traceback" not in result.stderr
    assert contents(folder) == before, "something was written"
    return "\n".join(message)


def refused_model(folder: Path, model: Path | str, verbs: tuple[tuple[str, ...], ...] = VERBS) -> str:
    """Return the message all of ``verbs`` give for a bad model."""
    messages = {refused(folder, *(word.format(model=model) for word in verb)) for verb in verbs}
    assert len(messages) == 1, "every verb says the same"
    return messages.pop()
