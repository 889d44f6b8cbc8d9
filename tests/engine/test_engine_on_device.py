"""The engine with its work on a device: the same pictures, and never the room."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from cards import card_of
from host_device import LazyDevice

from greenroom import VirtualBackground
from greenroom.engine.demo import demo_source
from greenroom.errors import ProcessingError
from greenroom.matting import Cadence
from greenroom.media.colour import COVER_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.segmenters.network import NetworkSegmenter, example_inputs, output_names
from greenroom.segmenters.runtimes import load_runtime
from greenroom.segmenters.runtimes.runtime import Runtime, TensorInfo
from greenroom.segmenters.runtimes.states import HostStates
from greenroom.settings import Settings
from greenroom.sources import VideoSource
from greenroom.testing import PersonSegmenter, PersonSource, count_room_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from host_device import WatchedDevice
    from numpy.typing import NDArray

    from greenroom.segmenters import Segmenter
    from greenroom.segmenters.runtimes.runtime import Fill
    from greenroom.segmenters.runtimes.states import States

    Make = Callable[..., Path]

SHARED: Final = Path(__file__).parents[3] / "shared"
RVM: Final = SHARED / "models/rvm_mobilenetv3_from_tfjs_int8.onnx"
CLIP: Final = SHARED / "data/clips/bbaf2n.mp4"
VIEWS: Final = frozenset({"after", "before", "matte"})
# Levels by which rounding on the way may differ.
LEVELS: Final = 2

pytestmark = pytest.mark.usefixtures("no_thread_left")


class SoftSegmenter(PersonSegmenter):
    """Sees a soft person in the middle; keeps the devices that it saw frames of."""

    def __init__(self, *, makes_mattes: bool = True) -> None:
        super().__init__()
        self.makes_mattes = makes_mattes
        self.devices: set[object] = set()

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        self.devices.add(frame.device)
        y, x = np.mgrid[:72, :128]
        apart = np.hypot((x - 64) / 26, (y - 40) / 30)
        return np.asarray(np.clip(4 * (1.2 - apart), 0, 1), np.float32)


def pictures(format_: Format, count: int = 3, size: tuple[int, int] = (322, 182)) -> list[Frame]:
    """Return frames of a room with detail, of an even or odd size."""
    layout = Layout(*size, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))
    made = []
    for number in range(count):
        frame = Frame.filled(layout, (120, 90, 60))
        for index, plane in enumerate(frame.planes):
            y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
            waves = 110 + 60 * np.sin((x + 3 * number) / (9 + index)) + 30 * np.cos(y / 7)
            plane[...] = np.clip(waves, 16, 235).astype(np.uint8)
        made.append(frame.shown_at(number, Fraction(1, 25)))
    return made


def difference(one: Frame, other: Frame) -> int:
    """Return the largest difference of two frames' samples, alpha included."""
    assert one.layout == other.layout
    assert one.device is None
    pairs = zip(one.all_planes, other.all_planes, strict=True)
    return max(int(np.abs(ours.astype(int) - theirs).max()) for ours, theirs in pairs)


def check_alike(
    frames: list[Frame],
    device: WatchedDevice,
    make: Callable[[], Segmenter] = SoftSegmenter,
    **values: Any,
) -> None:
    """Check that frames, views and mattes of two engines differ by rounding at most."""
    with (
        VirtualBackground(segmenter=make(), device="cpu", **values) as host,
        VirtualBackground(segmenter=make(), compute=device, **values) as there,
    ):
        for frame in frames:
            expected, found = host.render(frame, VIEWS), there.render(frame, VIEWS)
            assert expected.valid, expected.error
            assert found.valid, found.error
            assert difference(found.frame, expected.frame) <= LEVELS
            assert found.frame.pts == expected.frame.pts
            assert found.views.keys() == expected.views.keys()
            for name, view in expected.views.items():
                assert difference(found.views[name], view) <= LEVELS, name
            assert (there.matte is None) == (host.matte is None)
            if host.matte is not None and there.matte is not None:
                assert np.abs(there.matte.astype(int) - host.matte).max() <= LEVELS


SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "colour": {"background": "color:#204060"},
    "blur": {"background": "blur"},
    "pixelate": {"background": "pixelate"},
    "grayscale": {"background": "grayscale"},
    "transparent": {"background": "transparent"},
    "mirror": {"background": "color:#204060", "mirror": True},
    "framing": {"background": "blur", "framing": "follow"},
    "low light": {"background": "blur", "low_light": 1.0},
    "light": {"background": "color:#f0c080", "light_wrap": 0.8, "match_light": 0.7},
    "edges": {"background": "color:#ffffff", "clean_edges": False},
    "threshold": {"background": "color:#204060", "threshold": 0.4, "edge_shift": 1.0},
    "none": {"background": "none"},
}


@pytest.mark.parametrize("format_", ["yuv420p", "yuv444p", "gbrp"])
@pytest.mark.parametrize("name", SETTINGS)
def test_pictures_are_those_of_the_processor(
    name: str, format_: Format, device: WatchedDevice
) -> None:
    """Every background and effect gives the same picture, views and matte up to rounding."""
    check_alike(pictures(format_), device, **SETTINGS[name])


@pytest.mark.parametrize("size", [(321, 181), (641, 483), (33, 19)])
def test_odd_sizes(size: tuple[int, int], device: WatchedDevice) -> None:
    """Frames of odd sizes give the same, mirrored and blurred."""
    check_alike(pictures("yuv420p", size=size), device, background="blur", mirror=True)


def test_picture_and_overlay(make_picture: Make, device: WatchedDevice) -> None:
    """A picture behind and one in front give the same, also over a transparent background."""
    logo = make_picture(np.full((20, 30, 4), (200, 40, 90, 140), np.uint8))
    check_alike(pictures("yuv420p"), device, background="beach", overlay=str(logo))
    check_alike(pictures("yuv420p"), device, background="transparent", overlay=str(logo))


@pytest.mark.parametrize(
    "values",
    [
        {"background": "blur"},
        {"background": "color:#204060", "threshold": 0.5},
        {"background": "color:#204060", "edge_shift": 0.8, "low_light": 1.0},
        {"background": "transparent", "edge_softness": 1.0},
        {"background": "blur", "quality": "fast"},
        {"background": "blur", "quality": "best", "people": "main"},
        {"background": "blur", "keep_region": "5,5,40,40"},
    ],
    ids=str,
)
def test_refined_mattes(values: dict[str, Any], device: WatchedDevice) -> None:
    """A matte that is refined from a coarse one by the frame's edges gives the same."""
    frames = pictures("yuv420p", count=8)
    check_alike(frames, device, lambda: SoftSegmenter(makes_mattes=False), **values)
    is_guided = "edge_softness" not in values and values.get("quality") != "fast"
    assert ("guide_apply" in device.launched) == is_guided


class WrongSegmenter(SoftSegmenter):
    """Sees a person, or nobody, and from a frame on something else."""

    def __init__(self, wrong: str, *, sees: bool, makes_mattes: bool) -> None:
        super().__init__(makes_mattes=makes_mattes)
        self._wrong, self._sees, self._random = wrong, sees, np.random.default_rng(1)
        self.is_wrong = False

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        right = super().segment(frame)
        if not self.is_wrong:
            return right if self._sees else np.zeros_like(right)
        wrong = {
            "ones": np.ones_like(right),
            "unsure": np.full_like(right, 0.5),
            "noise": self._random.random(right.shape, np.float32),
            "inverted": 1 - right,
            "room": right,
        }
        return wrong[self._wrong]


@pytest.mark.parametrize("makes_mattes", [True, False], ids=["mattes", "refined"])
@pytest.mark.parametrize("wrong", ["ones", "unsure", "noise", "inverted", "room"])
def test_refused_is_what_the_processor_refuses(
    wrong: str, makes_mattes: bool, device: WatchedDevice
) -> None:
    """Wrong answers, and a known room that is taken for somebody, show nothing on a device."""
    engines: list[VirtualBackground] = []
    segmenters = []
    for compute in (None, device):
        segmenter = WrongSegmenter(wrong, sees=wrong != "room", makes_mattes=makes_mattes)
        segmenters.append(segmenter)
        engines.append(VirtualBackground(segmenter=segmenter, compute=compute, background="blur"))
    host, there = engines
    still = pictures("yuv420p", count=1)[0]
    with host, there:
        host.cadence = there.cadence = Cadence.EVERY
        for number in range(24):
            frame = still.shown_at(number, Fraction(1, 25))
            for segmenter in segmenters:
                segmenter.is_wrong = number >= 14
            expected, found = host.process_matte(frame), there.process_matte(frame)
            assert difference(found, expected) <= LEVELS
            assert found.planes[0].any() == expected.planes[0].any()
            if number >= 14:
                assert not found.planes[0].any() or (wrong == "room" and not makes_mattes)
            elif wrong != "room" and number > 2:
                assert found.planes[0].any()
    assert {"compare_cells", "weigh"} <= {*device.launched} or makes_mattes


def test_what_is_learned_goes_on_with_other_settings(device: WatchedDevice) -> None:
    """A change of settings keeps what was learned on the device, and gives the same."""

    def make() -> Segmenter:
        return SoftSegmenter(makes_mattes=False)

    with (
        VirtualBackground(segmenter=make(), background="blur") as host,
        VirtualBackground(segmenter=make(), compute=device, background="blur") as there,
    ):
        for number, frame in enumerate(pictures("yuv420p", count=8)):
            for engine in (host, there):
                if number == 4:
                    engine.update(smoothing=0.3, edge_shift=0.5)
            assert difference(there.process(frame), host.process(frame)) <= LEVELS
        ours, theirs = there.clean_plate, host.clean_plate
    assert ours is not None
    assert theirs is not None
    assert theirs.seen.max() >= 3
    np.testing.assert_array_equal(ours.seen > 0, theirs.seen > 0)
    assert np.abs(ours.planes - theirs.planes).max() < 1


def test_segmenters_of_users_see_frames_of_the_host(device: WatchedDevice) -> None:
    """A segmenter that knows nothing of devices gets planes of NumPy's."""
    segmenter = SoftSegmenter()
    with VirtualBackground(segmenter=segmenter, compute=device, background="blur") as engine:
        engine.process(pictures("yuv420p")[0])
    assert segmenter.devices == {None}
    assert "blend" in device.launched


@pytest.mark.parametrize("kernel", ["halve", "upsample", "blend", "edge_maps", "compare_cells"])
def test_a_device_that_fails_shows_the_cover(kernel: str, device: WatchedDevice) -> None:
    """Whatever fails on the device, what leaves is the cover, and says why; then all goes on."""
    source = PersonSource(frames=3)
    frames = list(source)
    with VirtualBackground(
        segmenter=PersonSegmenter(), compute=device, background="blur", on_failure="cover"
    ) as engine:
        assert engine.render(frames[0]).valid
        device.fails_at = kernel
        covered = engine.render(frames[1])
        assert not covered.valid
        assert "lost" in covered.error
        assert count_room_pixels(covered.frame) == 0
        assert covered.frame.to_rgb().reshape(-1, 3).mean(0) == pytest.approx(COVER_RGB, abs=2)
        assert engine.matte is None
        assert count_room_pixels(engine.process(frames[1])) == 0
        device.fails_at = None
        assert engine.render(frames[2]).valid


def test_a_device_that_fails_is_an_error_without_a_cover(device: WatchedDevice) -> None:
    """With the setting ``stop`` the error says what the device said."""
    device.fails_at = "upsample"
    frame = PersonSource(frames=1).frame(0)
    with (
        VirtualBackground(segmenter=PersonSegmenter(), compute=device) as engine,
        pytest.raises(ProcessingError, match="lost"),
    ):
        engine.process(frame)


def test_what_leaves_does_not_change(device: WatchedDevice) -> None:
    """A picture that somebody holds is not written again by later frames."""
    frames = pictures("yuv420p", count=6)
    with VirtualBackground(segmenter=SoftSegmenter(), compute=device, background="blur") as engine:
        held = [engine.render(frame).frame for frame in frames]
        copies = [frame.copy() for frame in held]
        for frame in frames:
            engine.render(frame)
        assert all(difference(*pair) == 0 for pair in zip(held, copies, strict=True))
        assert len({frame.planes[0].ctypes.data for frame in held}) == len(held)


@pytest.mark.parametrize("name", ["blur", "transparent", "low light", "light"])
def test_streams_wait_for_each_other(name: str, device: WatchedDevice) -> None:
    """A device whose streams work as late as they may gives exactly what one gives at once."""
    lazy = LazyDevice()
    frames = pictures("yuv420p", count=6)
    with (
        VirtualBackground(segmenter=SoftSegmenter(), compute=device, **SETTINGS[name]) as eager,
        VirtualBackground(segmenter=SoftSegmenter(), compute=lazy, **SETTINGS[name]) as late,
    ):
        for frame in frames:
            expected, found = eager.render(frame, VIEWS), late.render(frame, VIEWS)
            assert difference(found.frame, expected.frame) == 0
            for view, wanted in expected.views.items():
                assert difference(found.views[view], wanted) == 0
    lazy.check_margins()


def test_demonstration_with_the_default_model(device: WatchedDevice) -> None:
    """The demonstration's clip through the default model gives the same, within two levels."""
    settings = Settings(background="blur", device="cpu")
    with (
        VirtualBackground(settings) as host,
        VirtualBackground(settings, compute=device) as there,
    ):
        for frame in demo_source(Settings(), 12):
            assert difference(there.process(frame), host.process(frame)) <= LEVELS


class Colours(Runtime):
    """A network that remembers: mattes and colours from its input and the last answer."""

    def __init__(self, kind: str, *, planar: bool) -> None:
        self.name, self.device, self.threads, self.path = "fake", "cpu", 1, Path("fake.onnx")
        self._planar = planar
        self.states = {"state": "next"}
        shape = (1, 3, None, None) if planar else (1, None, None, 3)
        self.inputs = (
            TensorInfo("picture", shape, np.dtype(kind)),
            TensorInfo("state", (1, None, None, 1), np.dtype(np.float32)),
        )
        matte = TensorInfo("pha", (1, None, None, 1), np.dtype(np.float32))
        self.outputs = (matte, TensorInfo("fgr", (1, None, None, 3), np.dtype(np.float32)), matte)

    def run(
        self,
        picture: str,  # noqa: ARG002 - the only one
        shape: tuple[int, ...],
        fill: Fill,
        others: Mapping[str, NDArray[Any]],  # noqa: ARG002 - there are none
        states: States | None = None,
    ) -> Mapping[str, NDArray[Any]]:
        """See `Runtime.run`."""
        kept = HostStates.checked(states)
        assert kept is not None
        tensor = np.zeros(shape, self.inputs[0].dtype)
        fill(tensor)
        seen = tensor[0].astype(np.float32)
        seen = np.moveaxis(seen, 0, 2) if self._planar else seen
        seen = seen / 255 if self.inputs[0].dtype == np.uint8 else seen
        rows, columns, _ = seen.shape
        y, x = np.mgrid[:rows, :columns]
        apart = np.hypot((x - columns / 2) / columns, (y - rows / 2) / rows)
        matte = np.clip(8 * (0.35 - apart) + 0.05 * seen[..., 0], 0, 1)[None, ..., None]
        if kept.values["state"].shape == matte.shape:
            matte = (matte + kept.values["state"]) / 2
        matte = matte.astype(np.float32)
        outputs = {"pha": matte, "fgr": (0.7 * seen + 0.1)[None], "next": matte}
        kept.take(outputs)
        return outputs

    def close(self) -> None:
        """See `Runtime.close`."""


@pytest.mark.parametrize("format_", ["yuv420p", "gbrp"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("kind", ["f4", "f2", "u1"])
def test_networks_that_make_mattes_and_colours(
    kind: str, planar: bool, format_: Format, device: WatchedDevice
) -> None:
    """A network's input, states and colours on the device give what they give without one."""
    card = card_of(
        input={"longest": 160, "layout": "NCHW" if planar else "NHWC", "states": {"state": "next"}},
        output={"name": "pha", "reading": "coverage", "foreground": "fgr"},
        task="matting",
    )

    def make() -> Segmenter:
        return NetworkSegmenter(card, Colours(kind, planar=planar))

    check_alike(pictures(format_, count=4), device, make, background="color:#ffffff")
    assert {"difference", "add_enlarged", "fill" if (kind, planar) == ("f4", False) else "mix"} <= {
        *device.launched
    }


@pytest.mark.parametrize("source", ["demonstration", "clip"])
@pytest.mark.parametrize("background", ["blur", "color:#2040ff"])
def test_robust_video_matting(source: str, background: str, device: WatchedDevice) -> None:
    """A model that makes mattes and colours gives the same from end to end, within two levels."""
    pytest.importorskip("onnxruntime")
    if not RVM.exists() or not CLIP.exists():
        pytest.skip("the weights of Robust Video Matting, or the clips, are not at hand")
    states = {f"r{number}i": f"r{number}o" for number in range(1, 5)}
    card = card_of(
        input={
            "name": "src",
            "longest": 512,
            "ratio": "downsample_ratio",
            "ratio_longest": 256,
            "states": states,
        },
        output={"name": "pha", "reading": "coverage", "foreground": "fgr"},
        task="matting",
    )

    def make() -> Segmenter:
        example = example_inputs(card, RVM)
        runtime = load_runtime(
            "onnx", RVM, outputs=output_names(card), states=states, example=example
        )
        return NetworkSegmenter(card, runtime)

    if source == "demonstration":
        frames = list(demo_source(Settings(), 6))
    else:
        clip = VideoSource(str(CLIP), Settings())
        frames = list(islice(clip, 6))
        clip.close()
    check_alike(frames, device, make, background=background)
