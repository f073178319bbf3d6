"""A real browser that opens pages in frames, and a script beside them that looks at what they show."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def seen_in_frames(folder: Path, frames: str, script: str) -> dict[str, Any]:
    """Return what a script writes into the ``pre`` of a page with frames; skip without a browser."""
    if BROWSER is None:
        pytest.skip("no chromium to open the page with")
    driver = folder / "driver.html"
    driver.write_text(f"<!doctype html><pre></pre>{frames}<script>{script}</script>")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    done = subprocess.run(
        [*command, f"--user-data-dir={folder / 'profile'}", "--dump-dom", driver.as_uri()],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    text = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    assert text and text[1], done.stdout[:500] + done.stderr[-2000:]
    assert text[1].startswith("{"), unescape(text[1])
    found: dict[str, Any] = json.loads(unescape(text[1]))
    return found
