"""Overlays: where they are, how large, and how they blend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom import Settings
from greenroom.effects.overlay import POSITIONS, Overlay, create_overlay
from greenroom.errors import SettingsError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Make = Callable[..., Path]

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")
TEAL: Final = (0, 128, 128)


def layout_of(format_: Format, size: tuple[int, int] = (320, 180)) -> Layout:
    """Return a layout of a format."""
    return Layout(*size, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))


def logo(size: tuple[int, int] = (20, 12), alpha: int = 255) -> NDArray[np.uint8]:
    """Return an amber picture of a coverage."""
    picture = np.empty((size[1], size[0], 4), np.uint8)
    picture[:] = (200, 120, 10, alpha)
    return picture


def box_of(frame: Frame) -> tuple[int, int, int, int]:
    """Find left, top, right and bottom of what is not teal."""
    rgb = frame.to_rgb().astype(int)
    rows, columns = np.nonzero((abs(rgb - TEAL) > 30).any(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


class TestPlace:
    """Where and how large it is."""

    @pytest.mark.parametrize("position", POSITIONS)
    def test_positions(self, position: str) -> None:
        """It lies in its corner, at its side or in the middle, 3 % of the height off the border."""
        frame = Frame.filled(layout_of("gbrp"), TEAL)
        Overlay(logo(), position).draw(frame)
        left, top, right, bottom = box_of(frame)
        margin = 0.03 * 180
        across = "left" if "left" in position else "right" if "right" in position else ""
        down = "top" if "top" in position else "bottom" if "bottom" in position else ""
        expected_x = {"left": margin, "right": 320 - margin - 20, "": 150}[across]
        expected_y = {"top": margin, "bottom": 180 - margin - 12, "": 84}[down]
        assert (right - left, bottom - top) == (20, 12)
        assert abs(left - expected_x) <= 1
        assert abs(top - expected_y) <= 1

    def test_is_at_most_a_fifth_of_the_height(self) -> None:
        """A large picture is made smaller and keeps its proportions."""
        frame = Frame.filled(layout_of("gbrp"), TEAL)
        Overlay(logo((400, 200))).draw(frame)
        left, top, right, bottom = box_of(frame)
        assert (right - left, bottom - top) == (72, 36)

    def test_is_not_wider_than_there_is_room(self) -> None:
        """A long banner fits between the margins."""
        frame = Frame.filled(layout_of("gbrp"), TEAL)
        Overlay(logo((4000, 200))).draw(frame)
        left, _, right, _ = box_of(frame)
        assert left >= 4
        assert right <= 316

    @given(
        width=st.integers(1, 40),
        height=st.integers(1, 40),
        logo_width=st.integers(1, 50),
        logo_height=st.integers(1, 50),
        position=st.sampled_from(sorted(POSITIONS)),
        format_=st.sampled_from(FORMATS),
    )
    def test_any_size_fits(
        self,
        width: int,
        height: int,
        logo_width: int,
        logo_height: int,
        position: str,
        format_: Format,
    ) -> None:
        """It can be drawn over frames of any size, and covers some of them."""
        frame = Frame.filled(layout_of(format_, (width, height)), TEAL)
        before = [plane.copy() for plane in frame.planes]
        Overlay(logo((logo_width, logo_height)), position).draw(frame)
        assert any((a != b).any() for a, b in zip(frame.planes, before, strict=True))

    @pytest.mark.parametrize("size", [(20, 12), (400, 200)])
    def test_preview_is_half_of_it(self, size: tuple[int, int]) -> None:
        """Over a frame that was halved it is half as large, at half the place."""
        frame = Frame.filled(layout_of("gbrp"), TEAL)
        small = Frame.filled(layout_of("gbrp", (160, 90)), TEAL)
        overlay = Overlay(logo(size), "top-left")
        overlay.draw(frame)
        overlay.draw(small, 1)
        assert np.abs(np.subtract(box_of(frame), 2 * np.array(box_of(small)))).max() <= 2


class TestBlend:
    """What it looks like."""

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize("alpha", [0, 77, 255])
    def test_agrees_with_the_formula(self, alpha: int, format_: Format) -> None:
        """Samples are the weighted mean of both, worked out in floating point."""
        layout = layout_of(format_)
        frame = Frame.filled(layout, TEAL)
        Overlay(logo(alpha=alpha), "center").draw(frame)
        front, back = layout.samples(200, 120, 10), layout.samples(*TEAL)
        for plane, a, b in zip(frame.planes, front, back, strict=True):
            height, width = plane.shape
            expected = (alpha * a + (255 - alpha) * b) / 255
            assert abs(plane[height // 2, width // 2] - expected) <= 1.5
            assert plane[0, 0] == b

    @pytest.mark.parametrize("format_", FORMATS)
    def test_over_what_is_clear_alpha_grows(self, format_: Format) -> None:
        """Over a transparent frame it has its own colour and coverage, by *over*."""
        layout = layout_of(format_)
        for behind in (0, 128, 255):
            frame = Frame.filled(layout, TEAL, alpha=behind)
            Overlay(logo(alpha=102), "center").draw(frame)
            assert frame.alpha is not None
            total = 102 / 255 + (1 - 102 / 255) * behind / 255
            assert abs(frame.alpha[90, 160] - 255 * total) <= 1
            assert frame.alpha[0, 0] == behind
            share = 102 / 255 / total
            front, back = layout.samples(200, 120, 10), layout.samples(*TEAL)
            for plane, a, b in zip(frame.planes, front, back, strict=True):
                height, width = plane.shape
                expected = share * a + (1 - share) * b
                assert abs(plane[height // 2, width // 2] - expected) <= 2

    def test_colours_of_what_is_clear_do_not_bleed(self) -> None:
        """What a picture has for colour where it is clear is not seen at its edges."""
        picture = logo((40, 24))
        picture[:, :19] = (255, 255, 255, 0)
        frame = Frame.filled(layout_of("yuv420p"), (200, 120, 10))
        before = [plane.copy() for plane in frame.planes]
        Overlay(picture, "center").draw(frame)
        for plane, was in zip(frame.planes, before, strict=True):
            assert abs(plane.astype(int) - was).max() <= 2

    def test_agrees_over_a_shaped_edge(self, rng: np.random.Generator) -> None:
        """With any coverage luma is blended pixel by pixel as in floating point."""
        picture = logo((40, 24))
        picture[..., 3] = rng.integers(0, 256, (24, 40))
        layout = layout_of("yuv444p")
        frame = Frame.filled(layout, TEAL)
        Overlay(picture, "top-left").draw(frame)
        front, back = layout.samples(200, 120, 10)[0], layout.samples(*TEAL)[0]
        share = picture[..., 3] / 255
        expected = share * front + (1 - share) * back
        top = left = 2 * round(0.03 * 180 / 2)
        assert abs(frame.planes[0][top : top + 24, left : left + 40] - expected).max() <= 2


class TestSpecification:
    """How it is asked for."""

    def test_file_and_position(self, make_picture: Make) -> None:
        """The position follows an @; it is the lower right corner if there is none."""
        path = make_picture(logo(), "logo.png")
        for spec, place in ((f"{path}@top-left", (5, 5)), (str(path), (295, 163))):
            overlay = create_overlay(spec)
            assert overlay is not None
            frame = Frame.filled(layout_of("gbrp"), TEAL)
            overlay.draw(frame)
            assert np.abs(np.subtract(box_of(frame)[:2], place)).max() <= 1
        assert create_overlay(None) is None

    def test_names_may_have_an_at_sign(self, make_picture: Make) -> None:
        """A file whose name has an @ in it is found, with a position or without."""
        path = make_picture(logo(), "logo@2x.png")
        assert create_overlay(str(path)) is not None
        assert create_overlay(f"{path}@left") is not None

    def test_alpha_of_the_file_counts(self, make_picture: Make) -> None:
        """The coverage of a PNG is what it is blended with."""
        overlay = create_overlay(str(make_picture(logo(alpha=128), "logo.png")) + "@center")
        assert overlay is not None
        frame = Frame.filled(layout_of("gbrp"), TEAL)
        overlay.draw(frame)
        expected = (np.array((200, 120, 10)) * 128 + np.array(TEAL) * 127) / 255
        assert abs(frame.to_rgb()[90, 160] - expected).max() <= 2

    def test_picture_without_alpha(self, make_picture: Make) -> None:
        """A picture without alpha covers all of its rectangle."""
        overlay = create_overlay(str(make_picture(logo()[..., :3], "logo.jpg")) + "@center")
        assert overlay is not None
        frame = Frame.filled(layout_of("gbrp"), TEAL)
        overlay.draw(frame)
        assert abs(frame.to_rgb()[90, 160].astype(int) - (200, 120, 10)).max() <= 6

    def test_it_is_loaded_once(self, make_picture: Make) -> None:
        """A file that vanishes afterwards does not matter, for any size of frame."""
        path = make_picture(logo(), "logo.png")
        overlay = create_overlay(str(path))
        assert overlay is not None
        path.unlink()
        for size in ((320, 180), (160, 90), (64, 36)):
            frame = Frame.filled(layout_of("yuv420p", size), TEAL)
            before = frame.planes[0].copy()
            overlay.draw(frame)
            assert (frame.planes[0] != before).any()

    @pytest.mark.parametrize(
        ("spec", "said"),
        [
            ("missing.png", "there is no such file"),
            ("missing.png@left", "there is no such file"),
            ("logo.png@botom-right", "did you mean 'bottom-right'"),
            ("logo.png@somewhere", "known are top-left"),
            ("logo.png@", "known are top-left"),
            ("@left", "there is no such file"),
        ],
    )
    def test_what_is_wrong_is_said(self, spec: str, said: str) -> None:
        """A missing file and an unknown position are errors of this setting."""
        with pytest.raises(SettingsError, match=said) as caught:
            create_overlay(spec)
        assert caught.value.name == "overlay"

    @pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + 64 * b"\0"])
    def test_files_that_are_no_pictures(self, data: bytes, tmp_path: Path) -> None:
        """A file that cannot be decoded is an error that names it."""
        path = tmp_path / "logo.png"
        path.write_bytes(data)
        with pytest.raises(SettingsError, match=r"logo\.png"):
            create_overlay(str(path))

    def test_pictures_that_are_too_large(self, huge_png: Path) -> None:
        """A picture of more than 8192 pixels a side is refused."""
        with pytest.raises(SettingsError, match="too large"):
            create_overlay(str(huge_png))

    def test_every_position_of_the_help_is_known(self) -> None:
        """What the setting's help lists is what is understood."""
        said = str(Settings.model_fields["overlay"].description)
        assert all(position in said for position in POSITIONS)

    def test_drawing_twice_is_the_same(self) -> None:
        """What was fitted once is not changed by drawing."""
        overlay = Overlay(logo(alpha=90))
        frames = [Frame.filled(layout_of("yuv420p"), TEAL) for _ in range(2)]
        for frame in frames:
            overlay.draw(frame)
        for plane, other in zip(frames[0].planes, frames[1].planes, strict=True):
            assert_array_equal(plane, other)
