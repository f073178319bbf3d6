"""What ``device/plans.json`` and ``server/split.json`` say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eecompile.runtime.json_object import damaged, read_object
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.split.feature_codec import FeatureCodec
from passes.errors import InputError

PLANS_FILE, SERVER_FILE = "plans.json", "split.json"
_AGAIN = "make the split again with `eecompile split`"


@dataclass(frozen=True)
class Sending:
    """What a plan sends.

    Attributes:
        cut: Where the network is cut, in words.
        tensor: Its name.
        codec: How it is sent.
        part: 8 bytes that name what the server has to run.
        server_s: Seconds that the server is expected to need.
    """

    cut: str
    tensor: str
    codec: FeatureCodec
    part: bytes
    server_s: float


@dataclass(frozen=True)
class DevicePlan:
    """What a device does with an image.

    Attributes:
        name: Short, of all that the plan says.
        exits: Names of the exits that are on the device; the final one is there if nothing is sent.
        thresholds: One for each; ``None`` for the final one.
        segments: Files: one per exit, and one more where features are made behind the last of them.
        sending: What is sent if no exit is sure; ``None``: nothing.
    """

    name: str
    exits: tuple[str, ...]
    thresholds: tuple[float | None, ...]
    segments: tuple[Path, ...]
    sending: Sending | None


@dataclass(frozen=True)
class Band:
    """Where a plan is the best.

    Attributes:
        loss: Share of segments that are lost.
        low_bit_s: Least seconds of a bit: the fastest link.
        high_bit_s: Most of them; may be infinite.
        plan: Number of the plan.
    """

    loss: float
    low_bit_s: float
    high_bit_s: float
    plan: int


@dataclass(frozen=True)
class PlanTable:
    """All that a device has to know.

    Attributes:
        plans: The plans; the last one sends nothing.
        bands: Which is best where.
        preprocess: From raw images to the model's input.
        class_names: By class number; empty where unknown.
        rtt_s: Seconds there and back that the table was made for.
    """

    plans: tuple[DevicePlan, ...]
    bands: tuple[Band, ...]
    preprocess: Preprocess
    class_names: tuple[str, ...]
    rtt_s: float

    def number_at(self, bit_s: float, loss: float = 0.0) -> int:
        """Return the number of the best plan where a bit takes ``bit_s`` seconds, at the nearest loss."""
        nearest = min({band.loss for band in self.bands}, key=lambda known: (abs(known - loss), known))
        of_loss = [band for band in self.bands if band.loss == nearest]
        return next((b.plan for b in of_loss if b.low_bit_s <= bit_s <= b.high_bit_s), of_loss[-1].plan)


def read_plans(folder: Path) -> PlanTable:
    """Read ``plans.json`` of a ``device`` folder.

    Raises:
        InputError: It is not there or damaged.
    """
    path = folder / PLANS_FILE
    record = _document(path)
    try:
        plans = tuple(_plan(folder, item) for item in record["plans"])
        bands = tuple(_band(item, len(plans)) for item in record["bands"])
        if not bands or plans[-1].sending is not None:
            raise ValueError("the last plan has to send nothing, and there has to be a band")
        names = tuple(str(name) for name in record["class_names"])
        return PlanTable(
            plans, bands, Preprocess.from_json(record["preprocess"]), names, float(record["rtt_s"])
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise damaged(path, error, _AGAIN) from None


def read_parts(folder: Path) -> list[tuple[bytes, FeatureCodec, Path]]:
    """Return name, codec and model of each part in ``split.json`` of a ``server`` folder.

    Raises:
        InputError: It is not there or damaged.
    """
    path = folder / SERVER_FILE
    record = _document(path)
    try:
        return [
            (bytes.fromhex(item["part"]), FeatureCodec.from_json(item["codec"]), folder / item["model"])
            for item in record["parts"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error, _AGAIN) from None


def band_record(band: Band) -> dict[str, Any]:
    """Return what stands in ``plans.json`` of a band; what is infinite is ``null``."""
    high = None if math.isinf(band.high_bit_s) else band.high_bit_s
    return {"loss": band.loss, "low_bit_s": band.low_bit_s, "high_bit_s": high, "plan": band.plan}


def _band(item: dict[str, Any], plans: int) -> Band:
    high = math.inf if item["high_bit_s"] is None else float(item["high_bit_s"])
    number = int(item["plan"])
    if not 0 <= number < plans:
        raise ValueError(f"there is no plan {number}")
    return Band(float(item["loss"]), float(item["low_bit_s"]), high, number)


def _plan(folder: Path, item: dict[str, Any]) -> DevicePlan:
    sends = item["sends"]
    sending = None
    if sends is not None:
        codec, part = FeatureCodec.from_json(sends["codec"]), bytes.fromhex(sends["part"])
        sending = Sending(sends["cut"], sends["tensor"], codec, part, float(sends["server_s"]))
    thresholds = tuple(None if value is None else float(value) for value in item["thresholds"])
    exits = tuple(str(name) for name in item["exits"])
    segments = tuple(folder / name for name in item["segments"])
    _check_counts(exits, thresholds, segments, sending is not None)
    return DevicePlan(str(item["plan"]), exits, thresholds, segments, sending)


def _check_counts(
    exits: Sequence[str], thresholds: Sequence[float | None], segments: Sequence[Path], sends: bool
) -> None:
    more = len(segments) - len(exits)
    if len(exits) != len(thresholds) or more not in ((0, 1) if sends else (0,)):
        raise ValueError(f"{len(exits)} exits, {len(thresholds)} thresholds and {len(segments)} segments")
    if not sends and (not exits or thresholds[-1] is not None):
        raise ValueError("a plan that sends nothing ends with a final exit")


def _document(path: Path) -> dict[str, Any]:
    try:
        return read_object(path, _AGAIN)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", "give a folder that `split` wrote"
        ) from None
