"""The picture of the empty room, as it is read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from greenroom.errors import SettingsError
from greenroom.matting.plate_picture import decode_plate, fitted_plate, share_known

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def read_plate(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a picture of the room for frames of a size."""
    return fitted_plate(decode_plate(path), path, size)


def test_is_read_as_it_was_written(make_picture: Callable[..., Path]) -> None:
    """Straight RGBA; what is half known is not."""
    picture = np.random.default_rng(1).integers(0, 255, (18, 32, 4), np.uint8)
    picture[..., 3] = 255
    picture[:9, :, 3] = 0
    read = read_plate(make_picture(picture, "room.png"), (32, 18))
    assert_array_equal(read, picture)
    assert share_known(read) == 0.5


def test_without_alpha_all_is_known(make_picture: Callable[..., Path]) -> None:
    """Any photograph of the empty room will do, gray ones too."""
    for picture in (np.full((18, 32, 3), 90, np.uint8), np.full((18, 32), 90, np.uint8)):
        read = read_plate(make_picture(picture, "room.png"), (32, 18))
        assert (read == (90, 90, 90, 255)).all()


@pytest.mark.parametrize("size", [(16, 9), (64, 36), (33, 18)])
def test_is_scaled_to_the_frame(make_picture: Callable[..., Path], size: tuple[int, int]) -> None:
    """What touches something unknown is unknown."""
    picture = np.full((18, 32, 4), 255, np.uint8)
    picture[:, :15] = 0
    if size == (33, 18):
        with pytest.raises(SettingsError, match=r"32x18 pixels.* 33x18"):
            read_plate(make_picture(picture, "room.png"), size)
        return
    read = read_plate(make_picture(picture, "room.png"), size)
    assert read.shape == (size[1], size[0], 4)
    assert (read[read[..., 3] > 0] == 255).all()
    assert 0.45 < share_known(read) < 0.55


def test_that_cannot_be_read(tmp_path: Path) -> None:
    """It is an error that names the setting and the file."""
    (tmp_path / "text.png").write_bytes(b"no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("text.png", "empty.png", "missing.png", "."):
        with pytest.raises(SettingsError, match=r"'plate'.* cannot be read") as error:
            read_plate(tmp_path / name, (32, 18))
        assert error.value.name == "plate"
