"""One model for many streams: each gets its own answers, whatever the others do."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from cards import card_of
from host_device import HostDevice, LazyDevice

from greenroom import VirtualBackground
from greenroom.errors import ModelOutputError, ModelTimeoutError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.segmenters import SegmenterPool, create_segmenter
from greenroom.segmenters.network import NetworkSegmenter, example_inputs, output_names
from greenroom.segmenters.runtimes import load_runtime, shared_model
from greenroom.segmenters.runtimes.runtime import Runtime, TensorInfo
from greenroom.segmenters.runtimes.shared_model import SharedModel
from greenroom.settings import Device, Settings
from greenroom.testing import PersonSource
from segmenters.fake_onnxruntime import CUDA, Fail, counting_model, opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from greenroom.segmenters.card import Card
    from greenroom.segmenters.runtimes.runtime import Fill, Row
    from greenroom.segmenters.runtimes.states import States
    from segmenters.conftest import MakeOnnx
    from segmenters.conftest import SharedModel as FindModel

pytestmark = pytest.mark.usefixtures("no_thread_left")

CARD: Final = card_of()
RECURRENT: Final = card_of(input={"name": "x", "states": {"ri": "ro"}}, output={"name": "y"})
STREAMS: Final = 8
LONG_S: Final = 30.0
GREEN: Final = {"from": np.array([1]), "to": np.array([2]), "axis": np.array([3])}
HALF: Final = {**GREEN, "half": np.array(0.5, np.float32)}
TWO_CLASSES: Final = {
    "layout": "NCHW",
    "reading": "logits",
    "classes": ["background", "person"],
    "keep": ["person"],
}
RVM: Final[dict[str, Any]] = {
    "input": {
        "name": "src",
        "longest": 192,
        "ratio": "downsample_ratio",
        "ratio_longest": 96,
        "states": {f"r{number}i": f"r{number}o" for number in range(1, 5)},
    },
    "output": {"name": "pha", "foreground": "fgr"},
    "task": "matting",
}
# Parts of cards, and whether the models can be rewritten for batches.
KNOWN: Final[dict[str, tuple[dict[str, Any], bool]]] = {
    "selfie_general.onnx": ({"input": {"size": [256, 256]}}, True),
    # Its resizes say how many rows there are.
    "pphumanseg_lite_portrait_398x224.onnx": (
        {"input": {"size": [398, 224], "layout": "NCHW"}, "output": TWO_CLASSES},
        False,
    ),
    "rvm_mobilenetv3_from_tfjs_int8.onnx": (RVM, True),
}


def frame_of(seed: int, size: tuple[int, int] = (8, 6)) -> Frame:
    """Make a frame of noise that no other seed makes."""
    frame = Frame.filled(Layout(*size, "gbrp", Colour(0, 2)), (0, 0, 0))
    rng = np.random.default_rng(seed)
    for plane in frame.planes:
        plane[...] = rng.integers(0, 256, plane.shape)
    return frame


def moving(stream: int, picture: int) -> Frame:
    """Make a frame of a stream whose pictures differ by less than a change of scene."""
    frame = frame_of(stream)
    for plane in frame.planes:
        plane[...] = plane // 2 + 7 * (picture % 9)
    return frame


def loaded(card: Card, path: Path, compute: Any = None, **more: Any) -> SharedModel:
    """Load a model for streams, which is closed with `SharedModel.close`."""
    assert card.input is not None
    states = card.input.states
    runtime = load_runtime(
        "onnx",
        path,
        outputs=output_names(card),
        states=states,
        example=example_inputs(card, path),
        compute=compute,
        rows=(card.input.name, *states),
    )
    return SharedModel(runtime, **{"most": 16, "wait_s": 0.02, **more})


def alone(card: Card, path: Path) -> NetworkSegmenter:
    """Load a model for one stream."""
    assert card.input is not None
    states = card.input.states
    return NetworkSegmenter(
        card, load_runtime("onnx", path, outputs=output_names(card), states=states)
    )


def _gathered(model: SharedModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of pictures of the batches that are gathered from now on."""
    counts: list[int] = []
    run = model.runtime.run_gathered

    def run_gathered(given: Mapping[str, Sequence[Any]], others: Mapping[str, Any]) -> Any:
        counts.append(len(next(iter(given.values()))))
        return run(given, others)

    monkeypatch.setattr(model.runtime, "run_gathered", run_gathered)
    return counts


def counted(model: SharedModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of pictures of the batches that a model runs from now on."""
    counts: list[int] = []
    run = model.runtime.run_rows

    def run_rows(name: str, rows: Sequence[Row], others: Mapping[str, Any]) -> Any:
        counts.append(len(rows))
        return run(name, rows, others)

    monkeypatch.setattr(model.runtime, "run_rows", run_rows)
    return counts


class TestModels:
    """Models that take batches, and others."""

    @pytest.mark.parametrize("first", [1, "n"])
    def test_streams_get_their_own(
        self, make_onnx: MakeOnnx, first: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Eight streams with pictures of their own, which come, stop and come again at random."""
        path = make_onnx(
            [("Slice", ["x", "from", "to", "axis"], ["y"], {})],
            {"x": [first, 6, 8, 3]},
            {"y": [first, 6, 8, 1]},
            GREEN,
        )
        model = loaded(CARD, path)
        assert model.runtime.takes_rows
        counts = counted(model, monkeypatch)

        def stream(number: int) -> None:
            chance = random.Random(number)  # noqa: S311 - no secret
            segmenter = NetworkSegmenter(CARD, model.stream())
            for picture in range(60):
                frame = frame_of(1000 * number + picture)
                coarse = segmenter.segment(frame)
                np.testing.assert_allclose(coarse, frame.planes[0] / 255.0, atol=1e-6)
                if chance.random() < 0.1:
                    segmenter.close()
                    segmenter = NetworkSegmenter(CARD, model.stream())
                if chance.random() < 0.1:
                    threading.Event().wait(0.003 * chance.random())
            segmenter.close()

        with ThreadPoolExecutor(STREAMS) as threads:
            list(threads.map(stream, range(STREAMS)))
        assert sum(counts) == 60 * STREAMS
        assert max(counts) > 1
        assert not model.count
        model.close()

    def test_states_are_rows(self, make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each stream's memory is of its own pictures, over resets and other sizes of batches."""
        path = _remembering(make_onnx)
        model = loaded(RECURRENT, path)
        assert model.runtime.takes_rows
        counts = counted(model, monkeypatch)

        def stream(number: int) -> None:
            chance = random.Random(number)  # noqa: S311 - no secret
            shared, own = NetworkSegmenter(RECURRENT, model.stream()), alone(RECURRENT, path)
            for _ in range(40):
                frame = moving(number, chance.randrange(9))
                np.testing.assert_array_equal(shared.segment(frame), own.segment(frame))
                if chance.random() < 0.15:
                    shared.reset()
                    own.reset()
            shared.close()
            own.close()

        with ThreadPoolExecutor(STREAMS) as threads:
            list(threads.map(stream, range(STREAMS)))
        assert max(counts) > 1
        model.close()

    @pytest.mark.parametrize("name", KNOWN)
    def test_known_ones(
        self, name: str, shared_model: FindModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They answer as alone, in batches where they can be rewritten, colours too."""
        path = shared_model(name)
        parts, takes_rows = KNOWN[name]
        card = card_of(**parts)
        model = loaded(card, path, wait_s=0.3)
        assert model.runtime.takes_rows == takes_rows
        counts = counted(model, monkeypatch)
        source = PersonSource((320, 180))
        with ThreadPoolExecutor(3) as threads:
            shared = [NetworkSegmenter(card, model.stream()) for _ in range(3)]
            own = [alone(card, path) for _ in range(3)]
            for picture in range(3):
                frames = [source.frame(5 * number + picture) for number in range(3)]
                found = list(threads.map(NetworkSegmenter.segment, shared, frames))
                for number, frame in enumerate(frames):
                    wanted = own[number].segment(frame)
                    np.testing.assert_allclose(found[number], wanted, atol=2e-3)
                    colours = shared[number].foreground(frame)
                    expected = own[number].foreground(frame)
                    assert (colours is None) == (expected is None)
                    if colours is not None and expected is not None:
                        for mine, theirs in zip(colours.planes, expected.planes, strict=True):
                            assert np.abs(mine.astype(int) - theirs).max() <= 1
        assert (max(counts) > 1) == takes_rows
        for segmenter in [*shared, *own]:
            segmenter.close()
        model.close()

    def test_that_mix_the_rows_take_none(self, make_onnx: MakeOnnx) -> None:
        """A model in which a row depends on the others is never given two."""
        path = make_onnx(
            [("ReduceMean", ["x"], ["m"], {"axes": [0], "keepdims": 1}),
             ("Mul", ["m", "half"], ["h"], {}), ("Mul", ["x", "half"], ["g"], {}),
             ("Add", ["g", "h"], ["z"], {}), ("Slice", ["z", "from", "to", "axis"], ["y"], {})],
            {"x": ["n", 6, 8, 3]},
            {"y": ["n", 6, 8, 1]},
            HALF,
        )  # fmt: skip
        model = loaded(CARD, path)
        assert not model.runtime.takes_rows
        segmenters = [NetworkSegmenter(CARD, model.stream()) for _ in range(4)]
        frames = [frame_of(number) for number in range(4)]
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(NetworkSegmenter.segment, segmenters, frames))
        for coarse, frame in zip(found, frames, strict=True):
            np.testing.assert_allclose(coarse, frame.planes[0] / 255.0, atol=1e-6)
        model.close()

    def test_that_fail_on_a_gpu(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """By auto the CPU takes over with the same rows, and each keeps its own states."""
        library = counting_model()
        library.inputs = {"x": ["n", "h", "w", 3], "ri": ["n", "a", "b", 2]}
        monkeypatch.setattr("greenroom.segmenters.runtimes.onnx.load_onnxruntime", lambda: library)
        library.compute = _rowwise
        runtime = opened(tmp_path, Device.AUTO, rows=("x", "ri"))
        assert (runtime.device, runtime.takes_rows) == ("cuda", True)
        model = SharedModel(runtime, most=4, wait_s=0.05)
        card = card_of(
            input={"name": "x", "longest": 8, "states": {"ri": "ro"}}, output={"name": "y"}
        )
        shared = [NetworkSegmenter(card, model.stream()) for _ in range(2)]
        with ThreadPoolExecutor(2) as threads:
            for picture in range(4):
                if picture == 2:
                    library.fault = lambda provider, _: Fail("lost") if provider == CUDA else None
                frames = [moving(number, picture) for number in range(2)]
                found = list(threads.map(NetworkSegmenter.segment, shared, frames))
                for coarse, frame in zip(found, frames, strict=True):
                    wanted = np.maximum(frame.planes[2] / 255.0 - 0.01 * picture, 0)
                    np.testing.assert_allclose(coarse, wanted, atol=1e-5)
        assert shared[0].info.device == "cpu"
        model.close()


@pytest.mark.usefixtures("device")
class TestOnDevices:
    """Frames on devices of the model's memory, each stream's its own, as late as they may be."""

    def test_streams_get_their_own(
        self, make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Matte and memory are of their own pictures, over resets, and none is transferred."""
        path = _remembering(make_onnx)
        model = loaded(RECURRENT, path, compute=LazyDevice())
        assert model.runtime.takes_rows
        counts = _gathered(model, monkeypatch)

        def stream(number: int) -> None:
            chance = random.Random(number)  # noqa: S311 - no secret
            device, apart = LazyDevice(), HostDevice()
            shared, own = NetworkSegmenter(RECURRENT, model.stream()), alone(RECURRENT, path)
            for _ in range(30):
                frame = moving(number, chance.randrange(9))
                there = frame.uploaded(device)
                matte: Any = shared.segment_there(there)
                assert matte.device is device
                wanted = own.segment(frame.uploaded(apart))
                np.testing.assert_allclose(device.download(matte)[0], wanted, atol=1e-6)
                if chance.random() < 0.15:
                    shared.reset()
                    own.reset()
                if chance.random() < 0.1:  # a frame of the host between, which begins anew
                    coarse = shared.segment(frame)
                    own.reset()
                    np.testing.assert_allclose(coarse, own.segment(frame), atol=1e-6)
                    own.reset()
            device.check_margins()
            shared.close()
            own.close()

        with ThreadPoolExecutor(STREAMS) as threads:
            list(threads.map(stream, range(STREAMS)))
        assert sum(counts) == 30 * STREAMS
        assert max(counts) > 1
        model.close()

    def test_robust_video_matting(
        self, shared_model: FindModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Mattes and colours are those of a model alone; input and matte are not transferred."""
        path, card = shared_model("rvm_mobilenetv3_from_tfjs_int8.onnx"), card_of(**RVM)
        gatherer = HostDevice()
        model = loaded(card, path, compute=gatherer)
        counts = _gathered(model, monkeypatch)
        devices = [LazyDevice() for _ in range(2)]
        shared = [NetworkSegmenter(card, model.stream()) for _ in devices]
        own = [alone(card, path) for _ in devices]
        apart, source = HostDevice(), PersonSource((320, 180))

        def look(number: int, frame: Frame) -> tuple[Any, Frame | None]:
            there = frame.uploaded(devices[number])
            devices[number].synchronize()
            devices[number].moved.clear()
            coarse: Any = shared[number].segment_there(there)
            colours = shared[number].foreground(there)
            assert max(devices[number].moved) < 192 * 104  # no input, matte or colours
            return (
                devices[number].download(coarse)[0],
                None if colours is None else colours.downloaded(),
            )

        with ThreadPoolExecutor(2) as threads:
            for picture in range(3):
                frames = [source.frame(picture), source.frame(40 + picture)]
                for number, (coarse, colours) in enumerate(threads.map(look, range(2), frames)):
                    there = frames[number].uploaded(apart)
                    np.testing.assert_allclose(coarse, own[number].segment(there), atol=2e-6)
                    expected = own[number].foreground(there)
                    assert colours is not None
                    assert expected is not None
                    for mine, theirs in zip(
                        colours.planes, expected.downloaded().planes, strict=True
                    ):
                        assert np.abs(mine.astype(int) - theirs).max() <= 1
        assert 2 in counts
        for segmenter in [*shared, *own]:
            segmenter.close()
        model.close()
        gatherer.check_margins()


class Gated(Runtime):
    """A runtime that takes rows and answers with their red, once it may.

    Attributes
    ----------
    gate, begun : Event
        Set while it may answer, and when a run has begun.
    fault : Exception or None
        What it raises.
    counts, seen : list
        The numbers of pictures of its batches, and the largest value of each picture.
    """

    takes_rows = True

    def __init__(self) -> None:
        self.name, self.device, self.threads, self.path = "gated", "cpu", 1, Path("gated.onnx")
        self.states = {}
        self.inputs = (TensorInfo("x", (None, 6, 8, 3), np.dtype(np.float32)),)
        self.outputs = (TensorInfo("y", (None, 6, 8, 1), np.dtype(np.float32)),)
        self.gate, self.begun = threading.Event(), threading.Event()
        self.gate.set()
        self.fault: Exception | None = None
        self.closed = False
        self.seen: list[float] = []
        self.counts: list[int] = []

    def run_rows(
        self, picture: str, rows: Sequence[Row], others: Mapping[str, NDArray[Any]]
    ) -> list[dict[str, NDArray[Any]]]:
        """See `Runtime.run_rows`."""
        del picture, others
        self.begun.set()
        assert self.gate.wait(LONG_S)
        self.counts.append(len(rows))
        self.seen += [float(row.picture.max()) for row in rows]
        if self.fault is not None:
            raise self.fault
        return [{"y": row.picture[..., :1].copy()} for row in rows]

    def run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Fill,
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
    ) -> Mapping[str, NDArray[Any]]:
        """Nobody calls it."""
        raise NotImplementedError

    def close(self) -> None:
        """See `Runtime.close`."""
        self.closed = True


def gray(level: float) -> Frame:
    """Make a frame of one level."""
    value = round(255 * level)
    return Frame.filled(Layout(8, 6, "gbrp", Colour(0, 2)), (value, value, value))


class TestFaults:
    """Errors, hangs and ends: of each stream that waits, and of no other."""

    def test_an_error_is_of_the_whole_batch(self) -> None:
        """Each stream of it gets an error of its own, and the next pictures are answered."""
        runtime = Gated()
        model = SharedModel(runtime, most=4, wait_s=0.0)
        segmenters = [NetworkSegmenter(CARD, model.stream()) for _ in range(3)]

        def segment(number: int) -> object:
            try:
                return segmenters[number].segment(gray(0.2 + 0.25 * number)).max()
            except ModelOutputError as error:
                return error

        with ThreadPoolExecutor(3) as threads:
            for fault in (RuntimeError("out of memory"), None):
                runtime.begun.clear()
                runtime.gate.clear()
                first = threads.submit(segment, 0)
                assert runtime.begun.wait(LONG_S)
                runtime.fault = fault
                others = [threads.submit(segment, number) for number in (1, 2)]
                while model.waiting < 2:
                    pass
                runtime.gate.set()
                answers = [each.result(LONG_S) for each in (first, *others)]
                if fault is None:
                    assert answers == pytest.approx([0.2, 0.45, 0.7], abs=0.01)
                else:
                    assert {str(error) for error in answers} == {"out of memory"}
                    assert len({id(error) for error in answers}) == 3
        assert runtime.counts == [1, 2, 1, 2]
        model.close()
        assert runtime.closed

    @pytest.mark.usefixtures("every_matte_believed")
    def test_a_hang_covers_every_engine(self) -> None:
        """Engines that wait are covered in time; late answers are for nobody; then all goes on."""
        runtime = Gated()
        model = SharedModel(runtime, most=4, wait_s=0.0)
        engines = [
            VirtualBackground(
                segmenter=NetworkSegmenter(CARD, model.stream()),
                background="color:#000000",
                timeout_s=0.1,
            )
            for _ in range(3)
        ]
        runtime.gate.clear()
        with ThreadPoolExecutor(3) as threads:
            for rendered in threads.map(lambda one: one.render(gray(1.0)), engines):
                assert not rendered.valid
                assert "longer than 0.1 s" in rendered.error
                assert rendered.frame.to_rgb().max() < 3
        runtime.gate.set()
        for engine in engines:
            while "earlier frame" in (late := engine.render(gray(0.0))).error:
                pass
            assert late.valid
            assert late.frame.to_rgb().max() < 3  # a matte of 0, not that of the white frame
        for engine in engines:
            engine.close()
        assert not model.count
        model.close()

    def test_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A picture that was given up is not looked at, or its answer is nobody's."""
        runtime = Gated()
        model = SharedModel(runtime, most=1, wait_s=0.0)
        begun, waiting = (NetworkSegmenter(CARD, model.stream()) for _ in range(2))
        monkeypatch.setattr(shared_model, "_ANSWER_TIMEOUT_S", 0.02)
        runtime.gate.clear()
        for segmenter, level in ((begun, 0.1), (waiting, 0.2)):
            with pytest.raises(ModelTimeoutError, match=r"gated\.onnx"):
                segmenter.segment(gray(level))
        monkeypatch.setattr(shared_model, "_ANSWER_TIMEOUT_S", LONG_S)
        with ThreadPoolExecutor(2) as threads:
            later = [
                threads.submit(segmenter.segment, gray(level))
                for segmenter, level in ((begun, 0.8), (waiting, 0.9))
            ]
            runtime.gate.set()
            levels = [float(each.result(LONG_S).max()) for each in later]
        assert levels == pytest.approx([0.8, 0.9], abs=0.01)
        assert sorted(runtime.seen) == pytest.approx([0.1, 0.8, 0.9], abs=0.01)
        model.close()

    def test_the_end(self) -> None:
        """Streams that are open when the model is closed fail, and those that wait at once."""
        runtime = Gated()
        model = SharedModel(runtime, most=1, wait_s=0.0)
        segmenters = [NetworkSegmenter(CARD, model.stream()) for _ in range(2)]
        runtime.gate.clear()
        with ThreadPoolExecutor(3) as threads:
            first = threads.submit(segmenters[0].segment, gray(0.5))
            assert runtime.begun.wait(LONG_S)
            second = threads.submit(segmenters[1].segment, gray(0.5))
            while not model.waiting:
                pass
            end = threads.submit(model.close)
            with pytest.raises(ModelOutputError, match="closed with its pool"):
                second.result(LONG_S)
            runtime.gate.set()
            end.result(LONG_S)
            assert first.result(LONG_S).max() == pytest.approx(0.5, abs=0.01)
        assert runtime.closed
        with pytest.raises(ModelOutputError, match="closed with its pool"):
            segmenters[0].segment(gray(0.5))


class TestWaiting:
    """A picture waits for others only where some can come."""

    def test_alone_it_does_not(self) -> None:
        """Neither as the only stream, nor beside one that does not ask, nor for another size."""
        model = SharedModel(Gated(), most=16, wait_s=3600.0)
        segmenter = NetworkSegmenter(CARD, model.stream())
        idle = model.stream()
        for level in (0.25, 0.5):
            assert segmenter.segment(gray(level)).max() == pytest.approx(level, abs=0.01)
        idle.close()
        model.close()

    def test_until_the_other_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A picture that waits for another stream goes when that one is closed."""
        monkeypatch.setattr(shared_model, "_RECENT_S", 3600.0)
        model = SharedModel(Gated(), most=16, wait_s=3600.0)
        one, other = (NetworkSegmenter(CARD, model.stream()) for _ in range(2))
        other.segment(gray(0.5))
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(one.segment, gray(0.75))
            while not model.waiting:
                pass
            other.close()
            assert waiting.result(LONG_S).max() == pytest.approx(0.75, abs=0.01)
        model.close()

    def test_until_the_other_has_not_asked_for_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody waits for a stream that has stopped to ask."""
        monkeypatch.setattr(shared_model, "_RECENT_S", 0.02)
        model = SharedModel(Gated(), most=16, wait_s=3600.0)
        one, other = (NetworkSegmenter(CARD, model.stream()) for _ in range(2))
        other.segment(gray(0.5))
        assert one.segment(gray(0.75)).max() == pytest.approx(0.75, abs=0.01)
        model.close()

    def test_no_longer_than_it_may(self) -> None:
        """It goes by itself after the time that it may wait."""
        model = SharedModel(Gated(), most=16, wait_s=0.01)
        one, other = (NetworkSegmenter(CARD, model.stream()) for _ in range(2))
        other.segment(gray(0.5))
        assert one.segment(gray(0.75)).max() == pytest.approx(0.75, abs=0.01)
        model.close()


class TestPool:
    """The public pool."""

    def test_engines_share_a_model(self, shared_model: FindModel) -> None:
        """Engines with segmenters of a pool give what they give with their own."""
        settings = Settings(model=str(shared_model("selfie_general.onnx")), background="blur")
        unused: list[bool] = []
        frame = PersonSource((320, 240)).frame(0)
        with SegmenterPool(settings, on_unused=lambda: unused.append(True)) as pool:
            engines = [VirtualBackground(settings, segmenter=pool.segmenter()) for _ in range(2)]
            assert (pool.count, pool.takes_batches) == (2, True)
            with VirtualBackground(settings) as own:
                expected = own.process(frame)
                assert engines[0].info == own.info
            for engine in engines:
                for mine, theirs in zip(engine.process(frame).planes, expected.planes, strict=True):
                    assert np.abs(mine.astype(int) - theirs).max() <= 1
                assert not unused
                engine.close()
            assert unused == [True]
            assert not pool.count

    def test_models_by_shape_and_without_a_network(self) -> None:
        """Models for the processor, two by aspect ratio, are shared; the chroma key has none."""
        frames = [PersonSource(size).frame(0) for size in ((320, 180), (180, 320))]
        with SegmenterPool(model="selfie") as pool:
            shared, own = pool.segmenter(), create_segmenter(Settings(model="selfie"))
            for frame in frames:
                np.testing.assert_array_equal(shared.segment(frame), own.segment(frame))
            assert not pool.takes_batches
            shared.close()
            own.close()
        with SegmenterPool(model="chroma") as pool:
            pool.segmenter().close()
            assert not pool.count


def _remembering(make_onnx: MakeOnnx) -> Path:
    """Write a recurrent model: ``ro`` is the mean of ``ri`` and ``x``, ``y`` its green."""
    return make_onnx(
        [("Mul", ["x", "half"], ["a"], {}), ("Mul", ["ri", "half"], ["b"], {}),
         ("Add", ["a", "b"], ["ro"], {}), ("Slice", ["ro", "from", "to", "axis"], ["y"], {})],
        {"x": [1, 6, 8, 3], "ri": [1, "h", "w", 3]},
        {"y": [1, 6, 8, 1], "ro": [1, 6, 8, 3]},
        HALF,
    )  # fmt: skip


def _rowwise(given: Mapping[str, NDArray[Any]], _: Any) -> dict[str, NDArray[Any]]:
    """Return the first channel less a hundredth for each run before, row by row."""
    x, state = given["x"], given["ri"]
    count = state.max(axis=(1, 2, 3), keepdims=True)
    new = np.broadcast_to(count + 1, (len(x), 3, 4, 2)).astype(np.float32)
    return {"y": np.maximum(x[..., :1] - 0.01 * count, 0).astype(np.float32), "ro": new}
