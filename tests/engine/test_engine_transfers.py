"""What an engine on a device transfers: of a frame there, small planes and the result only."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
import pytest
from host_device import HostDevice, LazyDevice, compiler, placed, read

from greenroom import VirtualBackground
from greenroom.errors import DeviceError
from greenroom.media.deferred_frame import DeferredFrame
from greenroom.media.frame import Frame
from greenroom.media.surface_frame import EncoderFrame, SurfaceFrame
from greenroom.testing import PersonSegmenter, PersonSource

if TYPE_CHECKING:
    from host_device import WatchedDevice
    from numpy.typing import NDArray

# The working grid is half of it, rounded up, so that its float32 values are more bytes than luma.
SIZE: Final = 641, 545
LUMA: Final = SIZE[0] * SIZE[1]
FRAMES: Final = 4
LEVELS: Final = 2

pytestmark = pytest.mark.usefixtures("no_thread_left")


class Oval(PersonSegmenter):
    """Sees a soft person in the middle of the whole frame; keeps where its frames were."""

    def __init__(self, *, takes_device_frames: bool) -> None:
        super().__init__()
        self.makes_mattes = False
        self.takes_device_frames = takes_device_frames
        self.devices: set[object] = set()

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        self.devices.add(frame.device)
        width, height = frame.size
        y, x = np.mgrid[:64, :72]
        apart = np.hypot((x - 36) / 22, (y - 36) / 26) * (1 + 0.1 * height / width)
        return np.asarray(np.clip(4 * (1.2 - apart), 0, 1), np.float32)


def surfaces(count: int = FRAMES) -> list[SurfaceFrame]:
    """Return frames as a decoder leaves them, in memory that is the host device's."""
    made = []
    for number in range(count):
        picture = av.VideoFrame(*SIZE, "nv12")
        for plane in picture.planes:
            samples = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)  # type: ignore[call-overload]
            y, x = np.mgrid[: samples.shape[0], : samples.shape[1]]
            waves = 110 + 60 * np.sin((x + 3 * number) / 29) + 30 * np.cos(y / 17)
            samples[...] = waves.astype(np.uint8)
        picture.pts, picture.time_base = number, Fraction(1, 25)
        made.append(SurfaceFrame.of(picture))
    return made


def apart(one: Frame, other: Frame) -> int:
    """Return the largest difference of two frames' samples."""
    assert one.layout == other.layout
    pairs = zip(one.planes, other.planes, strict=True)
    return max(int(np.abs(ours.astype(int) - theirs).max()) for ours, theirs in pairs)


@pytest.mark.parametrize(
    ("takes", "values"),
    [
        (True, {"people": "main"}),
        (False, {"quality": "best", "low_light": 1.0, "background": "color:#2040ff"}),
    ],
    ids=["model there", "model on the host"],
)
def test_refined_mattes_need_no_whole_frame_on_the_host(
    device: WatchedDevice, values: dict[str, Any], *, takes: bool
) -> None:
    """Model input, noise and small planes of a decoder's frame come from the device."""
    if not isinstance(device, HostDevice):
        pytest.skip("the picture is in the host's memory")
    settings = {"background": "blur"} | values
    model = Oval(takes_device_frames=takes)
    with (
        VirtualBackground(segmenter=model, compute=device, **settings) as there,
        VirtualBackground(
            segmenter=Oval(takes_device_frames=False), device="cpu", **settings
        ) as host,
    ):
        for frame, other in zip(surfaces(), surfaces(), strict=True):
            device.moved.clear()
            found = there.process(frame)
            assert "_host" not in vars(frame)  # FFmpeg has downloaded nothing
            assert device.moved.count(LUMA) == 1  # the result
            assert apart(found, host.process(other)) <= LEVELS
    assert model.devices == {device if takes else None}


def test_frames_given_on_the_device(device: WatchedDevice) -> None:
    """A frame that is on the device gives what the same gives from the host's memory."""
    models = [Oval(takes_device_frames=takes) for takes in (True, True, False)]
    with (
        VirtualBackground(segmenter=models[0], compute=device, background="blur") as there,
        VirtualBackground(segmenter=models[1], device="cpu", background="blur") as carried,
        VirtualBackground(segmenter=models[2], device="cpu", background="blur") as host,
    ):
        for frame in surfaces(3):
            given = Frame(frame.planes, frame.layout).at(frame)
            expected = host.process(given)
            assert apart(there.process(given.uploaded(device)), expected) <= LEVELS
            assert apart(carried.process(given.uploaded(device)), expected) == 0
    assert [model.devices for model in models] == [{device}, {None}, {None}]


def test_a_deferred_frame_is_downloaded_once_it_is_looked_at(device: WatchedDevice) -> None:
    """It is the host's to all else, and goes back to its device without a transfer."""
    host = surfaces(1)[0]
    there = Frame(host.planes, host.layout, alpha=host.planes[0]).at(host).uploaded(device)
    deferred = DeferredFrame.of(there)
    assert deferred.uploaded(device) is there
    assert (deferred.device, deferred.pts, deferred.size) == (None, 0, SIZE)
    assert "_host" not in vars(deferred)
    assert apart(deferred.part((0, 0, 64, 64)), host.part((0, 0, 64, 64))) == 0
    assert deferred.alpha is not None
    np.testing.assert_array_equal(deferred.alpha, host.planes[0])
    np.testing.assert_array_equal(deferred.to_rgb(), host.to_rgb())


def test_mirrored_parts_of_a_device_know_their_whole(device: WatchedDevice) -> None:
    """A part that is mirrored there, and then downloaded, is the host's, and of the same whole."""
    host = surfaces(1)[0]
    there = host.uploaded(device) if isinstance(device, HostDevice) else None
    if there is None:
        there = Frame(tuple([placed(device, one) for one in host.planes]), host.layout)  # type: ignore[misc]
    box = (32, 16, 160, 200)
    found, expected = there.part(box).flipped().downloaded(), host.part(box).flipped()
    assert apart(found, expected) == 0
    assert found.origin is not None
    assert found.origin.whole is there
    assert (found.origin.box, found.origin.is_flipped) == (box, True)


@pytest.mark.parametrize("background", ["blur", "transparent"])
def test_results_stay_on_the_device_if_asked(background: str, device: WatchedDevice) -> None:
    """They are what is downloaded otherwise, and nothing of a frame's size is transferred."""
    model, other = Oval(takes_device_frames=True), Oval(takes_device_frames=True)
    settings: dict[str, Any] = {"background": background, "on_failure": "cover"}
    with (
        VirtualBackground(segmenter=model, compute=device, **settings) as there,
        VirtualBackground(segmenter=other, compute=type(device)(), **settings) as down,
    ):
        first, second, third = surfaces(3)
        for frame in (first, second):
            if isinstance(device, HostDevice):
                device.moved.clear()
            made = there.process(frame, leave=lambda made: made)
            assert made.device is device
            if isinstance(device, HostDevice):
                assert LUMA not in device.moved
            expected = down.process(frame)
            assert made.pts == expected.pts
            for plane, wanted in zip(made.all_planes, expected.all_planes, strict=True):
                np.testing.assert_array_equal(read(plane), wanted)  # type: ignore[arg-type]

        def fail(_: Frame) -> Frame:
            message = "no memory"
            raise DeviceError(message)

        covered = there.process(third, leave=fail)
        assert (covered.device, there.failures) == (None, 1)
        assert covered.layout == third.layout
        assert there.matte is None


@pytest.mark.skipif(compiler() is None, reason="the kernels need a compiler of C++")
def test_what_is_left_to_an_encoder_is_finished(device: WatchedDevice) -> None:
    """An encoder may read at once: kernels that work as late as they may have written all."""
    lazy = LazyDevice()
    with (
        VirtualBackground(segmenter=PersonSegmenter(), compute=lazy, background="blur") as late,
        VirtualBackground(segmenter=PersonSegmenter(), compute=device, background="blur") as eager,
    ):
        for frame in PersonSource(frames=2, size=(192, 108)):
            made = late.process(frame, leave=EncoderFrame.left)
            assert isinstance(made, EncoderFrame)
            assert apart(made, eager.process(frame)) == 0
    lazy.check_margins()
