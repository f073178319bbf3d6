"""Families by name: built in, of installed packages, and what is wrong with others."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from eecompile.search.backbones import registry
from passes.errors import InputError
from tests.eecompile.search.backbones.networks import BUILT_IN


def test_built_in_families_are_entry_points_too() -> None:
    assert tuple(registry.BUILTIN) == BUILT_IN
    assert all(registry.backbone_family(name).words for name in BUILT_IN)
    installed = {point.name: point.value for point in entry_points(group=registry.GROUP)}
    assert {name: registry.BUILTIN.get(name) for name in installed} == installed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt", r"unknown backbone family 'resnt'\ndid you mean 'resnet'"),
        ("m.onnx", 'file = "m.onnx" instead'),
    ],
)
def test_unknown_names_get_a_hint(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        registry.backbone_family(name)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no.such.module:X", "cannot be loaded"),
        ("eecompile.search.backbones.resnet:NOPE", "cannot be loaded"),
        ("json:loads", "is not a BackboneFamily"),
        ("eecompile.search.backbones.resnet:RESNET", "calls itself 'resnet'"),
    ],
)
def test_broken_entry_points_are_told(value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILTIN, "broken", value)
    with pytest.raises(InputError, match=message):
        registry.backbone_family("broken")


def test_a_family_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_nets.py").write_text(
        "from dataclasses import replace\n"
        "from eecompile.search.backbones.resnet import RESNET8\n"
        "NET = replace(RESNET8, name='theirs')\nNOT_RESNET = replace(RESNET8, name='resnet')\n"
    )
    information = tmp_path / "theirs-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = "[eecompile.backbones]\ntheirs = their_nets:NET\nresnet = their_nets:NOT_RESNET\n"
    (information / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert registry.backbone_family("theirs").graph((1, 1, 8, 8), 3).outputs[0].shape == [1, 3]
        assert registry.backbone_table()["resnet"] == registry.BUILTIN["resnet"], "ours cannot be overridden"
    finally:
        sys.modules.pop("their_nets", None)
