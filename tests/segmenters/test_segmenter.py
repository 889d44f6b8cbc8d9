"""The check of coarse mattes."""

from __future__ import annotations

import numpy as np
import pytest

from greenroom.errors import ModelOutputError
from greenroom.media.resampling import upsample
from greenroom.segmenters import check_coarse_matte


class TestCoarseMatte:
    """Valid and invalid results."""

    @pytest.mark.parametrize(
        "answer",
        [
            None,
            [[0.5]],
            np.zeros((4, 4)),
            np.zeros((4, 4, 1), np.float32),
            np.zeros((0, 4), np.float32),
            np.full((4, 4), np.nan, np.float32),
            np.full((4, 4), np.inf, np.float32),
            np.full((4, 4), 1.1, np.float32),
            np.full((4, 4), -0.1, np.float32),
        ],
    )
    def test_what_is_none(self, answer: object) -> None:
        """Everything that is not a finite picture in 0..1 is refused."""
        with pytest.raises(ModelOutputError):
            check_coarse_matte(answer)

    def test_next_to_nothing_is_nothing(self) -> None:
        """Coverage that would become denormal numbers on the way is 0; what can be seen stays."""
        answer = np.array([[1e-40, 1e-9, 1e-3, 0.5, 1.0]], np.float32)
        np.testing.assert_array_equal(
            check_coarse_matte(answer.copy()), np.array([[0, 0, 1e-3, 0.5, 1.0]], np.float32)
        )

    def test_rounding_is_forgiven(self) -> None:
        """A hair over 1 or under 0 is rounding, and becomes 255 or 0."""
        answer = np.array([[1.0009, 1.0009, -0.0009, -0.0009]], np.float32)
        out = np.empty((8, 64), np.uint8)
        upsample(check_coarse_matte(answer), out)
        assert (out[:, 0] == 255).all()
        assert (out[:, -1] == 0).all()
        assert (np.diff(out.astype(int), axis=1) <= 0).all()
