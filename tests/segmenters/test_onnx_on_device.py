"""ONNX Runtime on the device of the frames: the same answers, without transfers or races."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from cards import card_of
from host_device import HostDevice, LazyDevice

from greenroom.cuda import calls
from greenroom.errors import DeviceError, ModelOutputError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.matte import NEGLIGIBLE_COVERAGE
from greenroom.segmenters.network import NetworkSegmenter, output_names
from greenroom.segmenters.runtimes import load_runtime
from greenroom.segmenters.runtimes.acceleration import NO_ACCELERATION, Acceleration
from greenroom.settings import Device
from greenroom.testing import PersonSource
from segmenters.fake_onnxruntime import CPU, CUDA, TENSORRT, Fail, opened

if TYPE_CHECKING:
    from pathlib import Path

    from host_device import WatchedDevice

    from greenroom.segmenters.card import Card
    from segmenters.conftest import SharedModel
    from segmenters.fake_onnxruntime import FakeOnnxRuntime, Session, Values

# Bytes of a transfer that is neither an input nor a matte: tables, the glance for cuts, and whether
# all is well.
SMALL: Final = 10_000
INPUT: Final = 4 * 3 * 320 * 180

pytestmark = pytest.mark.usefixtures("device")

COUNTING: Final = card_of(
    input={"name": "x", "longest": 8, "states": {"ri": "ro"}},
    output={"name": "y", "reading": "coverage"},
    task="matting",
)
RVM_STATES: Final = {f"r{number}i": f"r{number}o" for number in range(1, 5)}
MODELS: Final[dict[str, dict[str, Any]]] = {
    "rvm_mobilenetv3_from_tfjs_int8.onnx": {
        "input": {
            "name": "src",
            "longest": 320,
            "ratio": "downsample_ratio",
            "ratio_longest": 256,
            "states": RVM_STATES,
        },
        "output": {"name": "pha", "reading": "coverage", "foreground": "fgr"},
        "task": "matting",
    },
    "selfie_general.onnx": {"input": {"size": [256, 256]}, "output": {"reading": "coverage"}},
    "sinet_320.onnx": {
        "input": {"size": [320, 320], "layout": "NCHW"},
        "output": {
            "layout": "NCHW",
            "reading": "logits",
            "classes": ["background", "person"],
            "keep": ["person"],
        },
    },
}


class OnCuda(LazyDevice):
    """A lazy device that other libraries know as a GPU."""

    place = "cuda", 0


class Apart(HostDevice):
    """A device whose memory no library knows."""

    place = "", 0


def on(device: HostDevice, frame: Frame) -> Frame:
    """Upload a frame, and forget the transfers so far."""
    there = frame.uploaded(device)
    device.moved.clear()
    return there


class TestOnTheHost:
    """The library itself, on a device whose memory is the host's."""

    @pytest.mark.parametrize("name", MODELS)
    def test_mattes_are_those_through_numpy(self, name: str, shared_model: SharedModel) -> None:
        """They are equal, bit for bit, colours too; neither input nor matte is transferred."""
        path, card = shared_model(name), card_of(**MODELS[name])
        joined, apart = HostDevice(), Apart()
        segmenters = [_segmenter(card, path) for _ in range(2)]
        source = PersonSource((640, 360))
        # Of logits the margin is downloaded.
        most = SMALL if card.output.reading == "coverage" else 4 * 320 * 320
        for number in range(3):
            frame = source.frame(number)
            one, other = on(joined, frame), on(apart, frame)
            mattes: Any = [
                segmenter.segment_there(placed)
                for segmenter, placed in zip(segmenters, (one, other), strict=True)
            ]
            assert max(joined.moved) <= most
            if card.output.foreground:
                colours: Any = [
                    segmenter.foreground(placed)
                    for segmenter, placed in zip(segmenters, (one, other), strict=True)
                ]
                assert max(joined.moved) <= most
                ours, theirs = (frame.downloaded().planes for frame in colours)
                for plane, own in zip(ours, theirs, strict=True):
                    np.testing.assert_array_equal(plane, own)
            (found,), wanted = calls.on_host(mattes[0]), mattes[1]
            np.testing.assert_array_equal(found, wanted * (wanted > NEGLIGIBLE_COVERAGE))
            assert max(apart.moved) >= INPUT
        for segmenter in segmenters:
            segmenter.close()
        joined.check_margins()

    def test_numpy_and_devices_take_turns(
        self, shared_model: SharedModel, device: WatchedDevice
    ) -> None:
        """One segmenter takes frames of the host, of a device and of another one in any order."""
        name = "selfie_general.onnx"
        segmenter = _segmenter(card_of(**MODELS[name]), shared_model(name))
        other, source = HostDevice(), PersonSource((320, 240))
        expected = [segmenter.segment(source.frame(number)) for number in range(2)]
        for place in (device, None, other, device, None):
            for number, wanted in enumerate(expected):
                frame = source.frame(number)
                frame = frame if place is None else frame.uploaded(place)
                np.testing.assert_allclose(segmenter.segment(frame), wanted, atol=1e-3)
        segmenter.close()


class TestOnCuda:
    """A library with memory and streams of its own, by a fake, and a device as late as may be."""

    @pytest.mark.parametrize("way", ["stream", "graphs", "tensorrt", "another device"])
    def test_waits_for_kernels_and_they_for_it(
        self, library: FakeOnnxRuntime, tmp_path: Path, way: str
    ) -> None:
        """Each answer is of its own frame, and the library transfers nothing."""
        device = OnCuda()
        compute = OnCuda() if way == "another device" else device
        library.stream_at = _streams_of(compute)
        library.available = [TENSORRT, CUDA, CPU]
        segmenter = NetworkSegmenter(
            COUNTING,
            opened(
                tmp_path,
                Device.TENSORRT if way == "tensorrt" else Device.CUDA,
                Acceleration(graph=True) if way == "graphs" else NO_ACCELERATION,
                compute=compute,
            ),
        )
        library.compute = _brightness
        for number in range(6):
            level = 0.1 * number
            frame = _gray(level).uploaded(device)
            if number == 1:  # its states and tensors are there
                library.transfers.clear()
            matte: Any = segmenter.segment_there(frame)
            assert matte.device is device
            assert device.download(matte)[0].max() == pytest.approx(level, abs=0.01)
        assert not library.transfers
        waits = [
            "disable_synchronize_execution_providers" not in (one or {}) for _, one in library.runs
        ]
        assert all(waits) == (way != "stream")
        segmenter.close()

    def test_of_another_size(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """Memory of the last size is given up only when nothing uses it any more."""
        device = OnCuda()
        library.stream_at = _streams_of(device)
        segmenter = NetworkSegmenter(COUNTING, opened(tmp_path, Device.CUDA, compute=device))
        library.compute = _brightness
        for number, size in enumerate([(8, 6), (8, 4), (8, 6), (6, 8)]):
            matte: Any = segmenter.segment_there(_gray(0.2 * number, size).uploaded(device))
            assert matte.shape == size[::-1]
            assert device.download(matte)[0].max() == pytest.approx(0.2 * number, abs=0.01)
        segmenter.close()

    def test_has_the_number_of_the_device(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """The model goes to the GPU of the frames; those of another one come through the host."""
        device, first = OnCuda(), OnCuda()
        device.place = "cuda", 1
        library.stream_at = _streams_of(device)
        segmenter = NetworkSegmenter(COUNTING, opened(tmp_path, Device.CUDA, compute=device))
        library.compute = _brightness
        assert library.opened[0].providers[0][1] == {
            "device_id": "1",
            "user_compute_stream": str(device.stream),
        }
        for place, transfers in ((device, []), (first, [("upload", "cuda", (1, 6, 8, 3))])):
            segmenter.segment(_gray(0.3).uploaded(place))
            library.transfers.clear()
            matte = segmenter.segment(_gray(0.7).uploaded(place))
            assert library.transfers[:1] == transfers
            assert matte.max() == pytest.approx(0.7, abs=0.01)
        segmenter.close()

    def test_that_fails_if_any_will_do(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """The CPU takes over within the frame, through the host's memory."""
        device = OnCuda()
        library.stream_at = _streams_of(device)
        segmenter = NetworkSegmenter(COUNTING, opened(tmp_path, Device.AUTO, compute=device))
        library.compute = _brightness
        segmenter.segment_there(_gray(0.5).uploaded(device))
        library.fault = lambda provider, _: Fail("lost") if provider == CUDA else None
        matte = segmenter.segment_there(_gray(0.25).uploaded(device))
        assert isinstance(matte, np.ndarray)
        assert matte.max() == pytest.approx(0.25, abs=0.01)
        assert segmenter.info.device == "cpu"
        segmenter.close()

    def test_is_left_when_it_is_lost(
        self, library: FakeOnnxRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Frames of the host are segmented after a device that does not answer any more."""
        device = OnCuda()
        library.stream_at = _streams_of(device)
        segmenter = NetworkSegmenter(COUNTING, opened(tmp_path, Device.CUDA, compute=device))
        library.compute = _brightness
        segmenter.segment_there(_gray(0.5).uploaded(device))

        def lost() -> None:
            message = "lost"
            raise DeviceError(message)

        monkeypatch.setattr(device, "finish_kernels", lost)
        for level in (0.25, 0.75):
            assert segmenter.segment(_gray(level)).max() == pytest.approx(level, abs=0.01)
        segmenter.close()

    @pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1])
    def test_answers_are_checked_there(
        self, library: FakeOnnxRuntime, tmp_path: Path, value: float
    ) -> None:
        """One value that is no coverage is an error, after which a stream begins anew."""
        device = OnCuda()
        library.stream_at = _streams_of(device)
        segmenter = NetworkSegmenter(COUNTING, opened(tmp_path, Device.CUDA, compute=device))
        states = []

        def compute(given: Values, session: Session) -> Values:
            states.append(float(given["ri"].max()))
            outputs = _brightness(given, session)
            if is_wrong:
                outputs["y"][0, 3, 4, 0] = value
            return {**outputs, "ro": outputs["ro"] + given["ri"].max() + 1}

        library.compute = compute
        is_wrong = False
        frame = _gray(0.5).uploaded(device)
        segmenter.segment_there(frame)
        is_wrong = True
        with pytest.raises(ModelOutputError, match="not a matte"):
            segmenter.segment_there(frame)
        is_wrong = False
        segmenter.segment_there(frame)
        assert states[-1] == 0
        segmenter.close()


def _segmenter(card: Card, path: Path) -> NetworkSegmenter:
    runtime = load_runtime(
        "onnx", path, outputs=output_names(card), states=RVM_STATES if "rvm" in path.name else {}
    )
    return NetworkSegmenter(card, runtime)


def _streams_of(device: LazyDevice) -> Any:
    return lambda address: device.stream_at(address) if address else None


def _gray(level: float, size: tuple[int, int] = (8, 6)) -> Frame:
    value = round(255 * level)
    return Frame.filled(Layout(*size, "gbrp", Colour(0, 2)), (value, value, value))


def _brightness(given: Values, _: Any) -> Values:
    """Return the first channel as the matte."""
    return {"y": given["x"][..., :1] / 1.0, "ro": np.zeros((1, 3, 4, 2), np.float32)}
