"""Networks as cards describe them: what they are given, remember, and find of colours."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from cards import card_of

from greenroom import VirtualBackground
from greenroom.errors import FormatError, ModelError, ModelOutputError, ProcessingError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.timings import Timings
from greenroom.segmenters.network import NetworkSegmenter, example_inputs, output_names
from greenroom.segmenters.runtimes.runtime import Runtime, TensorInfo
from greenroom.segmenters.runtimes.states import HostStates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from greenroom.segmenters.card import Card
    from greenroom.segmenters.runtimes.states import States

    Plane = NDArray[np.uint8]

FLOAT, HALF, BYTE = (np.dtype(name) for name in ("float32", "float16", "uint8"))
NONE: tuple[None, ...] = (None, None, None, None)


class Recorder(Runtime):
    """A runtime that keeps what it is given and answers as it is told."""

    name, device, threads, path = "recorder", "cpu", 1, Path("recorder.onnx")

    def __init__(
        self,
        inputs: Sequence[TensorInfo] = (TensorInfo("x", NONE, FLOAT),),
        answer: Callable[[NDArray[Any], Mapping[str, NDArray[Any]]], dict[str, Any]] | None = None,
        outputs: Sequence[str] = ("y",),
        states: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.states = states
        self.inputs = tuple(inputs)
        self.outputs = tuple(TensorInfo(name, NONE, FLOAT) for name in outputs)
        self.given: NDArray[Any] = np.empty(0)
        self.others: list[dict[str, NDArray[Any]]] = []
        self.closed = False
        self._answer = answer

    def run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Callable[[NDArray[Any]], None],
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Fill an input and answer, with zeros if nothing else was said."""
        (info,) = [each for each in self.inputs if each.name == picture]
        self.given = np.full(shape, 7 if info.dtype == BYTE else np.nan, info.dtype)
        fill(self.given)
        kept = HostStates.checked(states)
        others = {**others, **({} if kept is None else kept.values)}
        self.others.append({name: values.copy() for name, values in others.items()})
        if self._answer is None:
            return {"y": np.zeros((1, 6, 8, 1), np.float32)}
        outputs = self._answer(self.given, others)
        if kept is not None:
            kept.take(outputs)
        return outputs

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def filled(rgb: tuple[int, int, int], size: tuple[int, int] = (64, 36)) -> Frame:
    """Make a frame of one colour."""
    return Frame.filled(Layout(*size, "yuv420p", Colour(1, 1)), rgb)


class TestInput:
    """Inputs of a model."""

    @pytest.mark.parametrize("format_", ["yuv420p", "yuv444p", "gbrp"])
    @pytest.mark.parametrize("colour", [Colour(1, 1), Colour(6, 1), Colour(1, 2), Colour(9, 2)])
    @pytest.mark.parametrize("size", [(512, 512), (1280, 720), (320, 180), (97, 55)])
    def test_is_the_picture_in_rgb(
        self, format_: Format, colour: Colour, size: tuple[int, int], portrait: Plane
    ) -> None:
        """Whatever the format, matrix, range and size: RGB in 0..1, stretched to the input."""
        layout = Layout(*size, format_, Colour(0, 2) if format_ == "gbrp" else colour)
        picture = cv2.resize(portrait, size, interpolation=cv2.INTER_AREA)
        frame = Frame.from_rgb(np.asarray(picture, np.uint8)).converted(layout)
        runtime = Recorder()
        NetworkSegmenter(card_of(input={"size": [256, 144]}), runtime).segment(frame)
        how = cv2.INTER_AREA if size[0] > 256 else cv2.INTER_LINEAR
        expected = cv2.resize(frame.to_rgb(), (256, 144), interpolation=how) / 255
        assert runtime.given.shape == (1, 144, 256, 3)
        difference = np.abs(runtime.given[0] - expected)
        assert difference.mean() < 0.02
        assert abs(float(runtime.given.mean()) - float(expected.mean())) < 0.004

    @pytest.mark.parametrize("dtype", [FLOAT, HALF, BYTE])
    @pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
    @pytest.mark.parametrize(
        ("size", "part"),
        [
            ((64, 36), (slice(8, 44), slice(0, 64))),
            ((30, 60), (slice(0, 52), slice(19, 45))),
            ((128, 104), (slice(0, 52), slice(0, 64))),
        ],
    )
    @pytest.mark.parametrize("scale", [1, 2])
    def test_keeps_proportions_where_the_card_says_so(
        self,
        dtype: np.dtype[Any],
        layout: str,
        size: tuple[int, int],
        part: tuple[slice, slice],
        scale: int,
    ) -> None:
        """Around the picture is black, and of the answer the picture's part is taken."""

        def answer(given: NDArray[Any], _: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
            seen = given[0].transpose(1, 2, 0) if layout == "NCHW" else given[0]
            marks = (seen[..., 0].astype(float) > -0.5).astype(np.float32)
            return {"y": marks.repeat(scale, 0).repeat(scale, 1)[None, ..., None]}

        card = card_of(
            input={
                "size": [64, 52],
                "aspect": "pad",
                "layout": layout,
                "mean": [0, 0, 0] if dtype == BYTE else [127.5] * 3,
                "std": [1, 1, 1] if dtype == BYTE else [127.5] * 3,
            }
        )
        runtime = Recorder([TensorInfo("x", NONE, dtype)], answer)
        coverage = NetworkSegmenter(card, runtime).segment(filled((200, 200, 200), size))
        seen = runtime.given[0].transpose(1, 2, 0) if layout == "NCHW" else runtime.given[0]
        inside = np.zeros((52, 64), bool)
        inside[part] = True
        grey, black = (200, 0) if dtype == BYTE else (200 / 127.5 - 1, -1)
        np.testing.assert_allclose(
            seen[inside].astype(float), grey, atol=2 if dtype == BYTE else 0.02
        )
        np.testing.assert_array_equal(seen[~inside].astype(float), black)
        assert coverage.shape == (scale * seen[part].shape[0], scale * seen[part].shape[1])
        if dtype != BYTE:
            assert coverage.min() == 1

    @pytest.mark.parametrize("dtype", [FLOAT, HALF, BYTE])
    @pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
    @pytest.mark.parametrize("order", ["RGB", "BGR"])
    @pytest.mark.parametrize(
        "normal",
        [((0, 0, 0), (1, 1, 1)), ((10, 20, 30), (2, 4, 5)), ((0, 0, 0), (-1, 9, 9))],
    )
    def test_follows_the_card(
        self,
        dtype: np.dtype[Any],
        layout: str,
        order: str,
        normal: tuple[tuple[float, ...], tuple[float, ...]],
    ) -> None:
        """Order of axes and channels, normalisation and type are those of the card."""
        mean, std = normal
        picture = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
        spec = {"layout": layout, "order": order, "mean": mean, "std": std}
        runtime = Recorder([TensorInfo("x", NONE, dtype)])
        NetworkSegmenter(card_of(input=spec), runtime).segment(Frame.from_rgb(picture))
        channels = picture[..., ::-1] if order == "BGR" else picture
        expected = (channels.astype(float) - mean) / std
        if dtype == BYTE:
            expected = np.clip(expected, 0, 255)
        given = runtime.given[0].transpose(1, 2, 0) if layout == "NCHW" else runtime.given[0]
        tolerance = {FLOAT: 1e-3, HALF: 0.2, BYTE: 0.501}[dtype]
        np.testing.assert_allclose(given.astype(float), expected, atol=tolerance)

    def test_is_cut_off_as_samples_are(self) -> None:
        """Colours that the matrix leads out of 0 to 255 do not leave the input's range."""
        layout = Layout(8, 6, "yuv444p", Colour(1, 1))
        planes = tuple(np.full((6, 8), sample, np.uint8) for sample in (255, 0, 255))
        runtime = Recorder()
        card = card_of(input={"mean": [127.5] * 3, "std": [127.5] * 3})
        NetworkSegmenter(card, runtime).segment(Frame(planes, layout))
        assert float(runtime.given.max()) == pytest.approx(1)
        assert float(runtime.given.min()) >= -1

    @pytest.mark.parametrize(
        ("size", "expected"),
        [((1920, 1080), (288, 513)), ((600, 800), (513, 384)), ((64, 64), (513, 513))],
    )
    def test_longest(self, size: tuple[int, int], expected: tuple[int, int]) -> None:
        """The longer side has a length, and the proportions stay; parts are cut off."""
        runtime = Recorder()
        segmenter = NetworkSegmenter(card_of(input={"longest": 513}), runtime)
        segmenter.segment(filled((9, 9, 9), size))
        assert runtime.given.shape == (1, *expected, 3)

    def test_multiple(self) -> None:
        """Height and width are multiples, at least one."""
        runtime = Recorder()
        card = card_of(input={"longest": 512, "multiple": 32, "layout": "NCHW"})
        segmenter = NetworkSegmenter(card, runtime)
        segmenter.segment(filled((9, 9, 9), (1280, 720)))
        assert runtime.given.shape == (1, 3, 288, 512)
        segmenter.segment(filled((9, 9, 9), (1280, 8)))
        assert runtime.given.shape == (1, 3, 32, 512)

    def test_needs_colour(self) -> None:
        """A gray frame is refused."""
        segmenter = NetworkSegmenter(card_of(), Recorder())
        with pytest.raises(FormatError, match="gray"):
            segmenter.segment(Frame.filled(Layout(64, 36, "gray"), (1, 1, 1)))

    @pytest.mark.parametrize(
        ("inputs", "card", "message"),
        [
            ([("a", NONE), ("b", NONE)], {}, "also takes 'b'.*a, b.*which one is the picture"),
            ([("a", NONE), ("b", NONE)], {"name": "b"}, "also takes 'a'"),
            ([("a", NONE)], {"name": "src"}, "no input 'src': its inputs are a"),
            ([], {}, "no input"),
            ([("a", (1, 6, 8, 4))], {}, "takes 1x6x8x4 in 'a', but its card gives 1x6x8x3"),
            ([("a", (1, 3, 6, 8))], {}, "takes 1x3x6x8.*Correct size, layout"),
            ([("a", (1, 9, 9, 3))], {}, "takes 1x9x9x3"),
            ([("a", (8, 6, 8, 3))], {}, "takes 8x6x8x3"),
            ([("a", (6, 8, 3))], {}, "takes 6x8x3"),
            ([("a", NONE)], {"states": {"r1i": "r1o"}}, "no input 'r1i', which its card names"),
            ([("a", NONE)], {"ratio": "d"}, "no input 'd'"),
        ],
    )
    def test_that_the_model_does_not_take(
        self, inputs: list[tuple[str, tuple[int | None, ...]]], card: dict[str, Any], message: str
    ) -> None:
        """A model with other inputs than the card says is refused when it is loaded."""
        runtime = Recorder([TensorInfo(name, shape, FLOAT) for name, shape in inputs])
        with pytest.raises(ModelError, match=message):
            NetworkSegmenter(card_of(input=card), runtime)

    def test_of_another_type(self) -> None:
        """Types that nothing is known of are refused."""
        runtime = Recorder([TensorInfo("x", NONE, np.dtype(np.int8))])
        with pytest.raises(ModelError, match=r"int8.*expected one of float32, float16, uint8"):
            NetworkSegmenter(card_of(), runtime)


CARRIED = {"ri": "ro"}
STATES = {"states": CARRIED, "ratio": "d", "ratio_longest": 16, "longest": 1280, "name": "x"}
STATEFUL = [
    TensorInfo("x", (1, None, None, 3), FLOAT),
    TensorInfo("ri", (1, None, None, 2), FLOAT),
    TensorInfo("d", (), FLOAT),
]


def count_up(given: NDArray[Any], others: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Answer with a state that counts the frames, in memory that is used again."""
    _STATE[...] = others["ri"].max() + 1
    return {"y": given[..., :1] * 0, "ro": _STATE}


_STATE = np.zeros((1, 3, 4, 2), np.float32)


class TestStates:
    """States of recurrent networks."""

    @pytest.fixture
    def runtime(self) -> Recorder:
        """Return a runtime of a recurrent network."""
        return Recorder(STATEFUL, count_up, ["y", "ro"], CARRIED)

    @pytest.fixture
    def segmenter(self, runtime: Recorder) -> NetworkSegmenter:
        """Return the network."""
        return NetworkSegmenter(card_of(input=STATES, output={"name": "y"}), runtime)

    @staticmethod
    def states(runtime: Recorder) -> list[int]:
        """Return the states that were given."""
        return [int(others["ri"].max()) for others in runtime.others]

    def test_are_carried(self, runtime: Recorder, segmenter: NetworkSegmenter) -> None:
        """They start as zeros of length 1 where it varies, then are what was answered."""
        for _ in range(4):
            segmenter.segment(filled((9, 9, 9)))
        assert self.states(runtime) == [0, 1, 2, 3]
        assert [others["ri"].shape for others in runtime.others[:2]] == [(1, 1, 1, 2), (1, 3, 4, 2)]

    def test_are_forgotten(self, runtime: Recorder, segmenter: NetworkSegmenter) -> None:
        """On reset and on another size."""
        segmenter.segment(filled((9, 9, 9)))
        segmenter.segment(filled((9, 9, 9)))
        segmenter.reset()
        segmenter.segment(filled((9, 9, 9)))
        segmenter.segment(filled((9, 9, 9)))
        segmenter.segment(filled((9, 9, 9), (36, 64)))
        segmenter.segment(filled((9, 9, 9), (36, 64)))
        assert self.states(runtime) == [0, 1, 0, 1, 0, 1]

    def test_are_forgotten_on_a_cut(
        self, runtime: Recorder, segmenter: NetworkSegmenter, portrait: Plane
    ) -> None:
        """Another scene begins anew; movement and exposure do not."""
        frame = Frame.from_rgb(portrait)
        moved = Frame.from_rgb(np.roll(portrait, 6, axis=1))
        brighter = Frame.from_rgb(np.minimum(portrait.astype(int) + 12, 255).astype(np.uint8))
        other = Frame.from_rgb(np.ascontiguousarray(255 - portrait[:, ::-1]))
        for each in (frame, moved, frame, brighter, other, other, frame):
            segmenter.segment(each)
        assert self.states(runtime) == [0, 1, 2, 3, 0, 1, 0]

    def test_are_of_one_segmenter(self, runtime: Recorder, segmenter: NetworkSegmenter) -> None:
        """Two streams do not share them."""
        second_runtime = Recorder(STATEFUL, count_up, ["y", "ro"], CARRIED)
        card = card_of(input=STATES, output={"name": "y"})
        second = NetworkSegmenter(card, second_runtime)
        for _ in range(2):
            segmenter.segment(filled((9, 9, 9)))
            second.segment(filled((200, 9, 9)))
        assert self.states(runtime) == self.states(second_runtime) == [0, 1]

    def test_are_not_poisoned(self) -> None:
        """After an answer that is no matte, or none, the network begins anew."""
        answers: list[float] = [0.5, np.nan, 0.5, 0.5, np.inf, 0.5]

        def answer(given: NDArray[Any], others: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
            value = answers.pop(0)
            if value == np.inf:
                message = "the model broke"
                raise RuntimeError(message)
            return {"y": given[..., :1] * 0 + np.float32(value), "ro": others["ri"] + 1}

        runtime = Recorder(STATEFUL, answer, ["y", "ro"], CARRIED)
        segmenter = NetworkSegmenter(card_of(input=STATES, output={"name": "y"}), runtime)
        for error in (None, ModelOutputError, None, None, RuntimeError, None):
            if error is None:
                segmenter.segment(filled((9, 9, 9)))
            else:
                with pytest.raises(error):
                    segmenter.segment(filled((9, 9, 9)))
        assert self.states(runtime) == [0, 1, 0, 1, 2, 0]

    def test_ratio(self, runtime: Recorder, segmenter: NetworkSegmenter) -> None:
        """It leads to a longer side; a small picture is neither enlarged nor reduced."""
        segmenter.segment(filled((9, 9, 9)))
        assert runtime.given.shape == (1, 36, 64, 3)
        assert runtime.others[0]["d"].shape == ()
        assert float(runtime.others[0]["d"]) == 0.25
        segmenter.segment(filled((9, 9, 9), (8, 6)))
        assert float(runtime.others[1]["d"]) == 1

    def test_ratio_of_one_axis(self) -> None:
        """It may be a number alone or a list of one."""
        inputs = [*STATEFUL[:2], TensorInfo("d", (1,), FLOAT)]
        runtime = Recorder(inputs, count_up, ["y", "ro"], CARRIED)
        card = card_of(input=STATES, output={"name": "y"})
        NetworkSegmenter(card, runtime).segment(filled((9, 9, 9)))
        assert runtime.others[0]["d"].tolist() == [0.25]

    def test_example(self) -> None:
        """A model is tried with all that it takes but for states, which are the runtime's."""
        card = card_of(input=STATES, output={"name": "y"})
        trial = example_inputs(card, "mine.onnx")(STATEFUL)
        assert (trial.picture, trial.shape) == ("x", (1, 720, 1280, 3))
        assert {name: values.shape for name, values in trial.others.items()} == {"d": ()}
        card = card_of(input=STATES, output={"name": "y", "foreground": "f"})
        assert output_names(card) == ("y", "f", "ro")
        assert output_names(card_of()) == ()


def colouring(
    change: Callable[[NDArray[Any]], NDArray[Any]],
    **card: Any,
) -> tuple[Card, Recorder]:
    """Make a card and a runtime that answers with changed colours of what it sees."""

    def answer(given: NDArray[Any], _: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        return {"y": np.ones_like(given[..., :1]), "f": change(given)}

    card_made = card_of(**card, output={"name": "y", "foreground": "f"})
    return card_made, Recorder(answer=answer, outputs=["y", "f"])


class TestForeground:
    """The person's own colours."""

    @pytest.mark.parametrize("format_", ["yuv420p", "yuv444p", "gbrp"])
    @pytest.mark.parametrize("longest", [4000, 128])
    def test_unchanged_colours_are_the_frame(
        self, format_: Format, longest: int, portrait: Plane
    ) -> None:
        """If the network finds what it saw, the frame stays as it is, in all its detail."""
        layout = Layout(511, 300, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))
        frame = Frame.from_rgb(portrait).converted(layout).shown_at(7, None, 3)
        card, runtime = colouring(lambda given: given, input={"longest": longest})
        segmenter = NetworkSegmenter(card, runtime)
        segmenter.segment(frame)
        found = segmenter.foreground(frame)
        assert found is not None
        assert found.layout == frame.layout
        assert found.pts == 7
        for plane, expected in zip(found.planes, frame.planes, strict=True):
            # Colours outside of RGB are cut off before the network sees them.
            difference = abs(plane.astype(int) - expected)
            assert difference.mean() < 0.2
            assert np.percentile(difference, 99) <= 2
            assert not np.shares_memory(plane, expected)

    @pytest.mark.parametrize("format_", ["yuv420p", "gbrp"])
    @pytest.mark.parametrize("longest", [4000, 128])
    def test_change_is_added(self, format_: Format, longest: int, portrait: Plane) -> None:
        """Less green in what the network saw is less green in the frame."""
        picture = np.clip(portrait, 60, 200)
        layout = Layout(512, 300, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))
        frame = Frame.from_rgb(picture).converted(layout)

        def change(given: NDArray[Any]) -> NDArray[Any]:
            return given - np.array([0, 20 / 255, 0], np.float32)

        card, runtime = colouring(change, input={"longest": longest})
        segmenter = NetworkSegmenter(card, runtime)
        segmenter.segment(frame)
        found = segmenter.foreground(frame)
        assert found is not None
        difference = found.to_rgb().astype(int) - frame.to_rgb()
        np.testing.assert_allclose(difference.mean(axis=(0, 1)), [0, -20, 0], atol=1)
        assert difference.std() < 12

    def test_nothing_without_one(self) -> None:
        """Most networks find none."""
        segmenter = NetworkSegmenter(card_of(), Recorder())
        segmenter.segment(filled((9, 9, 9)))
        assert segmenter.foreground(filled((9, 9, 9))) is None

    @pytest.mark.usefixtures("every_matte_believed")
    def test_is_composited(self) -> None:
        """The engine shows the colours found, in front of the background."""
        card, runtime = colouring(lambda given: given * 0 + 1)
        timings = Timings()
        segmenter = NetworkSegmenter(card, runtime, timings=timings)
        with VirtualBackground(segmenter=segmenter, background="color:#000000") as vb:
            result = vb.process(filled((200, 0, 0)))
            np.testing.assert_allclose(result.to_rgb(), 255, atol=3)
        assert list(timings.summary()) == ["prepare", "invoke", "foreground"]
        assert runtime.closed

    @pytest.mark.usefixtures("every_matte_believed")
    def test_is_not_needed_for_a_matte(self) -> None:
        """It is not made where only the matte is asked for."""
        card, runtime = colouring(lambda given: given * np.nan)
        timings = Timings()
        segmenter = NetworkSegmenter(card, runtime, timings=timings)
        with VirtualBackground(segmenter=segmenter) as vb:
            assert (vb.process_matte(filled((200, 0, 0))).planes[0] == 255).all()
        assert list(timings.summary()) == ["prepare", "invoke"]

    @pytest.mark.usefixtures("every_matte_believed")
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_that_is_not_finite(self, value: float) -> None:
        """One value that is no number, and the frame is not shown."""

        def change(given: NDArray[Any]) -> NDArray[Any]:
            colours = given.copy()
            colours[0, 3, 2, 1] = value
            return colours

        card, runtime = colouring(change)
        segmenter = NetworkSegmenter(card, runtime)
        with VirtualBackground(segmenter=segmenter, background="color:#000000") as vb:
            with pytest.raises(ProcessingError, match="foreground is not a picture"):
                vb.process(filled((200, 0, 0)))
            assert vb.matte is None
            vb.update(on_failure="cover")
            assert vb.process(filled((200, 0, 0))).to_rgb().max() < 3

    @pytest.mark.parametrize("shape", [(1, 6, 8, 4), (1, 5, 8, 3), (6, 8), (1, 3, 6, 8)])
    def test_of_another_shape(self, shape: tuple[int, ...]) -> None:
        """A foreground that does not belong to the matte is refused."""
        card, runtime = colouring(lambda _: np.zeros(shape, np.float32))
        segmenter = NetworkSegmenter(card, runtime)
        with pytest.raises(ModelOutputError, match="does not fit its matte"):
            segmenter.segment(filled((9, 9, 9)))
