"""ONNX Runtime by IO binding: the same answers, in fixed memory, with states on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cards import card_of

from greenroom import VirtualBackground
from greenroom.errors import ModelOutputError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.segmenters.network import NetworkSegmenter
from greenroom.segmenters.runtimes import load_runtime
from greenroom.segmenters.runtimes.states import HostStates
from greenroom.settings import Device
from segmenters.fake_onnxruntime import CUDA, Fail, InvalidArgument, opened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.segmenters.runtimes.states import States
    from segmenters.conftest import MakeOnnx, SharedModel
    from segmenters.fake_onnxruntime import FakeOnnxRuntime

ort = pytest.importorskip("onnxruntime", reason="onnxruntime, of the extra onnx")

CARD = card_of(input={"name": "x", "longest": 8, "states": {"ri": "ro"}}, output={"name": "y"})
ONES = np.ones((1, 6, 8, 3), np.float32)
RVM = "rvm_mobilenetv3_from_tfjs_int8.onnx"
RVM_STATES = {"r1i": "r1o", "r2i": "r2o", "r3i": "r3o", "r4i": "r4o"}


def ran(
    runtime: Any,
    values: NDArray[Any],
    others: Mapping[str, NDArray[Any]] | None = None,
    states: States | None = None,
) -> dict[str, NDArray[Any]]:
    """Run a picture through a runtime, and return copies of its outputs."""

    def fill(tensor: NDArray[Any]) -> None:
        tensor[...] = values

    outputs = runtime.run(runtime.inputs[0].name, values.shape, fill, others or {}, states)
    return {name: np.array(output) for name, output in outputs.items()}


def plain_session(path: Path) -> Any:
    """Open a session of the library that is fed with NumPy arrays."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def accumulating(make_onnx: MakeOnnx) -> Path:
    """Write a recurrent model: ``ro`` is ``ri + x``, ``y`` twice that."""
    return make_onnx(
        [("Add", ["ri", "x"], ["ro"], {}), ("Add", ["ro", "ro"], ["y"], {})],
        {"x": [1, "h", "w", 3], "ri": [1, "a", "b", 3]},
        {"y": [1, "h", "w", 3], "ro": [1, "h", "w", 3]},
    )


class TestAnswers:
    """Answers of models."""

    @pytest.mark.parametrize(
        "name",
        ["sinet_320.onnx", "pphumanseg_lite_portrait_398x224.onnx", "selfie_general.onnx"],
    )
    def test_are_the_librarys(
        self, name: str, shared_model: SharedModel, rng: np.random.Generator
    ) -> None:
        """They are equal, bit for bit, to those of a session that is fed with NumPy arrays."""
        path = shared_model(name)
        session = plain_session(path)
        (given,) = session.get_inputs()
        runtime = load_runtime("onnx", path)
        for _ in range(3):
            values = rng.random(given.shape).astype(np.float32)
            expected = session.run(None, {given.name: values})
            for wanted, found in zip(expected, ran(runtime, values).values(), strict=True):
                np.testing.assert_array_equal(found, wanted)
        runtime.close()

    def test_of_a_recurrent_model(
        self, shared_model: SharedModel, rng: np.random.Generator
    ) -> None:
        """RVM's too, over frames, a reset, and another size with a ratio of its own."""
        path = shared_model(RVM)
        session = plain_session(path)
        runtime = load_runtime("onnx", path, outputs=_rvm_outputs(), states=RVM_STATES)
        states = runtime.new_states()
        for shape, ratio in (((1, 96, 128, 3), 1.0), ((1, 128, 96, 3), 0.5), ((1, 96, 128, 3), 1)):
            others = {"downsample_ratio": np.array(ratio, np.float32)}
            for _ in range(2):
                states.reset()
                kept = {
                    name: np.zeros((1, 1, 1, channels), np.float32)
                    for name, channels in zip(RVM_STATES, (16, 20, 40, 64), strict=True)
                }
                for _ in range(3):
                    picture = rng.random(shape).astype(np.float32)
                    expected = dict(
                        zip(
                            _rvm_outputs(),
                            session.run(_rvm_outputs(), {"src": picture, **others, **kept}),
                            strict=True,
                        )
                    )
                    kept = {name: expected[output] for name, output in RVM_STATES.items()}
                    found = ran(runtime, picture, others, states)
                    assert set(found) == {"pha", "fgr"}
                    np.testing.assert_array_equal(found["pha"], expected["pha"])
                    np.testing.assert_array_equal(found["fgr"], expected["fgr"])
        runtime.close()

    def test_whose_size_depends_on_the_picture(self, make_onnx: MakeOnnx) -> None:
        """An output that is of another size each time is right each time."""
        path = make_onnx(
            [("NonZero", ["x"], ["y"], {})], {"x": [1, "h", "w", 3]}, {"y": ("INT64", [4, "n"])}
        )
        runtime = load_runtime("onnx", path)
        for count in (3, 3, 1, 5, 5, 2):
            values = np.zeros((1, 2, 3, 3), np.float32)
            values.reshape(-1)[:count] = 1
            (answer,) = ran(runtime, values).values()
            np.testing.assert_array_equal(answer, np.nonzero(values))
        runtime.close()

    def test_are_read_only_and_of_the_last_run(
        self, make_onnx: MakeOnnx, rng: np.random.Generator
    ) -> None:
        """They lie in the same memory each time, which the caller cannot write."""
        runtime = load_runtime("onnx", accumulating(make_onnx), states={"ri": "ro"})
        states = runtime.new_states()
        addresses = set()
        for _ in range(5):
            picture = rng.random((1, 5, 7, 3)).astype(np.float32)
            (answer,) = runtime.run("x", picture.shape, _filler(picture), {}, states).values()
            addresses.add(answer.ctypes.data)
            assert not answer.flags.writeable
        assert len(addresses) == 1
        runtime.close()


class TestStates:
    """Recurrent states."""

    def test_are_not_copied(
        self, make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
    ) -> None:
        """A run reads them where the last one wrote them; none becomes a NumPy array."""
        runtime = load_runtime(
            "onnx", accumulating(make_onnx), outputs=["y", "ro"], states={"ri": "ro"}
        )
        states = runtime.new_states()
        read, written, arrays = [], [], []
        bind_input, bind_output = ort.IOBinding.bind_ortvalue_input, ort.IOBinding.get_outputs
        to_numpy = ort.OrtValue.numpy

        def seen_input(binding: Any, name: str, value: Any) -> None:
            if name == "ri":
                read.append(value.data_ptr())
            bind_input(binding, name, value)

        def seen_outputs(binding: Any) -> list[Any]:
            values: list[Any] = bind_output(binding)
            written.append(values[1].data_ptr())
            return values

        def seen_array(value: Any) -> NDArray[Any]:
            arrays.append(value.data_ptr())
            array: NDArray[Any] = to_numpy(value)
            return array

        monkeypatch.setattr(ort.IOBinding, "bind_ortvalue_input", seen_input)
        monkeypatch.setattr(ort.IOBinding, "get_outputs", seen_outputs)
        monkeypatch.setattr(ort.OrtValue, "numpy", seen_array)
        total = np.zeros((1, 5, 7, 3), np.float32)
        for _ in range(6):
            picture = rng.random(total.shape).astype(np.float32)
            total = total + picture
            np.testing.assert_array_equal(ran(runtime, picture, states=states)["y"], total + total)
        assert read[1:] == written[:-1]
        assert not set(arrays) & set(written)
        runtime.close()

    def test_of_two_streams(self, make_onnx: MakeOnnx) -> None:
        """Streams of one model do not share them."""
        runtime = load_runtime("onnx", accumulating(make_onnx), states={"ri": "ro"})
        streams = [runtime.new_states(), runtime.new_states()]
        ones = np.ones((1, 2, 2, 3), np.float32)
        sums = [
            float(ran(runtime, ones * (1 + number), states=streams[number])["y"].max())
            for _ in range(3)
            for number in range(2)
        ]
        assert sums == [2, 4, 4, 8, 6, 12]
        runtime.close()

    def test_survive_another_size(self, make_onnx: MakeOnnx) -> None:
        """A stream that changes its size without a reset goes on if the model can."""
        path = make_onnx(
            [("ReduceMax", ["x"], ["m"], {}), ("Add", ["ri", "m"], ["ro"], {}),
             ("Add", ["x", "ro"], ["y"], {})],
            {"x": [1, "h", "w", 3], "ri": [1, "a", "b", 1]},
            {"y": [1, "h", "w", 3], "ro": [1, "a", "b", 1]},
        )  # fmt: skip
        runtime = load_runtime("onnx", path, states={"ri": "ro"})
        states = runtime.new_states()
        sums = [
            float(ran(runtime, np.ones((1, size, size, 3), np.float32), states=states)["y"].max())
            for size in (2, 2, 3, 3, 2, 2)
        ]
        assert sums == [2, 3, 4, 5, 6, 7]
        runtime.close()

    def test_of_another_runtime(self, make_onnx: MakeOnnx) -> None:
        """They are refused."""
        runtime = load_runtime("onnx", accumulating(make_onnx), states={"ri": "ro"})
        with pytest.raises(TypeError, match="HostStates were made by another runtime"):
            ran(runtime, np.ones((1, 2, 2, 3), np.float32), states=HostStates({}, {}))
        runtime.close()


class TestDevice:
    """A device with memory of its own, by a fake of the library."""

    def test_only_the_picture_and_the_matte_are_copied(
        self, library: FakeOnnxRuntime, tmp_path: Path
    ) -> None:
        """A run uploads the picture once and downloads one output; states stay there."""
        runtime = opened(tmp_path, Device.CUDA)
        assert runtime.device == "cuda"
        states = runtime.new_states()
        for number in range(5):
            library.transfers.clear()
            answer = ran(runtime, ONES, states=states)["y"]
            assert float(answer.max()) == 1 + number
            assert library.transfers == [
                ("upload", "cuda", (1, 6, 8, 3)),
                ("download", "cuda", (1, 6, 8, 1)),
            ]

    @pytest.mark.parametrize("fault", [Fail("CUDA error 2: out of memory"), RuntimeError("lost")])
    def test_that_fails(self, library: FakeOnnxRuntime, tmp_path: Path, fault: Exception) -> None:
        """A named device that fails is a fault of each frame until it works again."""
        runtime = opened(tmp_path, Device.CUDA)
        states = runtime.new_states()
        ran(runtime, ONES, states=states)
        library.fault = lambda provider, _: fault if provider == CUDA else None
        for _ in range(2):
            with pytest.raises(ModelOutputError, match=rf"{fault} \(device 'cuda'\)"):
                ran(runtime, ONES, states=states)
        assert (runtime.device, len(library.opened)) == ("cuda", 1)
        library.fault = lambda *_: None
        states.reset()
        assert float(ran(runtime, ONES, states=states)["y"].max()) == 1

    @pytest.mark.usefixtures("every_matte_believed")
    def test_that_fails_shows_the_cover(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """A frame for which the device has no memory is covered, and the reason told."""
        library.compute = _all_person
        segmenter = NetworkSegmenter(CARD, opened(tmp_path, Device.CUDA))
        with VirtualBackground(segmenter=segmenter, background="color:#000000") as vb:
            assert vb.render(frame_of((200, 200, 200))).valid
            library.fault = lambda *_: Fail("out of memory")
            covered = vb.render(frame_of((200, 200, 200)))
            assert not covered.valid
            assert "out of memory (device 'cuda')" in covered.error
            assert covered.frame.to_rgb().max() < 3
            library.fault = lambda *_: None
            assert vb.render(frame_of((200, 200, 200))).valid

    def test_that_fails_if_any_will_do(
        self, library: FakeOnnxRuntime, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """By auto the CPU takes over within the same frame, from first states, and stays."""
        runtime = opened(tmp_path, Device.AUTO)
        assert runtime.device == "cuda"
        states = runtime.new_states()
        for number in range(2):
            assert float(ran(runtime, ONES, states=states)["y"].max()) == 1 + number
        library.fault = lambda provider, _: Fail("lost") if provider == CUDA else None
        for number in range(3):
            assert float(ran(runtime, ONES, states=states)["y"].max()) == 1 + number
        assert (runtime.device, len(library.opened)) == ("cpu", 2)
        (record,) = caplog.records
        assert "lost (device 'cuda'); it runs on the CPU from now on" in record.message

    def test_that_cannot_be_replaced(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """If the CPU cannot run it either, each frame is a fault."""
        runtime = opened(tmp_path, Device.AUTO)
        library.fault = lambda *_: Fail("broken")
        for _ in range(2):
            with pytest.raises(ModelOutputError, match=r"broken$"):
                ran(runtime, ONES, states=runtime.new_states())
            assert runtime.device == "cpu"

    def test_wrong_inputs_are_no_fault_of_it(
        self, library: FakeOnnxRuntime, tmp_path: Path
    ) -> None:
        """A picture that the model does not take does not make the CPU take over."""
        runtime = opened(tmp_path, Device.AUTO)
        library.fault = lambda *_: InvalidArgument("Got invalid dimensions")
        with pytest.raises(ModelOutputError, match=r"invalid dimensions$"):
            ran(runtime, ONES, states=runtime.new_states())
        assert (runtime.device, len(library.opened)) == ("cuda", 1)

    def test_is_told_of_after_it_was_left(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """What a segmenter says of itself is what ran last."""
        library.compute = _all_person
        segmenter = NetworkSegmenter(CARD, opened(tmp_path, Device.AUTO))
        segmenter.segment(frame_of((9, 9, 9)))
        assert segmenter.info.device == "cuda"
        library.fault = lambda provider, _: Fail("lost") if provider == CUDA else None
        segmenter.segment(frame_of((9, 9, 9)))
        assert segmenter.info.device == "cpu"

    def test_is_tried_with_states(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """Before the first frame it has run from zeros and from states of their later size."""
        opened(tmp_path, Device.CUDA)
        assert len(library.runs) == 3
        opened(tmp_path, Device.CPU)  # which prepares nothing
        assert len(library.runs) == 4


def frame_of(rgb: tuple[int, int, int]) -> Frame:
    """Make a small frame of one colour."""
    return Frame.filled(Layout(8, 6, "yuv420p", Colour(1, 1)), rgb)


def _all_person(given: dict[str, NDArray[Any]], _: Any) -> dict[str, NDArray[Any]]:
    return {"y": np.ones_like(given["x"][..., :1]), "ro": np.zeros((1, 3, 4, 2), np.float32)}


def _rvm_outputs() -> list[str]:
    return ["pha", "fgr", *RVM_STATES.values()]


def _filler(values: NDArray[Any]) -> Any:
    def fill(tensor: NDArray[Any]) -> None:
        tensor[...] = values

    return fill
