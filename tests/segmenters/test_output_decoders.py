"""Outputs to coverage, and which classes are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cards import card_of
from scipy.special import expit, softmax

from greenroom.errors import ModelError, ModelOutputError, SettingsError
from greenroom.segmenters import check_coarse_matte
from greenroom.segmenters.output_decoders import CoverageReader, selected_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ["background", "chair", "dog", "person"]


def reader(keep: str | None = None, **output: Any) -> CoverageReader:
    """Make a reader of an output."""
    if output.get("reading") in ("labels", "logits", "probabilities"):
        output.setdefault("classes", CLASSES)
    return CoverageReader(card_of(output=output), keep)


def planes_of(picture: NDArray[Any], layout: str) -> NDArray[Any]:
    """Put (h, w, c) into a layout, with a batch."""
    return picture[None] if layout == "NHWC" else picture.transpose(2, 0, 1)[None].copy()


class TestReadings:
    """Decoding of outputs."""

    @pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
    @pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
    def test_coverage(self, layout: str, dtype: type, rng: np.random.Generator) -> None:
        """It is taken as it is, into memory of its own."""
        values: NDArray[Any] = rng.random((6, 8, 1)).astype(dtype)
        output = planes_of(values, layout)
        coverage = reader(layout=layout).read(output)
        np.testing.assert_array_equal(coverage, values[..., 0].astype(np.float32))
        assert coverage.dtype == np.float32
        assert not np.shares_memory(coverage, output)

    @pytest.mark.parametrize("threshold", [0.1, 0.5, 0.8])
    def test_threshold(self, threshold: float) -> None:
        """The threshold becomes 0.5; ends, order and NaN stay."""
        values = np.array([0, threshold / 2, threshold, (1 + threshold) / 2, 1], np.float32)
        coverage = reader(threshold=threshold).read(values[None, None, :, None])
        np.testing.assert_allclose(coverage[0], [0, 0.25, 0.5, 0.75, 1], atol=1e-6)
        assert coverage.dtype == np.float32
        with pytest.raises(ModelOutputError):
            check_coarse_matte(
                reader(threshold=threshold).read(np.full((1, 2, 2, 1), np.nan, "f4"))
            )

    @pytest.mark.parametrize("shape", [(6, 8), (1, 6, 8), (1, 6, 8, 1)])
    def test_fewer_axes(self, shape: tuple[int, ...]) -> None:
        """One channel may have no axis for it, and no batch."""
        assert reader().read(np.ones(shape, np.float32)).shape == (6, 8)

    def test_logit(self, rng: np.random.Generator) -> None:
        """A sigmoid makes it coverage, however far from zero."""
        values = rng.normal(0, 5, (1, 6, 8, 1)).astype(np.float32)
        values[0, 0, :2, 0] = -1e4, 1e4
        coverage = reader(reading="logit").read(values)
        np.testing.assert_allclose(coverage, expit(values[0, :, :, 0].astype(float)), atol=1e-6)

    @pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
    @pytest.mark.parametrize("keep", [None, "dog", "person, dog"])
    def test_probabilities(self, layout: str, keep: str | None, rng: np.random.Generator) -> None:
        """Those of the kept classes are added."""
        values = softmax(rng.normal(0, 3, (6, 8, 4)), axis=2).astype(np.float32)
        coverage = reader(keep, reading="probabilities", layout=layout).read(
            planes_of(values, layout)
        )
        channels = {None: [3], "dog": [2], "person, dog": [2, 3]}[keep]
        np.testing.assert_allclose(coverage, values[..., channels].sum(axis=2), atol=1e-6)
        check_coarse_matte(coverage)

    @pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
    @pytest.mark.parametrize(("keep", "kept"), [(None, [3]), ("chair,person", [1, 3])])
    def test_logits(
        self, layout: str, keep: str | None, kept: list[int], rng: np.random.Generator
    ) -> None:
        """The distance between the best kept class and the best other, through a sigmoid."""
        values = rng.normal(0, 3, (6, 8, 4)).astype(np.float32)
        coverage = reader(keep, reading="logits", layout=layout, gain=2.0).read(
            planes_of(values, layout)
        )
        others = [channel for channel in range(4) if channel not in kept]
        distance = values[..., kept].max(axis=2) - values[..., others].max(axis=2)
        np.testing.assert_allclose(coverage, expit(2.0 * distance), atol=1e-6)
        assert ((coverage > 0.5) == np.isin(values.argmax(axis=2), kept)).all()

    @pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.float32])
    @pytest.mark.parametrize("shape", [(6, 8), (1, 6, 8), (1, 6, 8, 1)])
    def test_labels(self, dtype: type, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        """Labels of kept classes are coverage 1."""
        labels = rng.integers(0, 4, (6, 8))
        output: NDArray[Any] = labels.astype(dtype).reshape(shape)
        one = reader(reading="labels").read(output)
        np.testing.assert_array_equal(one, (labels == 3).astype(np.float32))
        two = reader("dog,person", reading="labels").read(output)
        np.testing.assert_array_equal(two, np.isin(labels, [2, 3]).astype(np.float32))
        assert one.dtype == two.dtype == np.float32


class TestWrongOutputs:
    """Outputs that do not match the card."""

    @pytest.mark.parametrize(
        ("reading", "output"),
        [
            ("coverage", np.zeros((1, 6, 8, 2), np.float32)),
            ("coverage", np.zeros((1, 1, 6, 8), np.float32)),
            ("coverage", np.zeros((2, 6, 8, 1), np.float32)),
            ("coverage", np.zeros((1, 6, 8, 1), np.uint8)),
            ("coverage", np.zeros((1, 0, 8, 1), np.float32)),
            ("coverage", np.zeros((8,), np.float32)),
            ("logits", np.zeros((1, 6, 8, 21), np.float32)),
            ("logits", np.zeros((1, 6, 8), np.float32)),
            ("probabilities", np.zeros((1, 4, 6, 8), np.float32)),
            ("labels", np.full((1, 6, 8), 0.5, np.float32)),
            ("labels", np.full((1, 6, 8), np.nan, np.float32)),
            ("labels", np.zeros((1, 6, 8, 4), np.int64)),
        ],
    )
    def test_shapes_and_types(self, reading: str, output: NDArray[Any]) -> None:
        """They are told with what was expected."""
        with pytest.raises(ModelOutputError, match=r"'mine'.*expected.*not \w+ of shape"):
            reader(reading=reading).read(output)

    @pytest.mark.parametrize("channel", range(4))
    @pytest.mark.parametrize("reading", ["logits", "probabilities"])
    def test_nan(self, reading: str, channel: int) -> None:
        """NaN in any class stays NaN in the coverage."""
        values = np.zeros((1, 6, 8, 4), np.float32)
        values[0, 2, 3, channel] = np.nan
        coverage = reader("chair,dog,person", reading=reading).read(values)
        if reading == "probabilities" and channel == 0:
            return  # not looked at, and not shown
        with pytest.raises(ModelOutputError):
            check_coarse_matte(coverage)

    def test_channels_known_before(self) -> None:
        """A model whose shape says that it is another is refused when it is loaded."""
        logits = reader(reading="logits")
        logits.check((1, 6, 8, 4), "mine.onnx")
        logits.check((1, None, None, None), "mine.onnx")
        with pytest.raises(ModelError, match="21 channels, but the card of 'mine' describes 4"):
            logits.check((1, 6, 8, 21), "mine.onnx")
        with pytest.raises(ModelError, match="8 channels"):
            reader(reading="logits", layout="NCHW").check((1, 8, 6, 4), "mine.onnx")


class TestKeep:
    """Classes."""

    def test_default(self) -> None:
        """The card says what is kept unless the user does."""
        card = card_of(output={"reading": "labels", "classes": CLASSES, "keep": ["dog"]})
        assert selected_classes(card, None) == ("dog",)
        assert selected_classes(card, " Person ,dog, person") == ("person", "dog")

    @pytest.mark.parametrize(
        ("keep", "message"),
        [
            ("dgo", r"no class 'dgo': did you mean 'dog'\?.*chair, dog, person"),
            ("xyzzy", "no class 'xyzzy': it knows chair, dog, person"),
            ("person,background", "no class 'background'"),
            (" , ", "expected names of classes"),
        ],
    )
    def test_unknown(self, keep: str, message: str) -> None:
        """An unknown class is answered with those that are known."""
        card = card_of(output={"reading": "labels", "classes": CLASSES})
        with pytest.raises(SettingsError, match=message) as error:
            selected_classes(card, keep)
        assert error.value.name == "keep"

    def test_no_classes(self) -> None:
        """A model of one kind has nothing to choose from."""
        with pytest.raises(SettingsError, match="'mine' has no classes to keep"):
            selected_classes(card_of(), "person")
        assert selected_classes(card_of(), None) == ()

    def test_card_that_keeps_nothing(self) -> None:
        """A card has to keep something, and the background is nothing."""
        output = {"reading": "labels", "classes": CLASSES, "keep": ["background"]}
        with pytest.raises(ModelError, match="keeps none of chair, dog, person"):
            selected_classes(card_of(output=output), None)
