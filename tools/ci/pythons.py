"""Test the core, without torch, on every Python newer than the oldest that this machine offers.

    python3 -m tools.ci.pythons

A Python is looked for on the PATH and among those of pyenv. Versions are those of `constraints.txt`, or,
where a pin has no wheel for a Python yet, the newest that pip finds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from tools.ci import environment

NEWER = ("3.12", "3.13", "3.14")


def find(version: str) -> Path | None:
    """Return an interpreter of ``version`` (such as 3.12) that can make environments."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    on_path = shutil.which(f"python{version}")
    found = [Path(on_path)] if on_path else []
    for candidate in (*found, *sorted(pyenv.glob(f"versions/{version}.*/bin/python"))):
        ask: list[str | Path] = [
            candidate,
            "-c",
            "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])",
        ]
        answer = subprocess.run(ask, capture_output=True, text=True, check=False)
        if answer.stdout.strip() == version:  # a shim of pyenv is on the PATH even if it answers nothing
            return candidate
    return None


def main() -> None:
    """Test one version after the other, stopping at the first that fails."""
    tested = []
    for version in NEWER:
        interpreter = find(version)
        if interpreter is None:
            print(f"Python {version}: skipped, there is none on this machine", flush=True)
            continue
        start = time.monotonic()
        print(f"Python {version}: {interpreter}", flush=True)
        python = environment.make(f"python{version}", interpreter)
        if not environment.install(python, environment.PINS):
            print(f"Python {version}: not all pins have wheels for it, trying the newest", flush=True)
            if not environment.install(python, None):
                raise SystemExit(f"Python {version}: the project cannot be installed")
        environment.test(python)
        tested.append(version)
        print(f"Python {version}: passed in {time.monotonic() - start:.0f} s", flush=True)
    print(f"tested on newer Pythons: {', '.join(tested) or 'none, because there are none'}")


if __name__ == "__main__":
    main()
