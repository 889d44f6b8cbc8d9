"""Segmenters from names, cards and model files alone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom import Settings, VirtualBackground
from greenroom.errors import ModelError, ModelOutputError, ProcessingError, SettingsError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.segmenters import check_coarse_matte, create_segmenter
from greenroom.segmenters.creation import SegmenterByShape
from greenroom.segmenters.inspection import card_of_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from segmenters.conftest import MakeGraph, MakeOnnx, SharedModel

    Plane = NDArray[np.uint8]


def filled(rgb: tuple[int, int, int], size: tuple[int, int] = (64, 36)) -> Frame:
    """Make a frame of one colour."""
    return Frame.filled(Layout(*size, "yuv420p", Colour(1, 1)), rgb)


class TestNames:
    """Models by name."""

    @pytest.mark.parametrize(
        ("size", "model"),
        [
            ((640, 480), "selfie-general"),
            ((1920, 1080), "selfie-general"),
            ((1280, 640), "selfie-landscape"),
            ((360, 640), "selfie-general"),
        ],
    )
    def test_selfie_goes_by_shape(self, size: tuple[int, int], model: str) -> None:
        """The wide model is for frames that are at least twice as wide as high."""
        segmenter = create_segmenter(Settings(model="selfie"))
        segmenter.segment(filled((90, 90, 90), size))
        assert segmenter.info.model == model
        assert segmenter.info.file.endswith(f"{model.replace('-', '_')}.tflite")
        assert segmenter.foreground(filled((90, 90, 90), size)) is None
        segmenter.reset()
        segmenter.close()

    def test_both_are_closed(self) -> None:
        """A segmenter that chooses closes all that it loaded."""
        segmenter = create_segmenter(Settings())
        assert isinstance(segmenter, SegmenterByShape)
        segmenter.segment(filled((9, 9, 9), (640, 360)))
        segmenter.segment(filled((9, 9, 9), (1280, 360)))
        parts = list(segmenter._loaded.values())  # noqa: SLF001 - to see them closed
        assert len(parts) == 2
        segmenter.close()
        for part in parts:
            with pytest.raises(AttributeError):
                part.segment(filled((9, 9, 9)))

    @pytest.mark.parametrize("name", ["selfie-genral", "nothing-like-it"])
    def test_unknown_names(self, name: str) -> None:
        """An unknown name is answered with those that are known."""
        with pytest.raises(SettingsError, match="selfie"):
            create_segmenter(Settings(model=name))

    def test_threads_and_answers(self, portrait: Plane) -> None:
        """Threads change nothing but the time; the answer belongs to the caller."""
        frame = Frame.from_rgb(portrait)
        answers = []
        for threads in (1, 2):
            segmenter = create_segmenter(Settings(model="selfie-general", threads=threads))
            assert segmenter.info.threads == threads
            first = segmenter.segment(frame)
            kept = first.copy()
            segmenter.segment(Frame.filled(frame.layout, (0, 0, 0)))
            np.testing.assert_array_equal(first, kept)
            answers.append(check_coarse_matte(first))
            segmenter.close()
        assert np.abs(answers[0] - answers[1]).max() < 1e-4
        assert answers[0].max() > 0.99
        assert answers[0].min() < 0.01

    @pytest.mark.parametrize("values", [{"device": "directml"}, {"keep": "person"}])
    def test_settings_that_do_not_fit(self, values: dict[str, Any]) -> None:
        """LiteRT has no DirectML, and selfie no classes."""
        with pytest.raises(
            SettingsError, match=r"'directml' cannot run|no classes to keep"
        ) as error:
            VirtualBackground(**values)
        assert error.value.name == next(iter(values))


class TestCards:
    """Cards of the user's own."""

    CARD = """
name = "mine"
description = "the green of a picture"
runtime = "onnx"
file = {{ name = "{}" }}
input = {{ size = [8, 6] }}
output = {{ {} }}
"""

    @pytest.mark.usefixtures("every_matte_believed")
    def test_beside_its_file(self, green_onnx: Path) -> None:
        """A card and its file are all that a model needs."""
        card = green_onnx.with_name("mine.toml")
        card.write_text(self.CARD.format(green_onnx.name, ""))
        with VirtualBackground(model=str(card), background="color:#000000") as vb:
            vb.process(filled((0, 128, 0)))
            assert vb.matte is not None
            assert abs(vb.matte.astype(int) - 128).max() <= 8
            assert vb.info.model == "mine"
            assert vb.info.file == str(green_onnx)
            assert vb.info.runtime.startswith("ONNX Runtime ")
            assert vb.info.device == "cpu"

    @pytest.mark.usefixtures("every_matte_believed")
    def test_another_while_running(self, green_onnx: Path) -> None:
        """The model, its device and what is kept may change between two frames."""
        card = green_onnx.with_name("mine.toml")
        card.write_text(self.CARD.format(green_onnx.name, ""))
        with VirtualBackground(background="color:#000000") as vb:
            vb.process(filled((0, 128, 0)))
            vb.update(model=str(card), device="cpu")
            vb.process(filled((0, 128, 0)))
            assert vb.info.model == "mine"
            with pytest.raises(SettingsError, match="keep"):
                vb.update(keep="person")
            assert vb.info.model == "mine"

    def test_of_another_model(self, green_onnx: Path) -> None:
        """A card that describes another network is refused when it is loaded."""
        card = green_onnx.with_name("mine.toml")
        output = 'reading = "logits", classes = ["background", "person"]'
        card.write_text(self.CARD.format(green_onnx.name, output))
        with pytest.raises(ModelError, match="answers with 1 channels, but the card of 'mine'"):
            VirtualBackground(model=str(card))
        card.write_text(self.CARD.format(green_onnx.name, 'name = "pha"'))
        with pytest.raises(ModelError, match="no output 'pha': its outputs are y"):
            VirtualBackground(model=str(card))

    @pytest.mark.usefixtures("every_matte_believed")
    def test_answers_that_are_no_numbers(self, make_onnx: MakeOnnx) -> None:
        """A model whose answer is no number for some pictures never shows them."""
        path = make_onnx(
            [
                ("Slice", ["x", "from", "to", "axis"], ["g"], {}),
                ("Sub", ["g", "half"], ["d"], {}),
                ("Sqrt", ["d"], ["y"], {}),
            ],
            {"x": [1, 6, 8, 3]},
            {"y": [1, 6, 8, 1]},
            {
                "from": np.array([1]), "to": np.array([2]), "axis": np.array([3]),
                "half": np.array(0.5, np.float32),
            },
        )  # fmt: skip
        card = path.with_name("mine.toml")
        card.write_text(self.CARD.format(path.name, ""))
        with VirtualBackground(model=str(card), background="color:#204060") as vb:
            assert vb.process(filled((0, 200, 0))) is not None
            with pytest.raises(ProcessingError, match="not a matte") as error:
                vb.process(filled((0, 9, 0)))
            assert isinstance(error.value.__cause__, ModelOutputError)
            assert vb.process(filled((0, 200, 0))) is not None


class TestFilesAlone:
    """Model files without a card."""

    @pytest.mark.usefixtures("every_matte_believed")
    @pytest.mark.parametrize("name", ["mine.onnx", "My model (2).ONNX"])
    def test_coverage(self, name: str, green_onnx: Path, caplog: pytest.LogCaptureFixture) -> None:
        """One picture in, one channel of 0 to 1 out, and what was assumed is told."""
        path = green_onnx.rename(green_onnx.with_name(name))
        with caplog.at_level(logging.WARNING), VirtualBackground(model=str(path)) as vb:
            vb.process(filled((0, 128, 0)))
            assert vb.matte is not None
            assert abs(vb.matte.astype(int) - 128).max() <= 8
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "'x' takes RGB from 0 to 1, NHWC, 8x6; 'y' is coverage" in record.getMessage()

    @pytest.mark.parametrize(
        ("node", "channels", "reading"),
        [
            (("Mul", {"factor": np.array(9, np.float32)}), 1, "logit"),
            (("Mul", {"factor": np.ones((1, 1, 1, 21), np.float32)}), 21, "logits"),
        ],
    )
    def test_logits(
        self,
        node: tuple[str, dict[str, Any]],
        channels: int,
        reading: str,
        make_onnx: MakeOnnx,
    ) -> None:
        """Values beyond 0 to 1 are logits; 21 channels are PASCAL VOC's classes."""
        kind, constants = node
        path = make_onnx(
            [
                ("ReduceSum", ["x", "axis"], ["s"], {"keepdims": 1}),
                (kind, ["s", "factor"], ["y"], {}),
            ],
            {"x": [1, 6, 8, 3]},
            {"y": [1, 6, 8, channels]},
            {"axis": np.array([3]), **constants},
        )
        card = card_of_file(path)
        assert card.output.reading == reading
        assert card.output.layout == "NHWC"
        assert len(card.output.classes) == (21 if channels == 21 else 0)
        assert card.input is not None
        assert card.input.std == ((127.5,) * 3 if channels == 21 else (255,) * 3)

    @pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
    def test_softmax_and_layout(self, layout: str, make_onnx: MakeOnnx) -> None:
        """Channels that add up to 1 are probabilities, and axes are told by their lengths."""
        planar = layout == "NCHW"
        path = make_onnx(
            [("Conv", ["p", "w"], ["c"], {}), ("Softmax", ["c"], ["y"], {"axis": 1})]
            if planar
            else [
                ("Transpose", ["x"], ["p"], {"perm": [0, 3, 1, 2]}),
                ("Conv", ["p", "w"], ["c"], {}),
                ("Softmax", ["c"], ["z"], {"axis": 1}),
                ("Transpose", ["z"], ["y"], {"perm": [0, 2, 3, 1]}),
            ],
            {"p": [1, 3, 6, 8]} if planar else {"x": [1, 6, 8, 3]},
            {"y": [1, 21, 6, 8] if planar else [1, 6, 8, 21]},
            {"w": np.random.default_rng(0).normal(0, 1, (21, 3, 1, 1)).astype(np.float32)},
        )
        card = card_of_file(path)
        assert (card.output.reading, card.output.layout) == ("probabilities", layout)
        assert card.input is not None
        assert (card.input.size, card.input.layout) == ((8, 6), layout)
        segmenter = create_segmenter(Settings(model=str(path), keep="dog"))
        assert check_coarse_matte(segmenter.segment(filled((9, 200, 9)))).shape == (6, 8)
        segmenter.close()

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ({"x": [1, 6, 8, 3], "z": [1, 6, 8, 3]}, "2 inputs, and which is the picture"),
            ({"x": [1, "h", "w", 3]}, "pictures of any size"),
            ({"x": [1, 6, 8, 4]}, "not one picture of three channels"),
            ({"x": [2, 6, 8, 3]}, "not one picture of three channels"),
            ({"x": [1, 3, 8, 3]}, "not one picture of three channels"),
            ({"x": [6, 8, 3]}, "not one picture of three channels"),
            ({"x": ["b", "c", "h", "w"]}, "not one picture of three channels"),
        ],
    )
    def test_inputs_that_leave_it_open(
        self, inputs: dict[str, Any], message: str, make_onnx: MakeOnnx
    ) -> None:
        """The error tells what is there, and what a card must say."""
        path = make_onnx([("Sum", list(inputs), ["y"], {})], inputs, {"y": inputs["x"]})
        with pytest.raises(ModelError, match=message) as error:
            create_segmenter(Settings(model=str(path)))
        for word in ("'x' (float32", "'y' (float32", "[input] name", "mean and std", "reading"):
            assert word in str(error.value)

    @pytest.mark.parametrize("channels", [2, 3, 5])
    def test_outputs_that_leave_it_open(self, channels: int, make_onnx: MakeOnnx) -> None:
        """Two channels may be normalised in many ways, and others mean nothing known."""
        path = make_onnx(
            [
                ("ReduceSum", ["x", "axis"], ["s"], {"keepdims": 1}),
                ("Mul", ["s", "factor"], ["y"], {}),
            ],
            {"x": [1, 6, 8, 3]},
            {"y": [1, 6, 8, channels]},
            {"axis": np.array([3]), "factor": np.ones((1, 1, 1, channels), np.float32)},
        )
        with pytest.raises(ModelError, match=r"is not clear|how its input is normalised"):
            card_of_file(path)

    def test_missing_file(self, tmp_path: Path) -> None:
        """A file that is not there is named."""
        with pytest.raises(ModelError, match=r"nowhere\.onnx' cannot be read: no such file"):
            create_segmenter(Settings(model=str(tmp_path / "nowhere.onnx")))

    def test_frozen_graph(self, frozen_graph: MakeGraph) -> None:
        """A graph that takes uint8 of any size is an export of DeepLab."""

        def build(tf: Any) -> None:
            picture = tf.compat.v1.placeholder(tf.uint8, [1, None, None, 3], "ImageTensor")
            bright = tf.cast(tf.reduce_mean(tf.cast(picture, tf.float32), 3) > 100, tf.int64)
            tf.identity(15 * bright, "SemanticPredictions")

        segmenter = create_segmenter(Settings(model=str(frozen_graph(build))))
        assert segmenter.segment(filled((200, 200, 200))).shape == (288, 513)
        assert (segmenter.segment(filled((200, 200, 200))) == 1).all()
        assert (segmenter.segment(filled((9, 9, 9))) == 0).all()
        assert segmenter.info.runtime.startswith("TensorFlow ")
        segmenter.close()

    @pytest.mark.parametrize(
        ("name", "reading", "classes"),
        [
            ("deeplabv3_257_mv_gpu.tflite", "logits", 21),
            ("deeplabv3_mnv2_pascal_quant.tflite", "labels", 21),
            ("selfie_general.onnx", "coverage", 0),
            ("selfie_landscape.onnx", "coverage", 0),
            ("deeplab_dm05_person_frozen_inference_graph.pb", "labels", 2),
        ],
    )
    def test_known_files(
        self,
        name: str,
        reading: str,
        classes: int,
        shared_model: SharedModel,
        portrait: Plane,
        request: pytest.FixtureRequest,
    ) -> None:
        """Models that people have are read as they are meant, and find the person."""
        if name.endswith(".pb"):
            request.getfixturevalue("frozen_graph")  # which skips without TensorFlow
        path = shared_model(name)
        card = card_of_file(path)
        assert (card.output.reading, len(card.output.classes)) == (reading, classes)
        segmenter = create_segmenter(Settings(model=str(path)))
        coverage = check_coarse_matte(segmenter.segment(Frame.from_rgb(portrait)))
        height, width = coverage.shape
        assert coverage[height // 2, width * 2 // 5] > 0.8
        assert coverage[height // 20, width // 20] < 0.2
        segmenter.close()

    @pytest.mark.parametrize(
        "name",
        [
            "sinet_320.onnx",
            "pphumanseg_lite_portrait_398x224.onnx",
            "rvm_mobilenetv3_from_tfjs_int8.onnx",
        ],
    )
    def test_known_files_that_need_a_card(self, name: str, shared_model: SharedModel) -> None:
        """Two channels of unknown normalisation, and recurrent networks, are not guessed."""
        with pytest.raises(ModelError, match="leaves open how it is to be used"):
            card_of_file(shared_model(name))
