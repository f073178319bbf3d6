"""What MAX78000 is compared with: counts of the vendor's tests, and times of networks on the board."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx.parser

from targets.max78000.latency import Job

HEADER = '<ir_version: 10, opset_import: ["" : 21]>\n'
CYCLES_PER_US = 50
"""The accelerator ran at 50 MHz where the vendor measured."""


@dataclass(frozen=True)
class Count:
    """A count of ``izer/test/test_cycles.py`` of analogdevicesinc/ai8x-synthesis.

    Attributes:
        name: As there; two have the same.
        job: What it is of.
        cycles: Of a network of this layer alone, its start included.
        layer: The same as ONNX; empty where this project has no such layer.
        note: Why it has none, or how the layer is told.
    """

    name: str
    job: Job
    cycles: int
    layer: str = ""
    note: str = ""


def convolution(
    channels: int, size: int, outputs: int, kernel: int, pad: int, pool: int = 1, stride: int = 1
) -> str:
    """Return a convolution, with a pooling in front if ``pool`` is above 1, as ONNX text."""
    small = (size - pool) // stride + 1
    made = small + 2 * pad - kernel + 1
    source = "x"
    front = ""
    if pool > 1:
        source = "p"
        front = f"p = MaxPool<kernel_shape=[{pool},{pool}], strides=[{stride},{stride}]>(x)"
    return f"""net (float[1,{channels},{size},{size}] x) => (float[1,{outputs},{made},{made}] y)
        <float[{outputs},{channels},{kernel},{kernel}] w> {{
            {front}
            y = Conv<pads=[{pad},{pad},{pad},{pad}]>({source}, w)
        }}"""


def sum_of_two(channels: int, size: int) -> str:
    """Return an addition as ONNX text."""
    shape = f"float[1,{channels},{size},{size}]"
    return f"net ({shape} x, {shape} z) => ({shape} y) {{ y = Add(x, z) }}"


def flattened(channels: int, size: int, outputs: int) -> str:
    """Return a fully connected layer behind an image as ONNX text."""
    inputs = channels * size * size
    return f"""net (float[1,{channels},{size},{size}] x) => (float[1,{outputs}] y)
        <float[{outputs},{inputs}] w> {{ f = Flatten(x) y = Gemm<transB=1>(f, w) }}"""


_3X3 = (3, 3)
# fmt: off
COUNTS: tuple[Count, ...] = (
    Count("ai85-kmax_bmax_dmax-64x20x20l_max2x2s2p2m16", Job(20, 20, 1, 16, _3X3, (2, 2), (2, 2), 2), 3049,
          convolution(64, 20, 16, 3, 2, 2, 2)),
    Count("ai85-pool-16x16s4-3x65x65l_max16x16s", Job(65, 65, 1, 32, _3X3, (1, 1), (16, 16), 4), 49010,
          convolution(3, 65, 32, 3, 1, 16, 4)),
    Count("ai85-cifar-3x32x32b_0x0s1p1m60_relu", Job(32, 32, 1, 64, _3X3, (1, 1)), 67981,
          convolution(3, 32, 64, 3, 1), "64 outputs, though the name says 60"),
    Count("ai85-cifar-3x32x32b_2x2s2p0m64_relu", Job(32, 32, 1, 64, _3X3), 59773,
          convolution(3, 32, 64, 3, 0), "no pooling, though the name says so"),
    Count("ai85-cifar-3x32x32b_2x2s2p0m64_relu", Job(32, 32, 1, 64, _3X3, pool=(2, 2), pool_stride=2), 13885,
          convolution(3, 32, 64, 3, 0, 2, 2)),
    Count("ai85-widein-128x8x8l_2x2s2p1m16", Job(8, 8, 2, 16, _3X3, (1, 1), (2, 2), 2), 773,
          convolution(128, 8, 16, 3, 1, 2, 2)),
    Count("ai85-widein-128x8x8l_0x0s1p1m16", Job(8, 8, 2, 16, _3X3, (1, 1)), 2485,
          convolution(128, 8, 16, 3, 1)),
    Count("ai85-widein-128x8x8l_0x0s1p0m16", Job(8, 8, 2, 16, _3X3), 1437, convolution(128, 8, 16, 3, 0)),
    Count("ai85-mnist-extrasmall-1x28x28b_0x0s1p1m8_relu", Job(28, 28, 1, 8, _3X3, (1, 1)), 8189,
          convolution(1, 28, 8, 3, 1)),
    Count("ai85-eltwise-add-4x12x12l_0x0s1p0m4", Job(12, 12, 1, 4, operands=2, convolves=False), 721,
          sum_of_two(4, 12)),
    Count("ai85-upscale-3x7x9l_0x0s1p1m64", Job(7, 9, 1, 64, _3X3, (1, 1), doubled=True), 16837,
          note="the target refuses transposed convolutions: they have no loops here"),
    Count("ai85-mlpflatten192to10-12x4x4lf_0x0s1p0m10", Job(4, 4, 1, 10), 193,
          convolution(12, 4, 10, 1, 0), "a 1 x 1 convolution: no flattening, though the name says so"),
    Count("ai85-eltwise-add-multipass-4x12x12l_0x0s1p0m4",
          Job(12, 12, 2, 4, operands=2, convolves=False), 1441,
          sum_of_two(128, 12), "128 channels are the two passes of the test"),
    Count("ai85-widein-q4-79x11x11l_0x0s1p0m1", Job(11, 11, 2, 1, _3X3), 687, convolution(79, 11, 1, 3, 0)),
    Count("ai85-eltwise-poolafter-8x17x17l_max2x2s2p0m8",
          Job(17, 17, 1, 8, pool=(2, 2), pool_stride=2, operands=2, convolves=False, pool_last=True, slots=2),
          705, note="a pooling behind an addition is a job of its own here, as the next reader's or alone"),
    Count("ai85-mlpflatten768to10-12x8x8lf_0x0s1p0m10", Job(8, 8, 1, 10, flatten=True), 770,
          flattened(12, 8, 10)),
    Count("ai85-singlebyte-hwc-1x1x1l_0x0s1p1m1", Job(1, 1, 1, 1, _3X3, (1, 1)), 29,
          convolution(1, 1, 1, 3, 1)),
    Count("ai85-mlpflatten12to17-12x1x1lf_0x0s1p0m17", Job(1, 1, 1, 17), 20, flattened(12, 1, 17)),
    Count("test-conv1d-dilation7-pad0-5x211l_0s1p0m11", Job(31, 7, 1, 11, _3X3, (1, 1)), 3062,
          """net (float[1,5,211] x) => (float[1,11,197] y) <float[11,5,3] w> {
                 y = Conv<dilations=[7]>(x, w)
             }"""),
)
# fmt: on


@dataclass(frozen=True)
class Published:
    """A network whose time on the board the vendor publishes, from start to interrupt, without softmax.

    Attributes:
        name: Example of the vendor's SDK (analogdevicesinc/msdk, ``Examples/MAX78000/CNN``).
        time_us: What its README shows.
        shape: Of the input.
        layers: Outputs, kernel, padding, and window of the pooling in front, which is its stride too; a
            negative window averages. The last is flattened if something is left to flatten.
    """

    name: str
    time_us: int
    shape: tuple[int, ...]
    layers: tuple[tuple[int, int, int, int], ...]


PUBLISHED: tuple[Published, ...] = (
    Published(
        "mnist",
        1410,
        (1, 1, 28, 28),
        ((60, 3, 1, 1), (60, 3, 2, 2), (56, 3, 1, 2), (12, 3, 1, -2), (10, 1, 0, 0)),
    ),
    Published(
        "cifar-10",
        1712,
        (1, 3, 32, 32),
        ((60, 3, 1, 1), (60, 3, 1, 2), (56, 3, 1, 2), (12, 3, 1, -2), (10, 1, 0, 0)),
    ),
    Published(
        "cifar-100",
        2593,
        (1, 3, 32, 32),
        (
            *((16, 3, 1, 1), (20, 3, 1, 1), (20, 3, 1, 1), (20, 3, 1, 1), (20, 3, 1, 2), (20, 3, 1, 1)),
            *((44, 3, 1, 1), (48, 3, 1, 2), (48, 3, 1, 1), (96, 3, 1, 2), (512, 1, 0, 2), (128, 1, 0, 1)),
            *((128, 3, 1, 2), (100, 1, 0, 1)),
        ),
    ),
    Published(
        "kws20_v3",
        1442,
        (1, 128, 128),
        (
            *((100, 1, 0, 1), (96, 3, 0, 1), (64, 3, 1, 2), (48, 3, 0, 1), (64, 3, 1, 2), (96, 3, 0, 1)),
            *((100, 3, 1, -2), (64, 6, 1, 2), (21, 1, 0, 0)),
        ),
    ),
)
# Other times the vendor publishes, and why they are not compared.
LEFT_OUT: dict[str, str] = {
    "rps (4,252 us), cats-dogs, faceid": "they stream, and the time holds that of loading the input",
}


def network_of(published: Published) -> onnx.ModelProto:
    """Return the network as ONNX; its weights have shapes and nothing else."""
    channels, sizes = published.shape[1], list(published.shape[2:])
    rank, body, weights, tensor = len(sizes), [], [], "x"
    for number, (outputs, kernel, pad, window) in enumerate(published.layers):
        if abs(window) > 1:
            op = "MaxPool" if window > 0 else "AveragePool"
            each = f"[{','.join([str(abs(window))] * rank)}]"
            body.append(f"p{number} = {op}<kernel_shape={each}, strides={each}>({tensor})")
            tensor, sizes = f"p{number}", [size // abs(window) for size in sizes]
        if window == 0:
            inputs = channels
            for size in sizes:
                inputs *= size
            weights.append(f"float[{outputs},{inputs}] w{number}")
            body.append(f"f = Flatten({tensor}) c{number} = Gemm<transB=1>(f, w{number})")
            tensor, channels, sizes = f"c{number}", outputs, []
            continue
        kernels = ",".join([str(kernel)] * rank)
        weights.append(f"float[{outputs},{channels},{kernels}] w{number}")
        pads = ",".join([str(pad)] * 2 * rank)
        body.append(f"c{number} = Conv<pads=[{pads}]>({tensor}, w{number}) r{number} = Relu(c{number})")
        tensor, channels = f"r{number}", outputs
        sizes = [size + 2 * pad - kernel + 1 for size in sizes]
    shape = ",".join(str(size) for size in (1, channels, *sizes))
    text = f"net (float[{','.join(map(str, published.shape))}] x) => (float[{shape}] y)"
    return onnx.parser.parse_model(
        f"{HEADER}{text} <{', '.join(weights)}> {{ {' '.join(body)} y = Identity({tensor}) }}"
    )
