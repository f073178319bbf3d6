"""The main job on networks without feature maps: exits are trained, quantized and proved on digits."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile import api
from eecompile.data.sources import load_data
from eecompile.run import steps
from eecompile.training.recipe import Recipe
from tests.needs import needs_torch

WIDTH, TOKENS = 16, 17


def multilayer(torch: Any) -> Any:
    nn = torch.nn
    hidden = [layer for _ in range(4) for layer in (nn.Linear(64, 64), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, 10))


def transformer(torch: Any) -> Any:
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
            self.maps = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(6))

        def forward(self, x: Any) -> Any:
            y = self.norms[0](x)
            query, key, value = (layer(y) for layer in self.maps[:3])
            scores = torch.softmax(query @ key.transpose(1, 2) / WIDTH**0.5, -1)
            x = x + self.maps[3](scores @ value)
            return x + self.maps[5](nn.functional.gelu(self.maps[4](self.norms[1](x))))

    class Transformer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, WIDTH, 2, 2)
            self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
            self.places = nn.Parameter(torch.randn(1, TOKENS, WIDTH) * 0.1)
            self.blocks = nn.Sequential(Block(), Block())
            self.classifier = nn.Linear(WIDTH, 10)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
            return self.classifier(self.blocks(x)[:, 0])

    return Transformer()


@needs_torch
@pytest.mark.parametrize("build", [multilayer, transformer])
@pytest.mark.filterwarnings("ignore")
def test_exits_of_vectors_and_tokens_are_trained_and_proved(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch: Any = pytest.importorskip("torch")
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the layers are too small for more
    net, digits = build(torch), load_data("digits")
    data = digits.train
    images = torch.from_numpy((data.x / np.float32(255)).astype(np.float32))
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(15):
        for part in torch.tensor_split(torch.randperm(len(images)), 14):
            loss = torch.nn.functional.cross_entropy(net(images[part]), torch.from_numpy(data.y)[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.set_num_threads(threads)
    path = tmp_path / "net.onnx"
    torch.onnx.export(net.eval(), (images[:1],), str(path), dynamo=False)
    arrays: dict[str, Any] = {}
    for name, part, count in (("train", data, 300), ("val", digits.val, 80), ("test", digits.test, 80)):
        arrays |= {f"{name}_x": part.x[:count], f"{name}_y": part.y[:count]}
    np.savez(tmp_path / "few.npz", **arrays)
    monkeypatch.setattr(steps, "Recipe", functools.partial(Recipe, samples=36_000, linear_share=1.0))
    result = api.run(
        path, target="gap9", data=str(tmp_path / "few.npz"), exits=2, max_drop=30.0, optimistic=True,
        preprocess="unit", out=tmp_path / "out",
    )  # fmt: skip
    assert result.passed, "nested and staged files decide as numpy does on every test image"
    info = json.loads((tmp_path / "out" / "run.json").read_text())
    assert len(info["training"]["trained"]) >= 2
    early = result.summary.exits[:-1]
    assert early, "else nothing was proved"
    assert early[0].ratio and early[0].accuracy is not None
    assert early[0].accuracy > 0.3, "a guess is right in 0.1"
