"""Every table and every plot of the report is a file, and says what the page says."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from eecompile import report
from eecompile.report.paper.files import LONGEST_NAME, export_page
from eecompile.report.paper.page_parts import page_parts
from eecompile.run_files.samples import write_samples
from passes.errors import InputError
from tests.eecompile.fabricated_run import samples, summary, training, write_run


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Path, ...]]:
    run = write_run(tmp_path_factory.mktemp("run"))
    write_samples(run, samples())
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"training": training()}))
    return run, export_page(run, run / "paper")


def test_nothing_of_the_page_is_left_out(exported: tuple[Path, tuple[Path, ...]]) -> None:
    run, files = exported
    page = report.render(run)
    tables = len(re.findall('<table(?! class="explored")', page))
    plots = len(re.findall('<svg class="(?:chart|stack tall)', page))
    assert {path.parent for path in files} == {run / "paper"} and all(path.is_file() for path in files)
    kinds = [path.suffix for path in files]
    assert kinds.count(".tex") == kinds.count(".csv") == tables > 8
    assert kinds.count(".svg") == plots > 5
    names = [path.name for path in files]
    assert len(set(names)) == len(names) and max(len(path.stem) for path in files) <= LONGEST_NAME + 2


def test_tex_is_balanced_and_has_as_many_cells_as_columns(exported: tuple[Path, tuple[Path, ...]]) -> None:
    for path in (path for path in exported[1] if path.suffix == ".tex"):
        text = path.read_text()
        form = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
        assert form and text.count("\\begin{") == text.count("\\end{") == 1, path.name
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert rows, path.name
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(form[1]) - 1, (path.name, row)
            bare = re.sub(r"\\.", "", row)
            assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0, (path.name, row)
            assert not re.search(r"[#%]|(?<![\^}0-9\w])_", re.sub(r"\$[^$]*\$", "", bare)), (path.name, row)


def test_csv_and_tex_say_the_figures_of_the_page(exported: tuple[Path, tuple[Path, ...]]) -> None:
    run, files = exported
    with (run / "paper" / "exits.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    exits = summary()["exits"]
    assert [row["exit"] for row in rows[: len(exits)]] == [found["name"] for found in exits]
    for row, found in zip(rows, exits, strict=False):
        assert float(row["energy (µJ)"]) == pytest.approx(found["energy_pj"] * 1e-6, rel=6e-3)
        assert float(row["ratio (%)"]) == pytest.approx(100 * found["ratio"], abs=0.06)
    tex = (run / "paper" / "exits.tex").read_text()
    assert all(f" {row['energy (µJ)']} &" in tex for row in rows[: len(exits)])
    assert len(page_parts(report.render(run)).plots) == sum(path.suffix == ".svg" for path in files)


def test_pictures_are_whole_and_need_nothing_beside_them(exported: tuple[Path, tuple[Path, ...]]) -> None:
    for path in (path for path in exported[1] if path.suffix == ".svg"):
        root = ET.fromstring(path.read_bytes())
        assert len(list(root.iter())) > 4, path.name
        assert root[1].get("fill") == "#ffffff"
        for part in root.iter():
            assert not {"class", "style"} & set(part.attrib), path.name
            values = " ".join(part.attrib.values())
            assert not re.search(r"var\(|url\(|currentColor", values), (path.name, values)
            if part.tag.endswith(("polyline", "circle", "line")):
                assert part.get("stroke") or part.get("fill"), (path.name, part.attrib)


def test_a_folder_that_cannot_be_written_to(exported: tuple[Path, tuple[Path, ...]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        export_page(exported[0], tmp_path / "file")
