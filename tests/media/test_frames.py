"""Frames and mattes: layouts, colour, memory, and what comes in from FFmpeg."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
import cv2
import numpy as np
import pytest
from host_device import read
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage  # type: ignore[import-untyped, unused-ignore]

from greenroom.cuda import DeviceArray
from greenroom.errors import FormatError
from greenroom.media.colour import FULL_RANGE_RGB, Colour
from greenroom.media.frame import Frame, fraction
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from collections.abc import Callable

    from host_device import WatchedDevice
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Place = Callable[[Any], Any]

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")
SIZES: Final = ((1, 1), (3, 5), (2, 2), (5, 3), (17, 1), (1, 9), (64, 36), (33, 19))
# Weights of red and blue in luma, from the recommendations themselves.
WEIGHTS: Final = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
levels = st.integers(0, 255)
rgbs = st.tuples(levels, levels, levels)


@pytest.fixture(params=["host", "device"])
def place(request: pytest.FixtureRequest) -> Place:
    """Return what puts a frame or a matte where the tests look at it: for either memory."""
    if request.param == "host":
        return lambda made: made
    device: WatchedDevice = request.getfixturevalue("device")
    return lambda made: made.uploaded(device)


def samples(array: Any) -> Plane:
    """Return the samples of a plane, wherever it is."""
    return read(array) if isinstance(array, DeviceArray) else np.asarray(array)


def shares_memory(one: Any, other: Any) -> bool:
    """Whether two planes have memory in common."""
    if not isinstance(one, DeviceArray):
        return np.shares_memory(one, other)
    return max(map(_span, (one, other)))[0] <= min(_span(plane)[1] for plane in (one, other))


def _span(plane: DeviceArray) -> tuple[int, int]:
    """Return the addresses of the first and the last sample."""
    pairs = zip(plane.shape, plane.strides, strict=True)
    return plane.address, plane.address + sum((length - 1) * step for length, step in pairs)


def colour_of(format: Format, matrix: int = 1, range: int = 1) -> Colour:  # noqa: A002 - the field's words
    """Return a colour description that suits a format."""
    return FULL_RANGE_RGB if format == "gbrp" else Colour(matrix, range)


def random_frame(layout: Layout, seed: int = 0, *, alpha: bool = False) -> Frame:
    """Return a frame of random samples."""
    frame = Frame.empty(layout, alpha=alpha)
    source = np.random.default_rng(seed)
    for plane in frame.all_planes:
        plane[:] = source.integers(0, 256, plane.shape, np.uint8)
    return frame


def smooth(shape: tuple[int, int], seed: int, low: float = 16, high: float = 235) -> Plane:
    """Return a plane of slowly changing samples that use a range."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    values = ndimage.gaussian_filter(noise, 6)
    values = (values - values.min()) / np.ptp(values)
    return np.asarray(np.round(low + (high - low) * values), np.uint8)


def to_ycc(rgb: NDArray[Any], matrix: int, *, full: bool) -> NDArray[np.float64]:
    """Encode (..., 3) RGB in 0..255 as the recommendations' closed form says, unrounded."""
    k_r, k_b = WEIGHTS[matrix]
    red, green, blue = np.moveaxis(np.asarray(rgb, np.float64) / 255, -1, 0)
    luma = k_r * red + (1 - k_r - k_b) * green + k_b * blue
    c_b, c_r = (blue - luma) / 2 / (1 - k_b), (red - luma) / 2 / (1 - k_r)
    scales = (255, 0, 255) if full else (219, 16, 224)
    return np.stack(
        [scales[0] * luma + scales[1], scales[2] * c_b + 128, scales[2] * c_r + 128], axis=-1
    )


def to_rgb(ycc: NDArray[Any], matrix: int, *, full: bool) -> NDArray[np.float64]:
    """Decode (..., 3) YCbCr samples to RGB in 0..255 by the closed form, cut to the range."""
    k_r, k_b = WEIGHTS[matrix]
    luma, c_b, c_r = np.moveaxis(np.asarray(ycc, np.float64), -1, 0)
    luma = luma / 255 if full else (luma - 16) / 219
    c_b, c_r = ((part - 128) / (255 if full else 224) for part in (c_b, c_r))
    red, blue = luma + 2 * (1 - k_r) * c_r, luma + 2 * (1 - k_b) * c_b
    green = (luma - k_r * red - k_b * blue) / (1 - k_r - k_b)
    return np.asarray(np.clip(255 * np.stack([red, green, blue], axis=-1), 0, 255), np.float64)


def encoded(layout: Layout, rgb: NDArray[Any]) -> Frame:
    """Return a yuv444p frame of an RGB picture, encoded by the closed form."""
    ycc = to_ycc(rgb, layout.colour.matrix, full=layout.colour.is_full_range)
    planes = np.clip(np.round(ycc), 0, 255).astype(np.uint8)
    return Frame(tuple(np.ascontiguousarray(planes[..., index]) for index in range(3)), layout)


def gradient(width: int = 64, height: int = 48) -> Plane:
    """Return a smooth picture of many colours."""
    return np.stack([smooth((height, width), seed, 0, 255) for seed in range(3)], axis=-1)


class TestColour:
    """The colour description."""

    @pytest.mark.parametrize(
        ("matrix", "range_", "full"),
        [(1, 1, False), (1, 2, True), (1, 0, False), (2, 0, False), (0, 0, True), (0, 1, False)],
    )
    def test_range_not_said_is_limited_but_for_rgb(
        self,
        matrix: int,
        range_: int,
        full: bool,
    ) -> None:
        """A range that is not said means limited, except for RGB."""
        assert Colour(matrix, range_).is_full_range is full

    @pytest.mark.parametrize(
        ("size", "matrix"),
        [((1280, 720), 1), ((1920, 1080), 1), ((720, 577), 1), ((720, 576), 5), ((640, 480), 5)],
    )
    def test_matrix_not_said_is_what_players_assume(
        self, size: tuple[int, int], matrix: int
    ) -> None:
        """A matrix that is not said is BT.709 for high definition and BT.601 below."""
        assert Colour().resolved_matrix(size) == matrix

    @pytest.mark.parametrize(("said", "used"), [(1, 1), (5, 5), (6, 5), (9, 9), (10, 9), (14, 9)])
    def test_matrix_that_is_said_counts(self, said: int, used: int) -> None:
        """A matrix that is said is used whatever the size, BT.470 and SMPTE 170M as one."""
        for size in ((16, 16), (1920, 1080)):
            assert Colour(said).resolved_matrix(size) == used
            assert Colour(said).luma_coefficients(size) == WEIGHTS[used]


class TestLayout:
    """Size, format and colour."""

    @pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 1)])
    def test_empty_size_is_refused(self, size: tuple[int, int]) -> None:
        """A frame without pixels is refused with the size in the message."""
        with pytest.raises(FormatError, match=f"{size[0]}x{size[1]}"):
            Layout(*size, "yuv420p")

    def test_unknown_format_is_refused(self) -> None:
        """A format that does not go through the engine is refused, naming those that do."""
        with pytest.raises(FormatError, match=r"yuv420p.*'nv12'"):
            Layout(2, 2, "nv12")  # type: ignore[arg-type]

    @given(sizes)
    def test_plane_shapes_are_those_of_ffmpeg(self, size: tuple[int, int]) -> None:
        """Planes have the shapes that FFmpeg gives them, odd sizes rounded up."""
        for format_ in (*FORMATS, "gray"):
            frame = av.VideoFrame(*size, format_)
            expected = tuple((plane.height, plane.width) for plane in frame.planes)
            assert Layout(*size, format_).plane_shapes == expected

    @given(rgbs, st.sampled_from([1, 5, 6, 9]), st.booleans())
    def test_samples_follow_the_closed_form(
        self,
        rgb: tuple[int, int, int],
        matrix: int,
        full: bool,
    ) -> None:
        """A colour is encoded as the recommendations say, to rounding."""
        samples = Layout(4, 4, "yuv444p", Colour(matrix, 2 if full else 1)).samples(*rgb)
        expected = np.clip(to_ycc(np.array(rgb), matrix, full=full), 0, 255)
        assert_allclose(samples, expected, atol=0.5 + 1e-9)

    def test_samples_of_rgb_and_gray(self) -> None:
        """In RGB a colour is itself, in the order of the planes; in gray it is its luma."""
        assert Layout(4, 4, "gbrp", FULL_RANGE_RGB).samples(1, 2, 3) == (2, 3, 1)
        assert Layout(4, 4, "gray").samples(255, 255, 255) == (255,)
        assert Layout(4, 4, "gray").samples(255, 0, 0) == (76,)

    @given(rgbs, st.sampled_from([1, 5, 9]), st.booleans())
    def test_matrix_to_rgb_inverts_the_closed_form(
        self,
        rgb: tuple[int, int, int],
        matrix: int,
        full: bool,
    ) -> None:
        """The matrix takes unrounded samples of a colour back to it, in 0..1."""
        layout = Layout(4, 4, "yuv420p", Colour(matrix, 2 if full else 1))
        ycc = to_ycc(np.array(rgb), matrix, full=full)
        assert_allclose(layout.to_rgb_matrix() @ [*ycc, 1], np.array(rgb) / 255, atol=1e-5)

    def test_matrix_of_rgb_puts_channels_in_order(self) -> None:
        """For RGB the matrix reorders and scales; for gray there is none."""
        matrix = Layout(4, 4, "gbrp", FULL_RANGE_RGB).to_rgb_matrix()
        assert_allclose(matrix @ [10, 20, 30, 1], np.array([30, 10, 20]) / 255, atol=1e-6)
        with pytest.raises(FormatError, match="gray"):
            Layout(4, 4, "gray").to_rgb_matrix()


class TestFrame:
    """Planes with what they mean."""

    @given(sizes, st.sampled_from(FORMATS), st.booleans())
    def test_copy_has_the_same_samples_in_memory_of_its_own(
        self,
        place: Place,
        size: tuple[int, int],
        format_: Format,
        alpha: bool,
    ) -> None:
        """A copy has the samples, alpha and time of its frame, and shares no memory with it."""
        frame = place(random_frame(Layout(*size, format_, colour_of(format_)), alpha=alpha))
        frame = frame.shown_at(7, Fraction(1, 30), 2)
        copy = frame.copy()
        assert copy.layout == frame.layout
        assert (copy.pts, copy.time_base, copy.duration) == (7, Fraction(1, 30), 2)
        assert (copy.alpha is None) == (not alpha)
        for ours, theirs in zip(copy.all_planes, frame.all_planes, strict=True):
            assert_array_equal(samples(ours), samples(theirs))
            assert not shares_memory(ours, theirs)

    def test_wrong_planes_are_refused(self) -> None:
        """Planes of another shape, type or number than the layout's are refused."""
        layout = Layout(4, 2, "yuv444p")
        good = np.zeros((2, 4), np.uint8)
        with pytest.raises(FormatError, match=r"\(2, 4\).*\(4, 2\)"):
            Frame((good, good, good.T), layout)
        with pytest.raises(FormatError, match="float32"):
            Frame((good, good, good.astype(np.float32)), layout)
        with pytest.raises(FormatError, match=r"\(2, 4\)"):
            Frame((good,) * 3, layout, alpha=np.zeros((1, 2), np.uint8))
        with pytest.raises(FormatError, match="3 planes"):
            Frame((good, good), layout)

    @pytest.mark.parametrize(
        "turned", [np.flipud, np.fliplr, np.transpose], ids=lambda f: f.__name__
    )
    def test_planes_that_lie_otherwise_in_memory_are_refused(
        self, turned: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    ) -> None:
        """Rows that go up or whose samples are apart are an error that says what to do."""
        plane = turned(np.zeros((4, 4), np.uint8))
        with pytest.raises(FormatError, match="ascontiguousarray"):
            Frame((plane,), Layout(4, 4, "gray"))
        Frame((np.ascontiguousarray(plane),), Layout(4, 4, "gray"))

    def test_frame_cannot_be_changed(self) -> None:
        """A frame is a value: its attributes cannot be set."""
        frame = Frame.filled(Layout(2, 2, "yuv420p"), (1, 2, 3))
        with pytest.raises(FrozenInstanceError):
            frame.pts = 3  # type: ignore[misc]

    def test_time_needs_both_parts(self) -> None:
        """The time in seconds is pts times time base, and None unless both are known."""
        frame = Frame.filled(Layout(2, 2, "yuv420p"), (0, 0, 0))
        assert frame.time_s is None
        assert frame.shown_at(3, Fraction(1001, 30000)).time_s == pytest.approx(0.1001)
        assert replace(frame, pts=3).time_s is None

    def test_at_takes_the_time_and_shares_the_samples(self, place: Place) -> None:
        """`at` gives another frame's time to the same memory."""
        frame = place(random_frame(Layout(4, 4, "yuv420p")))
        other = frame.copy().shown_at(9, Fraction(1, 25), 1)
        moved = frame.at(other)
        assert (moved.pts, moved.time_base, moved.duration) == (9, Fraction(1, 25), 1)
        assert all(map(shares_memory, moved.planes, frame.planes))
        assert frame.pts is None

    @given(rgbs, st.sampled_from(FORMATS), st.sampled_from(SIZES))
    def test_filled_frame_has_the_colour(
        self, place: Place, rgb: tuple[int, int, int], format_: Format, size: tuple[int, int]
    ) -> None:
        """A filled frame read as RGB has its colour everywhere."""
        frame = place(Frame.filled(Layout(*size, format_, colour_of(format_)), rgb))
        assert frame.alpha is None
        # Rounding to limited range costs up to 1.8 levels, libswscale one more.
        tolerance = 0 if format_ == "gbrp" else 3
        assert abs(frame.to_rgb().astype(int) - rgb).max() <= tolerance

    def test_filled_frame_has_the_alpha_asked_for(self, place: Place) -> None:
        """Alpha is there when asked for, with its value everywhere, and `opaque` leaves it out."""
        frame = place(Frame.filled(Layout(5, 3, "yuv420p"), (1, 2, 3), alpha=7))
        assert_array_equal(samples(frame.alpha), np.full((3, 5), 7))
        opaque = frame.opaque()
        assert opaque.alpha is None
        assert all(map(shares_memory, opaque.planes, frame.planes))
        assert opaque.to_av().format.name == "yuv420p"

    def test_empty_frames_share_no_memory(self) -> None:
        """Two new frames have memory of their own, and so have the planes of one."""
        layout = Layout(16, 16, "yuv420p")
        planes = [*Frame.empty(layout, alpha=True).all_planes, *Frame.empty(layout).all_planes]
        for index, plane in enumerate(planes):
            assert not any(np.shares_memory(plane, other) for other in planes[:index])

    @pytest.mark.parametrize(
        ("size", "small"),
        [
            ((640, 383), (640, 383)),
            ((640, 511), (428, 340)),
            ((640, 480), (428, 320)),
            ((640, 512), (320, 256)),
            ((1025, 769), (344, 256)),
            ((1920, 1080), (480, 270)),
            ((1, 1), (1, 1)),
        ],
    )
    def test_small_planes_have_a_shorter_side_of_256_to_383(
        self, place: Place, size: tuple[int, int], small: tuple[int, int]
    ) -> None:
        """They are reduced together, by halves and by a third, while 256 samples are left."""
        frame = place(random_frame(Layout(*size, "yuv420p")))
        luma, *chroma = frame.small_planes
        assert luma.shape == (small[1], small[0])
        for plane in chroma:
            assert plane.shape == ((luma.shape[0] + 1) // 2, (luma.shape[1] + 1) // 2)
        assert luma is frame.small_planes[0]
        assert_allclose(samples(luma).mean(), samples(frame.planes[0]).mean(), atol=1)


class TestRgb:
    """From and to RGB arrays."""

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
    def test_round_trip_is_exact(self, width: int, height: int, seed: int) -> None:
        """An RGB array comes back as it was, in new memory both ways."""
        array = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        frame = Frame.from_rgb(array)
        assert (frame.size, frame.format) == ((width, height), "gbrp")
        back = frame.to_rgb()
        assert_array_equal(back, array)
        assert not any(np.shares_memory(plane, array) for plane in frame.planes)
        assert not any(np.shares_memory(plane, back) for plane in frame.planes)

    def test_views_of_any_stride_are_taken(self, rng: np.random.Generator) -> None:
        """Arrays that are cut out, mirrored or transposed are read as they look."""
        array = rng.integers(0, 256, (20, 30, 3), np.uint8)
        for view in (array[3:9, 2:17], array[::-1, ::-2], array.swapaxes(0, 1), array[..., ::-1]):
            assert_array_equal(Frame.from_rgb(view).to_rgb(), view)

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((4, 4), np.uint8),
            np.zeros((4, 4, 4), np.uint8),
            np.zeros((4, 4, 3), np.float32),
            np.zeros((4, 4, 3), np.uint16),
            np.zeros((0, 4, 3), np.uint8),
        ],
    )
    def test_other_arrays_are_refused(self, array: Any) -> None:
        """What is not a picture of (H, W, 3) uint8 is refused."""
        with pytest.raises(FormatError):
            Frame.from_rgb(array)

    @pytest.mark.parametrize("matrix", [1, 5, 9])
    @pytest.mark.parametrize("range_", [1, 2])
    def test_decoding_follows_the_closed_form(self, matrix: int, range_: int) -> None:
        """YUV becomes RGB as the matrix and range of the frame say."""
        rgb = gradient()
        frame = encoded(Layout(64, 48, "yuv444p", Colour(matrix, range_)), rgb)
        ycc = np.stack(frame.planes, axis=-1)
        expected = to_rgb(ycc, matrix, full=range_ == 2)
        assert_allclose(frame.to_rgb().astype(float), expected, atol=2)

    @pytest.mark.parametrize("matrix", [1, 5, 9])
    @pytest.mark.parametrize("range_", [1, 2])
    def test_encoding_follows_the_closed_form(self, matrix: int, range_: int) -> None:
        """RGB becomes YUV as the matrix and range of the wanted layout say."""
        rgb = gradient()
        frame = Frame.from_rgb(rgb).converted(Layout(64, 48, "yuv444p", Colour(matrix, range_)))
        expected = to_ycc(rgb, matrix, full=range_ == 2)
        assert_allclose(np.stack(frame.planes, axis=-1).astype(float), expected, atol=2)

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("source", FORMATS)
    @pytest.mark.parametrize("target", FORMATS)
    def test_conversion_keeps_the_colour_at_any_size(
        self, size: tuple[int, int], source: Format, target: Format
    ) -> None:
        """One colour stays itself through a change of format, matrix and range."""
        rgb = (200, 100, 50)
        frame = Frame.filled(Layout(*size, source, colour_of(source, 1, 1)), rgb)
        layout = Layout(*size, target, colour_of(target, 5, 2))
        converted = frame.converted(layout)
        assert converted.layout == layout
        assert abs(converted.to_rgb().astype(int) - rgb).max() <= 3

    @pytest.mark.parametrize(
        ("before", "after"), [(Colour(1, 1), Colour(1, 2)), (Colour(1, 2), Colour(5, 1))]
    )
    @pytest.mark.parametrize("format_", ["yuv420p", "yuv444p"])
    def test_colour_alone_can_be_converted(
        self, before: Colour, after: Colour, format_: Format
    ) -> None:
        """A change of range or matrix alone changes the samples, not the picture."""
        rgb = (250, 120, 30)
        frame = Frame.filled(Layout(16, 16, format_, before), rgb)
        converted = frame.converted(Layout(16, 16, format_, after))
        expected = Layout(16, 16, format_, after).samples(*rgb)
        for plane, sample in zip(converted.planes, expected, strict=True):
            assert abs(plane.astype(int) - sample).max() <= 2

    def test_conversion_to_the_same_layout_shares_memory(self) -> None:
        """Where nothing changes the memory is shared and the time kept."""
        frame = random_frame(Layout(16, 8, "yuv420p", Colour(1, 1)))
        frame = frame.shown_at(4, Fraction(1, 5), 2)
        same = frame.converted(frame.layout)
        assert all(map(np.shares_memory, same.planes, frame.planes))
        assert (same.pts, same.time_base, same.duration) == (4, Fraction(1, 5), 2)

    def test_conversion_keeps_the_time(self) -> None:
        """A converted frame is shown at the time of the first."""
        frame = random_frame(Layout(16, 8, "yuv420p")).shown_at(4, Fraction(1, 5), 2)
        converted = frame.converted(Layout(8, 4, "gbrp", FULL_RANGE_RGB))
        assert (converted.pts, converted.time_base, converted.duration) == (4, Fraction(1, 5), 2)

    def test_scaling_keeps_the_picture(self) -> None:
        """A scaled picture is that of an independent resize."""
        rgb = np.kron(gradient(16, 12), np.ones((4, 4, 1), np.uint8))
        rgb = cv2.GaussianBlur(rgb, (0, 0), 6).astype(np.uint8)
        scaled = Frame.from_rgb(rgb).converted(Layout(32, 24, "gbrp", FULL_RANGE_RGB)).to_rgb()
        expected = cv2.resize(rgb, (32, 24), interpolation=cv2.INTER_AREA)
        assert abs(scaled.astype(int) - expected).max() <= 4


class TestFFmpeg:
    """From and to FFmpeg frames."""

    @pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "gbrp"])
    @pytest.mark.parametrize("size", SIZES)
    def test_own_formats_share_memory_both_ways(self, name: Format, size: tuple[int, int]) -> None:
        """A frame of one of the engine's formats is not copied on its way in or out."""
        frame = av.VideoFrame(*size, name)
        ours = Frame.from_av(frame)
        assert ours.format == name
        for value, plane in enumerate(ours.planes):
            plane[:] = 10 + value
        again = Frame.from_av(ours.to_av())
        assert ours.to_av() is frame
        for value, plane in enumerate(again.planes):
            assert_array_equal(plane, np.full(plane.shape, 10 + value))
            assert np.shares_memory(plane, ours.planes[value])

    def test_memory_outlives_the_ffmpeg_frame(self) -> None:
        """A frame keeps the memory alive that it is a view of."""
        planes = Frame.from_av(av.VideoFrame(640, 480, "yuv420p")).planes
        planes[0][:] = 77
        others = [av.VideoFrame(640, 480, "yuv420p") for _ in range(8)]
        for other in others:
            Frame.from_av(other).planes[0][:] = 1
        assert_array_equal(planes[0], np.full((480, 640), 77))

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize("alpha", [False, True])
    def test_arrays_go_out_with_padded_rows(
        self,
        format_: Format,
        alpha: bool,
        rng: np.random.Generator,
    ) -> None:
        """Planes in memory of the caller, however padded, are copied into an FFmpeg frame."""
        layout = Layout(13, 7, format_, colour_of(format_))
        shapes = [*layout.plane_shapes, *([(7, 13)] if alpha else [])]
        planes = [
            rng.integers(0, 256, (height + 2, width + 9), np.uint8)[1:-1, 4:-5]
            for height, width in shapes
        ]
        frame = Frame(tuple(planes[:3]), layout, alpha=planes[3] if alpha else None)
        again = Frame.from_av(frame.to_av())
        assert again.layout == layout
        for ours, theirs in zip(again.all_planes, planes, strict=True):
            assert_array_equal(ours, theirs)

    def test_time_goes_in_and_out(self) -> None:
        """Presentation time, time base and duration go in and out as they are."""
        frame = av.VideoFrame(4, 4, "yuv420p")
        frame.pts, frame.time_base, frame.duration = -5, Fraction(1001, 30000), 3
        ours = Frame.from_av(frame)
        assert (ours.pts, ours.time_base, ours.duration) == (-5, Fraction(1001, 30000), 3)
        out = ours.shown_at(8, Fraction(1, 90000), 9).to_av()
        assert (out.pts, fraction(out.time_base), out.duration) == (8, Fraction(1, 90000), 9)
        assert Frame.from_av(av.VideoFrame(4, 4, "yuv420p")).time_s is None

    @pytest.mark.parametrize("alpha", [False, True])
    def test_two_frames_of_one_memory_keep_their_times(self, alpha: bool) -> None:
        """The same samples shown twice go out as two FFmpeg frames of two times."""
        frame = Frame.filled(Layout(4, 4, "yuv420p"), (1, 2, 3), alpha=9 if alpha else None)
        first, second = (frame.shown_at(pts, Fraction(1, 25)).to_av() for pts in (1, 2))
        assert (first.pts, second.pts) == (1, 2)

    @pytest.mark.parametrize(
        "colour", [Colour(1, 1, 1, 1), Colour(5, 2, 5, 6), Colour(9, 1, 9, 14), Colour()]
    )
    def test_colour_description_goes_through(self, colour: Colour) -> None:
        """Matrix, range, primaries and transfer come out as they went in."""
        frame = av.VideoFrame(4, 4, "yuv420p")
        frame.colorspace, frame.color_range = colour.matrix, colour.range
        frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
        ours = Frame.from_av(frame)
        assert ours.layout.colour == colour
        out = ours.copy().to_av()
        assert (out.colorspace, out.color_range) == (colour.matrix, colour.range)
        assert (out.color_primaries, out.color_trc) == (colour.primaries, colour.transfer)

    @pytest.mark.parametrize("name", ["yuvj420p", "yuvj444p"])
    def test_full_range_by_name_is_not_washed_out(self, name: str) -> None:
        """The old names for full range keep their samples and say so in the description."""
        frame = av.VideoFrame(16, 16, name)
        for plane, value in zip(frame.planes, (255, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        ours = Frame.from_av(frame)
        assert ours.format == name.replace("j", "")
        assert ours.layout.colour.is_full_range
        assert_array_equal(ours.planes[0], np.full((16, 16), 255))
        assert ours.to_rgb().min() >= 254
        assert ours.to_av().color_range == 2

    @pytest.mark.parametrize(
        ("name", "wanted"),
        [
            ("nv12", "yuv420p"),
            ("nv21", "yuv420p"),
            ("yuv420p10le", "yuv420p"),
            ("p010le", "yuv420p"),
            ("yuyv422", "yuv444p"),
            ("uyvy422", "yuv444p"),
            ("yuv422p", "yuv444p"),
            ("yuv422p10le", "yuv444p"),
            ("yuv444p12le", "yuv444p"),
            ("yuvj422p", "yuv444p"),
            ("gray", "yuv444p"),
            ("gray16le", "yuv444p"),
            ("rgb24", "gbrp"),
            ("bgr24", "gbrp"),
            ("bgra", "gbrp"),
            ("rgb48le", "gbrp"),
            ("gbrp10le", "gbrp"),
            ("pal8", "gbrp"),
        ],
    )
    @pytest.mark.parametrize("size", [(64, 48), (33, 19)])
    def test_other_formats_are_converted(
        self, name: str, wanted: Format, size: tuple[int, int]
    ) -> None:
        """Formats of cameras and codecs enter as the nearest one, with their colours."""
        rgb = (150, 150, 150) if name.startswith("gray") else (180, 120, 60)
        if name == "pal8":
            indices = np.ones((size[1], size[0]), np.uint8)
            palette = np.zeros((256, 4), np.uint8)
            palette[1] = (255, *rgb)
            frame = av.VideoFrame.from_ndarray((indices, palette), "pal8")  # type: ignore[arg-type]
        else:
            plain = Frame.filled(Layout(*size, "gbrp", FULL_RANGE_RGB), rgb).to_av()
            # One thread: with more, libswscale now and then spoils a row.
            frame = plain.reformat(threads=1, format=name, dst_colorspace=5)
        frame.pts, frame.time_base = 3, Fraction(1, 25)
        ours = Frame.from_av(frame)
        assert (ours.format, ours.size) == (wanted, size)
        assert (ours.pts, ours.time_base) == (3, Fraction(1, 25))
        assert abs(ours.to_rgb().astype(int) - rgb).max() <= 4

    @pytest.mark.parametrize("format_", FORMATS)
    def test_format_can_be_asked_for(self, format_: Format) -> None:
        """Any format can be asked for on entry, and the picture stays."""
        frame = encoded(Layout(64, 48, "yuv444p", Colour(1, 1)), gradient()).to_av()
        ours = Frame.from_av(frame, format_)
        assert ours.format == format_
        tolerance = 40 if format_ == "yuv420p" else 3
        assert abs(ours.to_rgb().astype(int) - gradient()).max() <= tolerance

    def test_alpha_comes_in(self) -> None:
        """A frame with alpha keeps it, without copying."""
        for name, opaque in (("yuva420p", "yuv420p"), ("yuva444p", "yuv444p"), ("gbrap", "gbrp")):
            ours = Frame.from_av(av.VideoFrame(6, 4, name))
            assert ours.format == opaque
            assert ours.alpha is not None
            ours.alpha[:] = 5
            assert ours.to_av().format.name == name

    def test_full_range_ten_bit_is_not_washed_out(self) -> None:
        """Full-range samples of ten bits become full-range samples of eight."""
        frame = av.VideoFrame(16, 16, "yuv420p10le")
        for plane, value in zip(frame.planes, (1023, 512, 512), strict=True):
            samples = np.full(plane.buffer_size // 2, value, "<u2")
            plane.update(samples.tobytes())
        frame.color_range, frame.colorspace = 2, 1
        ours = Frame.from_av(frame)
        assert ours.layout.colour == Colour(1, 2)
        assert abs(ours.planes[0].astype(int) - 255).max() <= 1
        assert abs(ours.planes[1].astype(int) - 128).max() <= 1

    @pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
    def test_high_dynamic_range_is_tone_mapped(self, transfer: int, name: str) -> None:
        """PQ and HLG enter as limited BT.709, with whites neither cut off nor washed out."""
        frame = av.VideoFrame(64, 16, "yuv420p10le")
        luma = np.tile(np.linspace(64, 700, 64).astype("<u2"), 16)
        frame.planes[0].update(_padded(luma.reshape(16, 64), frame.planes[0].line_size))
        for plane in list(frame.planes)[1:]:
            plane.update(np.full(plane.buffer_size // 2, 512, "<u2").tobytes())
        frame.colorspace, frame.color_range = 9, 1
        frame.color_primaries, frame.color_trc = 9, transfer
        ours = Frame.from_av(frame)
        assert ours.format == "yuv420p"
        assert ours.layout.colour == Colour(1, 1, 1, 1), name
        row = ours.planes[0][8].astype(int)
        assert row[0] <= 20
        assert row[-1] >= 150
        assert (np.diff(row) >= -2).all()
        assert abs(ours.planes[1].astype(int) - 128).max() <= 3


def _padded(values: NDArray[Any], line_size: int) -> bytes:
    """Lay rows out as FFmpeg does."""
    rows = np.zeros((values.shape[0], line_size), np.uint8)
    data = values.view(np.uint8)
    rows[:, : data.shape[1]] = data
    return rows.tobytes()


def _noise(size: tuple[int, int], kind: Format) -> Frame:
    colour = Colour(0, 2) if kind == "gbrp" else Colour(2, 1)
    frame = Frame.empty(Layout(*size, kind, colour))
    rng = np.random.default_rng(size[0])
    for plane in frame.planes:
        plane[...] = rng.integers(0, 256, plane.shape)
    return frame


class TestParts:
    """Parts of frames, and half planes."""

    @pytest.mark.parametrize("kind", ["yuv420p", "yuv444p", "gbrp", "gray"])
    @pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 200), (320, 180), (321, 181)])
    def test_small_frames_give_their_own_samples(
        self, place: Place, size: tuple[int, int], kind: Format
    ) -> None:
        """A part of what was not halved is a view of it, odd borders included."""
        frame = place(_noise(size, kind))
        width, height = size
        for box in ((0, 0, width, height), (width // 4 * 2, height // 4 * 2, width, height)):
            left, top, right, bottom = box
            part = frame.part(box)
            assert part.size == (right - left, bottom - top)
            assert_array_equal(samples(part.planes[0]), samples(frame.planes[0])[top:, left:])
            for ours, whole in zip(part.planes, frame.planes, strict=True):
                assert shares_memory(ours, whole)
                step = 1 if whole.shape == frame.planes[0].shape else 2
                assert_array_equal(samples(ours), samples(whole)[top // step :, left // step :])

    @pytest.mark.parametrize("kind", ["yuv420p", "gbrp"])
    def test_small_parts_are_not_halved_too_far(self, place: Place, kind: Format) -> None:
        """Of a large frame a small part keeps the detail that a model can use."""
        frame = place(_noise((1920, 1080), kind))
        assert frame.small_planes[0].shape == (270, 480)
        large, medium, small = (
            frame.part(box) for box in ((0, 0, 480, 270), (100, 60, 300, 200), (100, 60, 180, 140))
        )
        assert large.size == (480, 270)
        assert medium.size == (400, 280)
        assert small.size == (320, 320)
        assert_array_equal(samples(small.planes[0]), samples(frame.planes[0])[240:560, 400:720])

    def test_the_matrix_stays(self, place: Place) -> None:
        """A part of a large picture is not taken for standard definition."""
        frame = place(_noise((1920, 1080), "yuv420p"))
        part = frame.part((0, 0, 64, 64))
        assert part.layout.colour.resolved_matrix(part.size) == 1
        assert_allclose(part.layout.to_rgb_matrix(), frame.layout.to_rgb_matrix())

    @pytest.mark.parametrize("kind", ["yuv420p", "yuv444p", "gbrp", "gray"])
    @pytest.mark.parametrize("size", [(1, 1), (321, 181), (1280, 720)])
    def test_half_planes(self, place: Place, size: tuple[int, int], kind: Format) -> None:
        """All planes have half the size of the first small one, rounded up."""
        frame = place(_noise(size, kind))
        height, width = frame.small_planes[0].shape
        halves = samples(frame.half_planes)
        assert halves.shape == (len(frame.planes), (height + 1) // 2, (width + 1) // 2)
        luma = samples(frame.small_planes[0])[: height // 2 * 2, : width // 2 * 2].astype(float)
        if luma.size:
            means = luma.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
            assert np.abs(halves[0][: height // 2, : width // 2] - means).max() <= 0.5


class TestDevice:
    """Frames and mattes on a device."""

    @given(sizes, st.sampled_from((*FORMATS, "gray")), st.booleans())
    def test_frames_come_back_as_they_were(
        self, device: WatchedDevice, size: tuple[int, int], format_: Format, alpha: bool
    ) -> None:
        """A frame has the same samples, layout and time after the way to a device and back."""
        alpha = alpha and format_ != "gray"
        frame = random_frame(Layout(*size, format_, colour_of(format_)), alpha=alpha)
        there = frame.shown_at(7, Fraction(1, 30), 2).uploaded(device)
        assert there.device is device
        assert there.uploaded(device) is there
        back = there.downloaded()
        assert back.device is None
        assert back.downloaded() is back
        assert back.layout is frame.layout
        assert (back.pts, back.time_base, back.duration) == (7, Fraction(1, 30), 2)
        for ours, theirs in zip(back.all_planes, frame.all_planes, strict=True):
            assert_array_equal(ours, theirs)

    def test_the_source_may_be_changed_at_once(self, device: WatchedDevice) -> None:
        """What is on the device does not follow the frame that was uploaded."""
        frame = random_frame(Layout(6, 4, "yuv420p"))
        there, expected = frame.uploaded(device), frame.copy()
        for plane in frame.planes:
            plane[...] = 0
        assert_array_equal(there.downloaded().planes[0], expected.planes[0])

    def test_parts_are_downloaded(self, device: WatchedDevice) -> None:
        """A part, whose rows are apart, gives its own samples to FFmpeg and as RGB."""
        frame = random_frame(Layout(32, 16, "gbrp", FULL_RANGE_RGB))
        part, expected = frame.uploaded(device).part((4, 2, 20, 10)), frame.part((4, 2, 20, 10))
        assert_array_equal(part.to_rgb(), expected.to_rgb())
        assert_array_equal(part.to_av().to_ndarray(), expected.to_av().to_ndarray())

    def test_frames_are_converted(self, device: WatchedDevice) -> None:
        """A conversion gives what that of the same frame of the host gives, on the device."""
        frame = random_frame(Layout(32, 16, "yuv420p"))
        layout = Layout(16, 16, "gbrp", FULL_RANGE_RGB)
        converted = frame.uploaded(device).converted(layout)
        assert converted.device is device
        assert_array_equal(converted.to_rgb(), frame.converted(layout).to_rgb())

    @example((39, 1), (15, 1), 0)  # whose steps are just below whole numbers
    @given(sizes, sizes, st.integers(0, 2**32 - 1))
    def test_reduced_planes_and_mattes(
        self, device: WatchedDevice, size: tuple[int, int], small: tuple[int, int], seed: int
    ) -> None:
        """Planes and coverage at a smaller size are those of the host, within a level."""
        frame = random_frame(Layout(*size, "yuv444p"), seed)
        shape = min(small[1], size[1]), min(small[0], size[0])
        pairs = zip(frame.uploaded(device).reduced(shape), frame.reduced(shape), strict=True)
        for ours, theirs in pairs:
            assert abs(samples(ours).astype(int) - theirs).max() <= 1
        matte = Matte(frame.planes[0].copy())
        there = matte.uploaded(device)
        small_matte = samples(there.reduced_to(shape)).astype(int)
        assert abs(small_matte - matte.reduced_to(shape)).max() <= 1
        assert_array_equal(there.sampled(shape), matte.sampled(shape))
        assert_array_equal(there.again().downloaded().values, matte.values)

    def test_planes_are_in_one_place(self, device: WatchedDevice) -> None:
        """Planes of the host beside those of a device are refused."""
        host = np.zeros((2, 4), np.uint8)
        planes: Any = (host, host, device.empty((2, 4)))
        with pytest.raises(FormatError, match="one device"):
            Frame(planes, Layout(4, 2, "yuv444p"))

    def test_wrong_planes_are_refused(self, device: WatchedDevice) -> None:
        """Planes of another shape, type or order than the layout's are refused there, too."""
        layout = Layout(4, 2, "gray")
        wrong: list[Any] = [device.empty((4, 2)), device.empty((2, 4), np.float32)]
        wrong.append(device.empty((2, 8))[:, ::2])
        for plane in wrong:
            with pytest.raises(FormatError):
                Frame((plane,), layout)


class TestMatte:
    """Coverage at the resolution of each plane."""

    @settings(max_examples=40)
    @given(sizes, st.integers(0, 2**32 - 1))
    def test_quarter_is_the_rounded_mean(
        self, place: Place, size: tuple[int, int], seed: int
    ) -> None:
        """Chroma coverage is the rounded mean of 2x2 samples, edges of odd sizes repeated."""
        width, height = size
        values = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
        padded = np.pad(values, ((0, height % 2), (0, width % 2)), mode="edge").astype(int)
        blocks = padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2)
        assert_array_equal(
            samples(place(Matte(values)).quarter), (blocks.sum(axis=(1, 3)) + 2) // 4
        )

    def test_each_plane_gets_its_own(self, place: Place) -> None:
        """A plane gets the coverage of its size, made once."""
        matte = place(Matte(np.zeros((5, 7), np.uint8)))
        assert matte.for_plane((5, 7)) is matte.values
        assert matte.for_plane((3, 4)) is matte.quarter
        with pytest.raises(FormatError, match=r"\(5, 7\).*\(2, 2\)"):
            matte.for_plane((2, 2))


def test_one_frame_is_converted_on_several_threads(rng: np.random.Generator) -> None:
    """Sinks of a live session share a frame: each gets what it would have got alone."""
    layout = Layout(160, 90, "yuv420p", Colour(1, 1))
    for _ in range(20):
        frame = Frame.empty(layout)
        for plane in frame.planes:
            plane[:] = rng.integers(40, 200, plane.shape, np.uint8)
        expected = frame.copy().to_rgb()
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(Frame.to_rgb, [frame] * 4):
                assert_array_equal(found, expected)
