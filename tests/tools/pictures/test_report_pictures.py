from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tools.pictures.report_pictures import BROWSERS, SCHEMES, SIZES, main, picture

Image = pytest.importorskip("PIL.Image", reason="Pillow, of the extra 'images', reads pictures")
SHOWN = Path(__file__).parents[3] / "docs" / "pictures"
PAGE = (
    "<meta name=viewport content='width=device-width'><style>body{margin:0;background:#fff}"
    "@media (prefers-color-scheme:dark){body{background:#111}}</style><p>words"
)


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no browser to take pictures with")
def test_a_picture_has_its_size_and_its_colours(tmp_path: Path) -> None:
    page, brightness = tmp_path / "page.html", {}
    page.write_text(PAGE)
    for scheme in SCHEMES:
        picture(page, tmp_path / "out.png", 400, 600, scheme)
        with Image.open(tmp_path / "out.png") as found:
            assert (found.size, found.mode) == ((400, 600), "P")
            brightness[scheme] = np.asarray(found.convert("L")).mean()
    assert brightness["light"] > 240 and brightness["dark"] < 40


def test_without_a_browser_it_says_which_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(FileNotFoundError, match="chromium"):
        picture(tmp_path / "page.html", tmp_path / "out.png", 400, 600, "light")


def test_a_run_without_a_page_is_told_what_writes_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "eecompile report" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_documentation_shows_all_of_them_and_they_are_small(size: tuple[int, int], scheme: str) -> None:
    shown = SHOWN / f"report-{size[0]}-{scheme}.png"
    assert shown.stat().st_size < 300_000
    with Image.open(shown) as found:
        assert found.size == size
        assert (np.asarray(found.convert("L")).mean() > 128) == (scheme == "light")
    page = (SHOWN.parent / "report.md").read_text(encoding="utf-8")
    assert f"pictures/{shown.name}" in page
