"""Offers are really answered: by the later part, on what a server decodes, image by image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eecompile.data.dataset import Split
from eecompile.runtime.preprocess import Preprocess
from eecompile.split.device_costs import CutPlace
from eecompile.split.offers import MUST_AGREE, _channels, behind
from tests.eecompile.split.small_split import prepared


def test_answers_and_bytes_are_those_of_encoding_each_image() -> None:
    ready = prepared()
    run = ready.run
    part = Split(run.dataset.val.x[:9], run.dataset.val.y[:9])
    some = [ready.question.offers[0], ready.question.offers[-1]]
    found = behind(some, ready.parts, part, run.preprocess)
    for offer, one in zip(some, found, strict=True):
        sides = ready.parts(offer.place)
        features = sides.features(run.preprocess.apply(part.x))
        payloads = [offer.codec.encode(b"12345678", image[None]) for image in features]
        assert one.payload_bytes.tolist() == [len(payload) for payload in payloads]
        labels = [int(sides.logits(offer.codec.decode(payload)).argmax()) for payload in payloads]
        assert one.label.tolist() == labels
        assert 0 < one.entropy_bytes <= offer.codec.packed_bytes


def test_offers_that_others_beat_are_gone_and_all_agree_enough() -> None:
    offers = prepared().question.offers
    costs = prepared().costs
    assert len({offer.place.name for offer in offers}) > 2 and len({o.codec.bits for o in offers}) > 2
    for offer in offers:
        assert offer.agree >= MUST_AGREE
        before = costs.until(offer.place.layers, ())[0]
        assert not any(
            costs.until(other.place.layers, ())[0] < before
            and costs.until(other.place.layers, ())[0] + other.server_s < before + offer.server_s
            and other.mean_bytes < offer.mean_bytes
            and other.agree > offer.agree
            for other in offers
        )


def test_pixels_say_the_limits_of_an_image() -> None:
    train = Split(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2, np.int64))
    rule = Preprocess("x", mean=(0.0, 10.0, 20.0), std=(1.0, 2.0, 4.0), layout="NHWC", shape=(4, 4, 3))
    place = CutPlace("input", "x", "float32", (1, 4, 4, 3), 0)
    axis, limits = _channels(place, (2, 4, 4, 3), train, rule)
    assert axis == 3 and limits is not None
    np.testing.assert_allclose(limits[0], [0, -5, -5])
    np.testing.assert_allclose(limits[1], [255, 122.5, 58.75])
    assert _channels(replace(place, layers=1), (2, 4, 4, 3), train, rule) == (1, None)
    assert _channels(replace(place, dtype="uint8"), (2, 4, 4, 3), train, rule) == (3, None)
