"""The picture that models are tried with."""

from __future__ import annotations

import numpy as np

from greenroom.segmenters.creation import create_segmenter
from greenroom.segmenters.runtimes.acceleration import outputs_agree
from greenroom.segmenters.trial_picture import trial_frame
from greenroom.settings import Settings


def test_person() -> None:
    """The embedded model sees a person there, so that nothing, or a mirrored answer, is wrong."""
    segmenter = create_segmenter(Settings(model="selfie-general"))
    matte = segmenter.segment(trial_frame())
    segmenter.close()
    assert 0.1 < matte.mean() < 0.4
    for wrong in (np.zeros_like(matte), matte[:, ::-1], matte[::-1]):
        assert not outputs_agree([{"y": wrong}], [{"y": matte}])
