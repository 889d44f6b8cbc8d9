"""Where an engine computes: on a GPU only after a proof, and never so that the room is seen."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom import VirtualBackground
from greenroom.engine import device_selection
from greenroom.engine.device_proof import prove
from greenroom.engine.device_selection import MISSING_CUPY, reason_against_gpu
from greenroom.errors import DeviceError, ModelOutputError
from greenroom.settings import Device
from greenroom.testing import PersonSegmenter, PersonSource, count_room_pixels

if TYPE_CHECKING:
    from host_device import HostDevice, WatchedDevice

    from greenroom.media.frame import Frame

pytestmark = pytest.mark.usefixtures("no_thread_left")


def engine_on(device: str, **values: Any) -> VirtualBackground:
    """Return an engine whose settings name a device."""
    values = {"background": "blur", "on_failure": "cover"} | values
    return VirtualBackground(segmenter=PersonSegmenter(), device=device, **values)


def frames(count: int) -> list[Frame]:
    """Return frames of a room with somebody in it."""
    return list(PersonSource(frames=count))


def apart(one: Frame, other: Frame) -> int:
    """Return the largest difference in levels."""
    pairs = zip(one.planes, other.planes, strict=True)
    return max(int(np.abs(ours.astype(int) - theirs).max()) for ours, theirs in pairs)


def test_a_device_that_is_right_proves_it(device: WatchedDevice) -> None:
    """The same kernels give the same, and most of them take part in the proof."""
    prove(device)
    assert {"halve", "two_thirds", "fill", "mix", "guide_fit", "guided_matte", "blend"} <= {
        *device.launched
    }
    assert {"edge_maps", "look_up", "tone_rgb", "mirror", "enlarge", "spill", "difference"} <= {
        *device.launched
    }


@pytest.mark.parametrize("kernel", ["mix", "guide_apply", "blend"])
def test_a_device_that_is_wrong_does_not(
    kernel: str, device: WatchedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that does nothing is found, whatever its memory holds."""
    launch = device.launch

    def wrong(name: str, extent: tuple[int, ...], *arguments: Any) -> None:
        if name != kernel:
            launch(name, extent, *arguments)

    monkeypatch.setattr(device, "launch", wrong)
    with pytest.raises(DeviceError, match="something else than the processor: its"):
        prove(device)


@pytest.mark.parametrize("name", ["auto", "cuda", "tensorrt"])
def test_the_engine_s_work_is_on_the_gpu(name: str, fake_gpu: list[HostDevice]) -> None:
    """Settings choose the GPU, which is proved once for all engines of the process."""
    with engine_on(name) as first, engine_on(name) as second:
        for engine in (first, second):
            assert engine.compute == "host device"
            assert engine.ran_on.endswith("cpu; the rest on host device")
            assert engine.notices == ()
            assert engine.render(frames(1)[0]).valid
    assert len(fake_gpu) == 3
    assert all("blend" in device.launched for device in fake_gpu[1:])


@pytest.mark.parametrize("name", ["cpu", "openvino", "coreml", "directml"])
def test_other_devices_leave_it_alone(name: str, fake_gpu: list[HostDevice]) -> None:
    """Where another device is named no GPU is looked for."""
    with engine_on(name) as engine:
        assert engine.compute == "cpu"
        assert engine.notices == ()
    assert not fake_gpu


@pytest.mark.parametrize("fault", ["driver", "cupy", "device", "wrong", "unexpected", "hangs"])
@pytest.mark.usefixtures("fake_gpu")
def test_a_gpu_that_cannot_be_used(
    fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The processor does the work; a device that was named is told of with what to do."""
    ended = threading.Event()

    def fail(*_: object) -> None:
        raise DeviceError("it differs by 9 levels") if fault == "wrong" else KeyError("symbol")

    def missing() -> HostDevice:
        message = "CUDA device 0 failed: no CUDA-capable device is detected"
        raise DeviceError(message)

    match fault:
        case "driver":
            monkeypatch.setattr(device_selection, "has_driver", lambda: False)
        case "cupy":
            monkeypatch.setattr(device_selection, "has_cupy", lambda: False)
        case "device":
            monkeypatch.setattr(device_selection, "CupyDevice", missing)
        case "hangs":
            monkeypatch.setattr(device_selection, "_PROOF_TIMEOUT_S", 0.05)
            monkeypatch.setattr("greenroom.engine.worker._BUSY_CLOSE_S", 0.05)
            monkeypatch.setattr(device_selection, "prove", lambda _: ended.wait(20))
        case _:
            monkeypatch.setattr(device_selection, "prove", fail)
    words = {
        "driver": ("NVIDIA's driver is not installed", "nvidia-smi"),
        "cupy": ("CuPy is not installed", "pip install 'greenroom[cuda]'"),
        "device": ("no CUDA-capable device", "greenroom doctor"),
        "wrong": ("9 levels", "greenroom doctor"),
        "unexpected": ("symbol", "greenroom doctor"),
        "hangs": ("did not answer within 0.05 s", "greenroom doctor"),
    }[fault]
    with engine_on("auto") as automatic, engine_on("cuda") as named:
        for engine in (automatic, named):
            assert engine.compute == "cpu"
            assert engine.render(frames(1)[0]).valid
        assert automatic.notices == ()
        (notice,) = named.notices
    ended.set()
    assert all(word in notice for word in words)
    warnings = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert [one.getMessage() for one in warnings] == [notice]
    assert (reason_against_gpu() == MISSING_CUPY) == (fault == "cupy")


@pytest.mark.parametrize("makes_mattes", [True, False])
def test_the_processor_takes_over_with_auto(
    fake_gpu: list[HostDevice], caplog: pytest.LogCaptureFixture, *, makes_mattes: bool
) -> None:
    """A GPU that fails in use loses no frame, is told of, and has to prove itself again."""
    segmenters = [PersonSegmenter(), PersonSegmenter()]
    for segmenter in segmenters:
        segmenter.makes_mattes = makes_mattes
    with (
        VirtualBackground(segmenter=segmenters[0], background="color:teal") as engine,
        VirtualBackground(segmenter=segmenters[1], device="cpu", background="color:teal") as host,
    ):
        first, *rest = frames(4)
        engine.process(first)
        fake_gpu[-1].fails_at = "blend"
        for frame in rest:
            made, expected = engine.process(frame), host.process(frame)
            assert count_room_pixels(made) == 0
            assert apart(made, expected) == 0
        assert engine.compute == "cpu"
        (notice,) = engine.notices
        assert "the device is lost" in notice
        assert "The processor does its work from now on" in notice
        assert sum(notice in one.getMessage() for one in caplog.records) == 1
        proofs = len(fake_gpu)
        with engine_on("auto") as another:
            assert another.compute == "host device"
        assert len(fake_gpu) == proofs + 2


def test_what_nobody_foresaw_is_taken_over(
    fake_gpu: list[HostDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With auto any fault of the work on the GPU has the processor do it, if that can."""
    with engine_on("auto") as engine:
        one, two = frames(2)
        assert engine.render(one).valid
        monkeypatch.setattr(fake_gpu[-1], "upload", None)
        assert engine.render(two).valid
        assert engine.compute == "cpu"
        assert engine.notices[0].startswith("host device failed: TypeError: ")


@pytest.mark.usefixtures("fake_gpu")
def test_a_model_that_fails_does_not_cost_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that the model cannot do is covered, and the processor is not tried with it."""
    with engine_on("auto") as engine:
        one, two = frames(2)

        def fail(*_: object) -> None:
            message = "the model's answer is not a matte"
            raise ModelOutputError(message)

        with monkeypatch.context() as patch:
            patch.setattr(PersonSegmenter, "segment", fail)
            assert "not a matte" in engine.render(one).error
        assert engine.compute == "host device"
        assert engine.render(two).valid


def test_a_device_that_was_named_covers(fake_gpu: list[HostDevice]) -> None:
    """While a GPU that was named fails, frames are covered with the reason; then all goes on."""
    with engine_on("cuda") as engine:
        one, two, three = frames(3)
        assert engine.render(one).valid
        fake_gpu[-1].fails_at = "blend"
        covered = engine.render(two)
        assert not covered.valid
        assert "the device is lost" in covered.error
        assert count_room_pixels(covered.frame) == 0
        assert engine.compute == "host device"
        fake_gpu[-1].fails_at = None
        assert engine.render(three).valid


def test_a_device_that_hangs_covers(
    fake_gpu: list[HostDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that does not answer is given up as a model is; what it makes never leaves."""
    ended = threading.Event()
    with engine_on("auto") as engine:
        one, two, three = frames(3)
        launch = fake_gpu[-1].launch

        def hang(name: str, extent: tuple[int, ...], *arguments: Any) -> None:
            ended.wait(20)
            launch(name, extent, *arguments)

        assert engine.render(one).valid
        engine.update(timeout_s=0.1)
        monkeypatch.setattr(fake_gpu[-1], "launch", hang)
        for frame in (two, three):
            covered = engine.render(frame)
            assert not covered.valid
            assert count_room_pixels(covered.frame) == 0
        ended.set()


def test_the_device_changes_while_running(fake_gpu: list[HostDevice]) -> None:
    """Another device takes over between two frames, and gives the same."""
    segmenters = [PersonSegmenter(), PersonSegmenter()]
    for segmenter in segmenters:
        segmenter.makes_mattes = False
    with (
        VirtualBackground(segmenter=segmenters[0], device="cpu", background="beach") as engine,
        VirtualBackground(segmenter=segmenters[1], device="cpu", background="beach") as host,
    ):
        for frame, device in zip(
            frames(6), ["cpu", "cuda", "cuda", "auto", "cpu", "cpu"], strict=True
        ):
            if device != engine.settings.device:
                engine.update(device=Device(device))
                host.reset()
            assert (engine.compute == "cpu") == (device == "cpu")
            assert apart(engine.process(frame), host.process(frame)) <= 2
    assert len(fake_gpu) == 3
