"""Memory of results that is used again."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
import av.filter
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.compositing import FramePool, composite
from greenroom.media.colour import FULL_RANGE_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp", "gray")
LAYOUT: Final = Layout(96, 48, "yuv420p", Colour(1, 1))


def random_frame(layout: Layout, source: np.random.Generator) -> Frame:
    """Return a frame of random samples."""
    return Frame(
        tuple(source.integers(0, 256, shape, np.uint8) for shape in layout.plane_shapes), layout
    )


def random_matte(layout: Layout, source: np.random.Generator) -> Matte:
    """Return a matte that is clear but for a few rectangles."""
    values = np.zeros((layout.height, layout.width), np.uint8)
    for _ in range(int(source.integers(0, 4))):
        top, bottom = np.sort(source.integers(0, layout.height + 1, 2))
        left, right = np.sort(source.integers(0, layout.width + 1, 2))
        values[top:bottom, left:right] = source.choice([1, 128, 255])
    return Matte(values)


@given(
    st.tuples(st.integers(1, 140), st.integers(1, 70)),
    st.sampled_from(FORMATS),
    st.lists(
        st.tuples(st.integers(0, 2), st.booleans(), st.booleans(), st.booleans()),
        min_size=2,
        max_size=12,
    ),
    st.integers(0, 2**31),
)
def test_no_stale_tile_is_ever_shown(
    size: tuple[int, int],
    format_: Format,
    steps: list[tuple[int, bool, bool, bool]],
    seed: int,
) -> None:
    """Whatever came before, drawn over or not, a result is what a new one would be."""
    source = np.random.default_rng(seed)
    layout = Layout(*size, format_, FULL_RANGE_RGB if format_ == "gbrp" else Colour(1, 1))
    backgrounds = [random_frame(layout, source) for _ in range(2)]
    if format_ != "gray":
        backgrounds.append(Frame.filled(layout, (9, 99, 199), alpha=0))
    pool, sink = FramePool(), []
    for number, is_remembered, is_drawn, is_kept in steps:
        background = backgrounds[number % len(backgrounds)]
        frame, matte = random_frame(layout, source), random_matte(layout, source)
        canvas = pool.take(layout, background)
        result = composite(frame, matte, background, canvas=canvas)
        plain = composite(frame, matte, background)
        for one, other in zip(result.all_planes, plain.all_planes, strict=True):
            assert_array_equal(one, other)
        if is_drawn:  # as an overlay is
            for plane in result.all_planes:
                plane[: plane.shape[0] // 2 + 1] = 77
        elif is_remembered:
            pool.remember(canvas, background)
        if is_kept:
            sink.append((result, [np.array(plane) for plane in result.all_planes]))
        del canvas, result, one
    for result, planes in sink:
        for one, other in zip(result.all_planes, planes, strict=True):
            assert_array_equal(one, other)


class TestTiles:
    """What is not written again, and what that is trusted to be."""

    def made(self, pool: FramePool, background: Frame, *, remember: bool = True) -> Frame:
        """Make a result that shows the background alone."""
        matte = Matte(np.zeros((LAYOUT.height, LAYOUT.width), np.uint8))
        canvas = pool.take(LAYOUT, background)
        result = composite(Frame.filled(LAYOUT, (1, 2, 3)), matte, background, canvas=canvas)
        if remember:
            pool.remember(canvas, background)
        return result

    def test_tiles_of_the_same_background_are_held(self) -> None:
        """A result over the background that is there already has every clear tile."""
        pool, background = FramePool(), Frame.filled(LAYOUT, (200, 30, 40))
        self.made(pool, background)
        assert pool.take(LAYOUT, background).held.all()

    @pytest.mark.parametrize("what", ["another", "not remembered", "a plane", "given to FFmpeg"])
    def test_nothing_is_held_otherwise(self, what: str) -> None:
        """Not of another background, nor after a result that anybody may have drawn over."""
        pool, background = FramePool(), Frame.filled(LAYOUT, (200, 30, 40))
        result = self.made(pool, background, remember=what != "not remembered")
        if what == "given to FFmpeg":
            result.to_av()
        del result
        if what == "another":
            background = Frame.filled(LAYOUT, (200, 30, 40))
        if what == "a plane":
            background = Frame((*background.planes[:2], background.planes[2].copy()), LAYOUT)
        assert not pool.take(LAYOUT, background).held.any()

    def test_what_is_remembered_cannot_be_drawn_over(self) -> None:
        """Its planes are read-only; what is not remembered is its owner's to draw on."""
        pool, background = FramePool(), Frame.filled(LAYOUT, (200, 30, 40))
        result = self.made(pool, background)
        with pytest.raises(ValueError, match="read-only"):
            result.planes[0][:] = 9
        own = self.made(pool, background, remember=False)
        own.planes[0][:] = 9

    def test_a_background_that_is_gone_is_not_taken_for_a_new_one(self) -> None:
        """Nor does the pool keep the memory of backgrounds."""
        pool = FramePool()
        self.made(pool, Frame.filled(LAYOUT, (200, 30, 40)))
        for shade in range(20):
            background = Frame.filled(LAYOUT, (shade, 30, 40))
            result = self.made(pool, background)
            for one, other in zip(result.planes, background.planes, strict=True):
                assert_array_equal(one, other)
            del background, result, one, other


KEEPERS: Final[dict[str, Callable[[Frame], Any]]] = {
    "the frame": lambda frame: frame,
    "the same at another time": lambda frame: frame.shown_at(3, Fraction(1, 30)),
    "a plane": lambda frame: frame.planes[2],
    "a part of one": lambda frame: frame.planes[0][3:5, ::2].T,
    "its bytes": lambda frame: memoryview(frame.planes[1]),  # type: ignore[arg-type]
    "another kind of array": lambda frame: frame.planes[0].view(np.int8)[1],
    "FFmpeg's frame": lambda frame: frame.to_av(),
    "FFmpeg's plane": lambda frame: frame.to_av().planes[1],
    "FFmpeg's bytes": lambda frame: memoryview(frame.to_av().planes[0]),
    "its memory": lambda frame: frame.memory,
}


@pytest.mark.parametrize("keep", KEEPERS.values(), ids=KEEPERS)
def test_memory_that_somebody_has_is_not_given_again(keep: Callable[[Frame], Any]) -> None:
    """Whatever of a frame is kept, it is seen; once that is gone the memory comes again."""
    pool, background = FramePool(), Frame.filled(LAYOUT, (1, 2, 3))
    first = pool.take(LAYOUT, background).frame
    address = first.planes[0].ctypes.data
    kept = keep(first)
    del first
    second = pool.take(LAYOUT, background).frame
    assert second.planes[0].ctypes.data != address
    del kept, second
    addresses = {pool.take(LAYOUT, background).frame.planes[0].ctypes.data for _ in range(2)}
    assert address in addresses or len(addresses) == 1


def test_what_ffmpeg_reads_does_not_change() -> None:
    """A filter that keeps frames, to which Python has no reference any more, shows their own."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=LAYOUT.width,
        height=LAYOUT.height,
        format=av.VideoFormat("yuv420p"),
        time_base=Fraction(1, 30),
    )
    middle, sink = graph.add("reverse"), graph.add("buffersink")  # which keeps all of them
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    pool, background = FramePool(), Frame.filled(LAYOUT, (1, 2, 3))
    for number in range(10):
        frame = pool.take(LAYOUT, background).frame
        for plane in frame.planes:
            plane[:] = 20 * number
        graph.push(frame.shown_at(number, Fraction(1, 30)).to_av())
        del frame, plane
    graph.push(None)
    for number in reversed(range(10)):
        picture: Any = graph.pull()
        for plane in Frame.from_av(picture).planes:
            assert (plane == 20 * number).all()


@pytest.mark.parametrize(
    ("codec", "options"), [("libx264", {"qp": "0", "bf": "3"}), ("ffv1", {"slices": "4"})]
)
def test_encoders_see_every_frame_as_it_was(codec: str, options: dict[str, str]) -> None:
    """Of frames that are encoded one after the other in the same memory, each is its own."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = *LAYOUT.size, "yuv420p"  # type: ignore[attr-defined]
    encoder.time_base, encoder.thread_count = Fraction(1, 30), 4
    encoder.options = options
    pool, background = FramePool(), Frame.filled(LAYOUT, (1, 2, 3))
    source, packets, originals = np.random.default_rng(4), [], []
    for number in range(24):
        frame = pool.take(LAYOUT, background).frame
        for plane in frame.planes:
            plane[:] = source.integers(0, 256, plane.shape, np.uint8)
        originals.append([np.array(plane) for plane in frame.planes])
        packets += encoder.encode(frame.shown_at(number, Fraction(1, 30)).to_av())  # type: ignore[attr-defined]
        del frame, plane
    packets += encoder.encode(None)  # type: ignore[attr-defined]
    decoder = av.CodecContext.create("h264" if codec == "libx264" else codec, "r")
    decoder.extradata = encoder.extradata
    if codec == "ffv1":
        decoder.width, decoder.height, decoder.pix_fmt = *LAYOUT.size, "yuv420p"  # type: ignore[attr-defined]
    decoded = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]  # type: ignore[attr-defined]
    for frame, planes in zip(decoded, originals, strict=True):
        for one, other in zip(Frame.from_av(frame).planes, planes, strict=True):
            assert_array_equal(one, other)


def test_a_sink_on_another_thread_sees_its_frame_to_the_end() -> None:
    """What a thread looks at stays as it is, however many results are made meanwhile."""
    pool, background = FramePool(), Frame.filled(LAYOUT, (1, 2, 3))
    frames: list[Frame] = []
    ready, looked, wrong = threading.Semaphore(0), threading.Semaphore(8), []

    def look() -> None:
        for number in range(200):
            ready.acquire()
            frame = frames.pop(0)
            looked.release()
            wrong.extend([number for plane in frame.planes if not (plane == number % 251).all()])

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(200):
        looked.acquire()
        frame = pool.take(LAYOUT, background).frame
        for plane in frame.planes:
            plane[:] = number % 251
        frames.append(frame)
        del frame, plane
        ready.release()
    thread.join(timeout=30)
    assert not wrong
    assert not frames
