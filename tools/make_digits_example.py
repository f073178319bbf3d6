"""Train the example network on scikit-learn's digits and write it as ONNX.

    python tools/make_digits_example.py [--out examples/digits_resnet.onnx]

One thread and fixed seeds: the same versions of torch and NumPy on the same kind of processor write the same
bytes. Needs the ``train`` extra.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from eecompile.data.dataset import Split
from eecompile.data.preprocess import preprocesses
from eecompile.data.sources import load_data
from eecompile.exits.statistics import accuracy_interval

SEED = 0
EPOCHS = 60
BATCH = 64
PEAK_LEARNING_RATE = 0.02
CHANNELS = (16, 32, 48)
STRIDES = (1, 1, 2)
INPUT_SHAPE = (1, 1, 8, 8)
CLASSES = 10
DEFAULT_OUT = Path(__file__).resolve().parents[1] / "examples" / "digits_resnet.onnx"


def conv_bn(channels_in: int, channels_out: int, kernel: int, stride: int) -> nn.Sequential:
    """Return a SAME-padded convolution without bias and its batch normalization."""
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out))


class Block(nn.Module):
    """Residual block: two 3x3 convolutions, and a 1x1 one beside them where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = conv_bn(channels_in, channels_out, 3, stride)
        self.second = conv_bn(channels_out, channels_out, 3, 1)
        changes = stride != 1 or channels_in != channels_out
        self.shortcut = conv_bn(channels_in, channels_out, 1, stride) if changes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [N, C, H, W] to [N, K, H / stride, W / stride]."""
        y = self.second(torch.relu(self.first(x)))
        return torch.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class DigitsResNet(nn.Module):
    """Stem, three residual blocks, global average pooling, linear classifier.

    The second block keeps the 8x8 image and doubles the channels, so that most MACs lie behind the first
    place where an exit can go.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(INPUT_SHAPE[1], CHANNELS[0], 3, 1)
        inputs = (CHANNELS[0], *CHANNELS[:-1])
        self.blocks = nn.ModuleList(map(Block, inputs, CHANNELS, STRIDES))
        self.classifier = nn.Linear(CHANNELS[-1], CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map pixels [N, 1, 8, 8] in 0..1 to logits [N, 10]."""
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.classifier(x.mean((2, 3)))  # type: ignore[no-any-return]


def unit_pixels(split: Split) -> NDArray[np.float32]:
    """Return the images of a split as the network takes them."""
    (rule,) = preprocesses("unit", split.x, INPUT_SHAPE)
    return rule.apply(split.x)


def shifted(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Move a batch by up to one pixel each way, as handwriting is never quite centred."""
    down, right = torch.randint(0, 3, (2,), generator=generator).tolist()
    return functional.pad(x, (1, 1, 1, 1))[:, :, down : down + x.shape[2], right : right + x.shape[3]]


def train(split: Split) -> DigitsResNet:
    """Train on the training images alone; nothing is chosen on validation or test images."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(SEED)
    x, y = torch.from_numpy(unit_pixels(split)), torch.from_numpy(split.y)
    model = DigitsResNet()
    optimizer = torch.optim.AdamW(model.parameters(), PEAK_LEARNING_RATE, weight_decay=0.05)
    steps = EPOCHS * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x), generator=generator)
        # The incomplete last batch is left out: it would disturb batch normalization.
        for start in range(0, len(x) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            logits = model(shifted(x[batch], generator))
            loss = functional.cross_entropy(logits, y[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return model.eval()


class Writer:
    """Collects ONNX nodes and initializers; every tensor carries the name of its node."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(
        self, op_type: str, name: str, inputs: list[str], weights: dict[str, torch.Tensor], **options: Any
    ) -> str:
        """Append a node and return the name of its output."""
        for key, value in weights.items():
            self.initializers.append(numpy_helper.from_array(value.detach().numpy(), f"{name}.{key}"))
        names = [*inputs, *(f"{name}.{key}" for key in weights)]
        self.nodes.append(helper.make_node(op_type, names, [name], name=name, **options))
        return name

    def conv_bn(self, name: str, x: str, pair: nn.Module) -> str:
        """Append a convolution and its batch normalization, not folded."""
        assert isinstance(pair, nn.Sequential)
        conv, bn = pair
        assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
        assert bn.running_mean is not None and bn.running_var is not None
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        y = self.add(
            "Conv",
            f"{name}_conv",
            [x],
            {"weight": conv.weight},
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )
        statistics = {"mean": bn.running_mean, "var": bn.running_var}
        weights = {"scale": bn.weight, "bias": bn.bias, **statistics}
        return self.add("BatchNormalization", f"{name}_bn", [y], weights, epsilon=bn.eps)


def to_onnx(model: DigitsResNet) -> onnx.ModelProto:
    """Return the network as opset 21, IR 10, batch 1, ending in Softmax."""
    writer = Writer()
    x = writer.add("Relu", "stem_relu", [writer.conv_bn("stem", "image", model.stem)], {})
    for number, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        name = f"block{number}"
        y = writer.add("Relu", f"{name}_relu", [writer.conv_bn(f"{name}_first", x, block.first)], {})
        y = writer.conv_bn(f"{name}_second", y, block.second)
        if block.shortcut is not None:
            x = writer.conv_bn(f"{name}_shortcut", x, block.shortcut)
        x = writer.add("Relu", f"{name}_out", [writer.add("Add", f"{name}_add", [y, x], {})], {})
    x = writer.add("Flatten", "flatten", [writer.add("GlobalAveragePool", "pool", [x], {})], {}, axis=1)
    parameters = {"weight": model.classifier.weight, "bias": model.classifier.bias}
    x = writer.add("Gemm", "logits", [x], parameters, transB=1)
    writer.add("Softmax", "probabilities", [x], {}, axis=-1)
    graph = helper.make_graph(
        writer.nodes,
        "digits_resnet",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, INPUT_SHAPE)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, CLASSES])],
        writer.initializers,
    )
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    result.producer_name = "eecompile tools/make_digits_example.py"
    onnx.checker.check_model(result, full_check=True)
    return result


def correct_in_onnxruntime(path: Path, split: Split) -> NDArray[np.bool_]:
    """Return per image whether the written file classifies it rightly."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = unit_pixels(split)
    answers = [int(session.run(None, {"image": image[None]})[0].argmax()) for image in images]
    return np.equal(answers, split.y, dtype=np.bool_)


def main() -> None:
    """Train, write atomically, and print the accuracy of what was written."""
    parser = argparse.ArgumentParser(description="Make the example network.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    out: Path = parser.parse_args().out
    dataset = load_data("digits")
    model = to_onnx(train(dataset.train))
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        written = Path(folder) / out.name
        onnx.save(model, written)
        for name in ("val", "test"):
            correct = correct_in_onnxruntime(written, dataset.split(name))
            share, low, high = (100 * value for value in accuracy_interval(correct))
            print(f"{name}: {share:.1f} % of {len(correct)} images, 95 % interval {low:.1f} to {high:.1f} %")
        written.replace(out)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
