"""Two models whose answers are fused."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import pytest

from greenroom import Settings, VirtualBackground
from greenroom.errors import ModelError, ModelOutputError, ProcessingError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.timings import Timings
from greenroom.segmenters import Segmenter, SegmenterInfo, create_segmenter
from greenroom.segmenters.card import Card, FusionSpec
from greenroom.segmenters.catalogue import card_named, required_cards
from greenroom.segmenters.fused import FusedSegmenter
from greenroom.segmenters.fusion import fuse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from segmenters.conftest import SharedModel

    Floats = NDArray[np.float32]

FUSION = FusionSpec(weights=(0.12, 0.24), bias=0.6)
SIZE = 640, 360


class Scripted(Segmenter):
    """Gives an answer, or raises it; remembers the frames and whether it was closed."""

    makes_mattes = False
    remembers = False

    def __init__(self, name: str, answer: Any) -> None:
        self.info = SegmenterInfo(name, f"{name}.bin", "Test 1", "cpu", 1)
        self.answer = answer
        self.seen: list[Frame] = []
        self.resets = 0
        self.is_closed = False

    def segment(self, frame: Frame) -> Floats:
        """Give the answer."""
        self.seen.append(frame)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(frame) if callable(self.answer) else self.answer  # type: ignore[no-any-return]

    def reset(self) -> None:
        """Count."""
        self.resets += 1

    def close(self) -> None:
        """Remember it, and raise if the answer is an error."""
        self.is_closed = True
        if isinstance(self.answer, Exception):
            raise self.answer


def filled(value: float, shape: tuple[int, int] = (64, 64)) -> Floats:
    """Make an answer of one value."""
    return np.full(shape, value, np.float32)


def fused_of(first: Any, second: Any, timings: Timings | None = None) -> FusedSegmenter:
    """Make a segmenter of two scripted ones."""
    members = Scripted("one", first), Scripted("two", second)
    return FusedSegmenter("both", members, FUSION, timings)


def ramp() -> Frame:
    """Make a frame whose luma is its column, and chroma its row."""
    frame = Frame.filled(Layout(*SIZE, "yuv420p", Colour(1, 1)), (90, 90, 90))
    frame.planes[0][...] = np.linspace(0, 255, SIZE[0]).astype(np.uint8)
    frame.planes[1][...] = np.linspace(0, 255, SIZE[1] // 2).astype(np.uint8)[:, None]
    return frame


class TestFuse:
    """The pool of two answers."""

    def test_log_odds_are_added(self) -> None:
        """Between certainties it is the pool of the formula, stretched to 0 and 1."""
        first, second = filled(0.3), filled(0.8)
        odds = 0.12 * np.log(0.3 / 0.7) + 0.24 * np.log(0.8 / 0.2) + 0.6
        low, high, pooled = (1 / (1 + np.exp(-x)) for x in (0.6 - 4.32, 0.6 + 4.32, odds))
        expected = (pooled - low) / (high - low)
        np.testing.assert_allclose(fuse(first, second, FUSION), expected, atol=1e-5)

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_what_both_are_certain_of(self, value: float) -> None:
        """Where both are certain, the result is: no haze over the room."""
        result = fuse(filled(value), filled(value), FUSION)
        np.testing.assert_allclose(result, value, atol=1e-6)
        assert result.dtype == np.float32

    def test_more_is_more(self) -> None:
        """More coverage in either answer never gives less, where the first is sure of nothing."""
        values = [fuse(filled(a), filled(0.4), FUSION)[0, 0] for a in (0, 0.2, 0.5, 0.8)]
        values_2 = [fuse(filled(0.4), filled(b), FUSION)[0, 0] for b in (0, 0.2, 0.5, 1)]
        assert all(a < b for a, b in pairwise(values))
        assert all(a < b for a, b in pairwise(values_2))

    def test_a_blind_second_takes_nothing(self) -> None:
        """Somebody whom the second does not see at all stays as the first has them."""
        first = filled(0)
        first[20:44, 20:44] = 1
        first[44:46, 20:44] = 0.7
        result = fuse(first, filled(0), FUSION)
        assert result[20:46, 20:44].min() > 0.69
        assert result[:14].max() == 0

    def test_the_second_counts_where_it_sees_the_person(self) -> None:
        """Beside a person whom both see, what the second denies is doubted."""
        first, second = filled(0), filled(0)
        first[20:44, 20:44] = second[20:44, 20:44] = 1
        first[20:44, 44:48] = 0.6
        result = fuse(first, second, FUSION)
        assert result[30, 30] > 0.99
        assert result[20:44, 45:48].max() < 0.45

    def test_memory(self) -> None:
        """The answers are left as they are, and share no memory with the result."""
        first, second = filled(0.3), filled(0.6)
        result = fuse(first, second, FUSION)
        assert (first == np.float32(0.3)).all()
        assert (second == np.float32(0.6)).all()
        assert not np.shares_memory(result, first)
        assert not np.shares_memory(result, second)


class TestFusedSegmenter:
    """Two members."""

    def test_one_frame(self) -> None:
        """A whole frame is shown to both as it is; stages and info name both."""
        timings = Timings()
        fused = fused_of(filled(0.3), filled(0.8), timings)
        frame = ramp()
        answer = fused.segment(frame)
        np.testing.assert_array_equal(answer, fuse(filled(0.3), filled(0.8), FUSION))
        one, two = fused.members
        assert isinstance(one, Scripted)
        assert isinstance(two, Scripted)
        assert one.seen == two.seen == [frame]
        assert set(timings.latest) == {"one", "two", "invoke"}
        assert fused.info == SegmenterInfo("both", "one.bin + two.bin", "Test 1", "cpu", 1)
        fused.reset()
        assert one.resets == two.resets == 1

    @pytest.mark.parametrize("is_flipped", [False, True])
    def test_the_second_looks_at_the_square_around(self, *, is_flipped: bool) -> None:
        """Of a part the second sees the square around; its answer is cut to the part."""

        def luma(frame: Frame) -> Floats:
            return np.asarray(frame.planes[0], np.float32) / np.float32(255)

        fused = fused_of(luma, luma)
        part = ramp().part((400, 100, 500, 300))
        shown = part.flipped() if is_flipped else part
        answer = fused.segment(shown)
        second = fused.members[1]
        assert isinstance(second, Scripted)
        assert second.seen[0].size == (200, 200)
        assert answer.shape == (200, 100)
        expected = fuse(luma(shown), luma(shown), FUSION)
        np.testing.assert_allclose(answer, expected, atol=0.02)

    @pytest.mark.parametrize(
        ("box", "size"),
        [
            ((0, 0, 640, 360), (640, 360)),
            ((0, 40, 60, 340), (300, 300)),
            ((20, 0, 620, 300), (600, 360)),
        ],
    )
    def test_squares_stay_in_the_frame(
        self, box: tuple[int, int, int, int], size: tuple[int, int]
    ) -> None:
        """A square is moved into the frame, and cut where it is larger."""
        fused = fused_of(filled(0.5), filled(0.5))
        fused.segment(ramp().part(box))
        second = fused.members[1]
        assert isinstance(second, Scripted)
        assert second.seen[0].size == size

    @pytest.mark.parametrize("is_second", [False, True])
    @pytest.mark.parametrize(
        "answer",
        [
            None,
            np.zeros((0, 4), np.float32),
            np.zeros((4, 4, 1), np.float32),
            filled(np.nan),
            filled(1.5),
        ],
    )
    def test_a_wrong_answer_of_either(self, answer: Any, *, is_second: bool) -> None:
        """An answer that is missing, misshapen or not finite is a fault of that member."""
        pair = [filled(0.5), filled(0.5)]
        pair[is_second] = answer
        fused = fused_of(pair[0], pair[1])
        with pytest.raises(
            ModelOutputError, match=f"'{('one', 'two')[is_second]}' of model 'both'"
        ):
            fused.segment(ramp())

    @pytest.mark.usefixtures("every_matte_believed")
    def test_no_frame_leaves_without_both(self) -> None:
        """A frame for which one member fails is not shown."""
        fused = fused_of(filled(1.0), filled(np.nan))
        with (
            VirtualBackground(Settings(background="color:teal"), segmenter=fused) as engine,
            pytest.raises(ProcessingError, match="'two' of model 'both'"),
        ):
            engine.process(ramp())

    def test_both_are_closed(self) -> None:
        """The second is closed, too, if closing the first fails."""
        fused = fused_of(ValueError("stuck"), filled(0))
        with pytest.raises(ValueError, match="stuck"):
            fused.close()
        assert all(isinstance(one, Scripted) and one.is_closed for one in fused.members)

    def test_matting_models_are_no_members(self) -> None:
        """A model that wants whole frames in order cannot be a member."""
        other = Scripted("other", filled(0))
        other.makes_mattes = True
        with pytest.raises(ModelError, match=r"'both' cannot have 'other' as a member"):
            FusedSegmenter("both", (Scripted("one", filled(0)), other), FUSION)


DUO: Final[dict[str, Any]] = {"name": "duo", "description": "two", "runtime": "onnx"}
POOL: Final[dict[str, Any]] = {"weights": [0.1, 0.2], "bias": 0.5}


class TestCards:
    """Cards with members."""

    @pytest.fixture
    def own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return the folder of the user's cards."""
        monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: tmp_path)
        (tmp_path / "models").mkdir()
        return tmp_path / "models"

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"members": ["selfie", "sinet"]}, "expected fusion"),
            ({"fusion": POOL}, "expected members"),
            ({"members": ["selfie"], "fusion": POOL}, "members"),
            ({"members": ["selfie", "sinet"], "fusion": {"weights": [0, 1]}}, "weights"),
            (
                {"members": ["selfie", "sinet"], "fusion": POOL, "file": {"name": "x.onnx"}},
                "file: not with members",
            ),
        ],
    )
    def test_errors(self, fields: dict[str, Any], message: str) -> None:
        """What a card with members lacks, or has too much, is said."""
        with pytest.raises(ValueError, match=message):
            Card(**DUO, **fields)

    def test_weights_of_all(self) -> None:
        """The weights of all members are needed, each once."""
        names = [part.name for part in required_cards(card_named("selfie-duo"))]
        assert names == ["selfie-general", "selfie-landscape", "selfie-multiclass"]
        twice = Card(**DUO, members=("selfie", "selfie-general"), fusion=FUSION)
        assert len(required_cards(twice)) == 2

    def test_unknown_members_and_circles(self, own: Path) -> None:
        """A member that is unknown, or that consists of the card itself, is an error."""
        text = 'name = "{}"\ndescription = "x"\nruntime = "onnx"\nmembers = {}\n'
        text += "[fusion]\nweights = [1, 1]\n"
        for name, members in (
            ("a", ["b", "sinet"]),
            ("b", ["selfie", "a"]),
            ("c", ["sinett", "a"]),
        ):
            (own / f"{name}.toml").write_text(text.format(name, members))
        for name in ("a", "b"):
            with pytest.raises(ModelError, match=r"consists of itself: (a -> b -> a|b -> a -> b)"):
                create_segmenter(Settings(model=name))
        with pytest.raises(ModelError, match=r"'c' consists of 'sinett'.*did you mean 'sinet'"):
            create_segmenter(Settings(model="c"))

    def test_weights_that_are_not_here(self, own: Path) -> None:
        """Without the weights of a member there is no segmenter, and the member is named."""
        text = 'name = "{}"\ndescription = "x"\nruntime = "onnx"\n'
        (own / "far.toml").write_text(
            text.format("far") + '[file]\nname = "far.onnx"\n[input]\nsize = [8, 8]\n'
        )
        pool = 'members = ["selfie", "far"]\n[fusion]\nweights = [1, 1]\n'
        (own / "duo.toml").write_text(text.format("duo") + pool)
        with pytest.raises(ModelError, match="the weights of model 'far' are not here"):
            create_segmenter(Settings(model="duo"))

    def test_the_package_s(self, shared_model: SharedModel, portrait: NDArray[np.uint8]) -> None:
        """The package's two find the portrait, and name both files."""
        folder = shared_model("selfie_multiclass_256x256.tflite").parent
        segmenter = create_segmenter(Settings(model="selfie-duo", models_dir=folder))
        answer = segmenter.segment(Frame.from_rgb(portrait))
        assert 0.3 < float((answer > 0.5).mean()) < 0.8
        assert answer.min() < 0.01
        assert "selfie_general" in segmenter.info.file
        assert "multiclass" in segmenter.info.file
        segmenter.close()


def bright(value: float) -> Callable[[Frame], Floats]:
    """Make an answer that covers what is bright by a value."""

    def answer(frame: Frame) -> Floats:
        luma = cv2.resize(frame.planes[0], (64, 64), interpolation=cv2.INTER_AREA)
        return (luma > 150) * np.float32(value)

    return answer


def timed(number: int) -> Frame:
    """Make a frame of a bright person who goes to the right, at 25 frames a second."""
    frame = Frame.filled(Layout(*SIZE, "yuv420p", Colour(1, 1)), (40, 40, 40))
    frame.planes[0][100:, 200 + number : 400 + number] = 200
    return frame.shown_at(number, Fraction(1, 25))


class TestSecondLooks:
    """The second member looks at some frames only, where the engine is told so."""

    def test_an_engine_asks_it_now_and_then(self) -> None:
        """With a number, the second is asked on another thread; with 0 not; with None always."""
        first, second = Scripted("small", bright(1.0)), Scripted("large", bright(1.0))
        segmenter = FusedSegmenter("duo", (first, second), FUSION)
        with VirtualBackground(background="color:#004080", segmenter=segmenter) as engine:
            engine.second_every = 4
            for number in range(40):
                engine.process(timed(number))
                while segmenter.second.used.locked():
                    time.sleep(0.001)
            asked = len(second.seen)
            assert 2 <= asked <= 10
            assert engine.timings.latest["second look"] >= 0
            engine.second_every = 0
            engine.process(timed(40))
            assert len(second.seen) == asked
            engine.second_every = None
            for number in range(41, 46):  # some are followed
                engine.process(timed(number))
            assert len(second.seen) > asked

    def test_its_failure_is_no_failure_of_the_frame(self) -> None:
        """A second member that fails on its own thread leaves the first one's mattes."""
        first, second = Scripted("small", bright(1.0)), Scripted("large", filled(2.0))
        segmenter = FusedSegmenter("duo", (first, second), FUSION)
        with VirtualBackground(background="color:#004080", segmenter=segmenter) as engine:
            engine.second_every = 4
            for number in range(12):
                engine.process(timed(number))
            assert engine.failures == 0

    def test_one_that_hangs_is_not_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its library may be at work: only the first is closed."""
        monkeypatch.setattr("greenroom.segmenters.second_looks._CLOSE_S", 0.05)
        may = threading.Event()
        waiting = Scripted("large", lambda frame: may.wait(10) and bright(1.0)(frame))
        first = Scripted("small", bright(1.0))
        segmenter = FusedSegmenter("duo", (first, waiting), FUSION)
        segmenter.second.look(timed(0))
        segmenter.close()
        assert (first.is_closed, waiting.is_closed) == (True, False)
        may.set()
