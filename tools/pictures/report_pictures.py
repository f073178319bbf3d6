"""Pictures of the report of a run: on a telephone and on a desk, by day and by night.

    python -m tools.pictures.report_pictures RUN [--out docs/pictures]

They show the first screens, by a headless Chromium, in few colours so that they stay small.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Width and height in pixels.
SIZES = ((400, 2300), (1400, 2080))
SCHEMES = {"light": 1, "dark": 0}
"""Colour scheme -> what Chromium calls it."""
COLOURS = 96


def picture(page: Path, out: Path, width: int, height: int, scheme: str) -> None:
    """Write the top of a page as a PNG of ``width`` times ``height`` pixels.

    Args:
        page: HTML file.
        out: PNG file.
        width: Of the window.
        height: Of the window.
        scheme: One of :data:`SCHEMES`.

    Raises:
        FileNotFoundError: There is no browser.
        subprocess.CalledProcessError: It failed.
    """
    from PIL import Image  # of the extra "images"; sizes and schemes are known without

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise FileNotFoundError(f"no browser: install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen.png"
        flags = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            f"--user-data-dir={folder}/profile",
            f"--window-size={width},{height}",
            f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
            f"--screenshot={seen}",
        ]
        command = [browser, *flags, page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        with Image.open(seen) as image:
            few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(out, optimize=True)


def main(arguments: list[str] | None = None) -> int:
    """Write all pictures and their sizes; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory with its report.html")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    asked = parser.parse_args(arguments)
    page = asked.run / "report.html"
    if not page.is_file():
        print(f"no {page}: `eecompile report {asked.run}` writes it", file=sys.stderr)
        return 2
    asked.out.mkdir(parents=True, exist_ok=True)
    for width, height in SIZES:
        for scheme in SCHEMES:
            out = asked.out / f"report-{width}-{scheme}.png"
            picture(page, out, width, height, scheme)
            print(f"{out}: {out.stat().st_size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
