"""Models by name, their input, and what they say when something is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from greenroom.errors import FormatError, ModelError, ModelOutputError, SettingsError
from greenroom.frames import Colour, Format, Frame, Layout
from greenroom.resampling import upsample
from greenroom.segmenters import check_coarse_matte, create_segmenter
from greenroom.segmenters.catalogue import card_named, cards, parts, read_cards
from greenroom.segmenters.litert import LiteRTRuntime
from greenroom.segmenters.network import NetworkSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]


OWN = """name = "{}"
description = "mine"
runtime = "onnx"
file = {{ name = "mine.onnx" }}
input = {{ longest = 512 }}
"""


class Recorder:
    """A runtime that keeps what it is given."""

    name, device, threads = "recorder", "cpu", 1
    input_shape = (1, 144, 256, 3)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.given: NDArray[np.float32] = np.empty(0, np.float32)

    def run(self, fill: Callable[[NDArray[np.float32]], None]) -> NDArray[np.float32]:
        """Fill an input and answer with zeros."""
        self.given = np.full(self.input_shape, np.nan, np.float32)
        fill(self.given)
        return np.zeros((1, 144, 256, 1), np.float32)

    def close(self) -> None:
        """Do nothing."""


class TestInput:
    """What a model sees."""

    @pytest.mark.parametrize("format_", ["yuv420p", "yuv444p", "gbrp"])
    @pytest.mark.parametrize("colour", [Colour(1, 1), Colour(6, 1), Colour(1, 2), Colour(9, 2)])
    @pytest.mark.parametrize("size", [(512, 512), (1280, 720), (320, 180), (97, 55)])
    def test_is_the_picture_in_rgb(
        self,
        format_: Format,
        colour: Colour,
        size: tuple[int, int],
        portrait: Plane,
        tmp_path: Path,
    ) -> None:
        """Whatever the format, matrix, range and size: RGB in 0..1, stretched to the input."""
        layout = Layout(*size, format_, Colour(0, 2) if format_ == "gbrp" else colour)
        picture = cv2.resize(portrait, size, interpolation=cv2.INTER_AREA)
        frame = Frame.from_rgb(np.asarray(picture, np.uint8)).converted(layout)
        runtime = Recorder(tmp_path)
        segmenter = NetworkSegmenter("recorder", runtime)
        segmenter.segment(frame)
        expected = cv2.resize(frame.to_rgb(), (256, 144), interpolation=cv2.INTER_AREA) / 255
        assert runtime.given.shape == (1, 144, 256, 3)
        difference = np.abs(runtime.given[0] - expected)
        assert difference.mean() < 0.02
        assert abs(float(runtime.given.mean()) - float(expected.mean())) < 0.004

    def test_needs_colour(self, tmp_path: Path) -> None:
        """A gray frame is refused."""
        segmenter = NetworkSegmenter("recorder", Recorder(tmp_path))
        with pytest.raises(FormatError, match="gray"):
            segmenter.segment(Frame.filled(Layout(64, 36, "gray"), (1, 1, 1)))


class TestCatalogue:
    """Names."""

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
        segmenter = create_segmenter("selfie")
        segmenter.segment(Frame.filled(Layout(*size, "yuv420p"), (90, 90, 90)))
        assert segmenter.info.model == model
        assert segmenter.info.file.endswith(f"{model.replace('-', '_')}.tflite")
        segmenter.close()

    @pytest.mark.parametrize("name", ["selfie-genral", "nothing-like-it", ""])
    def test_unknown_names(self, name: str) -> None:
        """An unknown name is answered with those that are known."""
        with pytest.raises(SettingsError, match="selfie"):
            create_segmenter(name)

    def test_threads_and_answers(self, portrait: Plane) -> None:
        """Threads change nothing but the time; the answer belongs to the caller."""
        frame = Frame.from_rgb(portrait)
        answers = []
        for threads in (1, 2):
            segmenter = create_segmenter("selfie-general", threads=threads)
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


class TestCards:
    """The cards of the package and of the user."""

    @pytest.fixture(autouse=True)
    def own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return the folder of the user's cards."""
        monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: tmp_path)
        (tmp_path / "models").mkdir()
        return tmp_path / "models"

    def test_of_the_package(self) -> None:
        """Every card of the package is called as its file, and says where it comes from."""
        found = cards()
        assert set(found) == {
            "chroma", "deeplabv3", "deeplabv3-513-quant", "deeplabv3-mnv2", "deeplabv3-xception",
            "modnet", "pp-humanseg", "rvm-mobilenetv3", "rvm-resnet50", "selfie",
            "selfie-general", "selfie-landscape", "selfie-multiclass", "sinet", "u2net-human",
        }  # fmt: skip
        for name, card in found.items():
            assert card.name == name
            assert card.license != "unknown"
            assert card.license_url
            assert card.file is None or card.file.embedded or card.file.url

    def test_classes(self) -> None:
        """DeepLab's person is class 15 of PASCAL VOC; selfie-multiclass keeps all of a person."""
        for name in cards():
            if name.startswith("deeplab"):
                output = card_named(name).output
                assert len(output.classes) == 21
                assert output.classes[15] == "person"
                assert output.keep == ("person",)
        output = card_named("selfie-multiclass").output
        assert output.classes == ("background", *output.keep)

    def test_parts(self) -> None:
        """A model that chooses needs the weights of both, any other its own."""
        assert [part.name for part in parts(card_named("selfie"))] == [
            "selfie-general",
            "selfie-landscape",
        ]
        assert [part.name for part in parts(card_named("modnet"))] == ["modnet"]

    def test_of_the_user(self, own: Path) -> None:
        """A card in the user's folder is named as its file, one elsewhere by its path."""
        (own / "mine.toml").write_text(OWN.format("mine"))
        assert card_named("mine").folder == own
        assert "mine" in cards()
        (own.parent / "other.toml").write_text(OWN.format("mine"))
        assert card_named(str(own.parent / "other.toml")).folder == own.parent

    def test_of_the_package_come_first(self, own: Path) -> None:
        """A card of the user's does not hide one of the package."""
        (own / "sinet.toml").write_text(OWN.format("sinet"))
        assert card_named("sinet").description != "mine"

    def test_broken_card(self, own: Path) -> None:
        """A broken card is an error when it is named, and told beside the others."""
        (own / "broken.toml").write_text("name = 3")
        (own / "renamed.toml").write_text(OWN.format("mine"))
        with pytest.raises(ModelError, match=r"broken\.toml.*line 1"):
            card_named("broken")
        with pytest.raises(ModelError, match="expected 'renamed'"):
            card_named("renamed")
        assert card_named("deeplabv3").name == "deeplabv3"
        found, errors = read_cards()
        assert found == cards()
        assert [Path(str(error.path)).stem for error in errors] == ["broken", "renamed"]

    def test_nearest_name(self) -> None:
        """An unknown name is answered with the nearest."""
        with pytest.raises(
            SettingsError, match=r"'deeplab_v3': did you mean 'deeplabv3'\?"
        ) as error:
            card_named("deeplab_v3")
        assert error.value.name == "model"


class TestLiteRT:
    """The runtime."""

    @pytest.mark.parametrize("data", [b"", b"This is no model.", b"\x18\0\0\0TFL3" + bytes(64)])
    def test_broken_files(self, data: bytes, tmp_path: Path) -> None:
        """A file that is no model is named."""
        path = tmp_path / "broken.tflite"
        path.write_bytes(data)
        with pytest.raises(ModelError, match=r"broken\.tflite"):
            LiteRTRuntime(path)

    def test_is_quiet(self) -> None:
        """Nothing is printed, neither by us nor by the library."""
        code = (
            "import greenroom, numpy\n"
            "with greenroom.VirtualBackground() as vb:\n"
            "    vb.process_rgb(numpy.zeros((90, 160, 3), numpy.uint8))\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env=os.environ
        )
        assert (run.stdout, run.stderr) == (b"", b"")


class TestCoarseMatte:
    """What counts as an answer."""

    @pytest.mark.parametrize(
        "answer",
        [
            None,
            [[0.5]],
            np.zeros((4, 4)),
            np.zeros((4, 4, 1), np.float32),
            np.zeros((0, 4), np.float32),
            np.full((4, 4), np.nan, np.float32),
            np.full((4, 4), np.inf, np.float32),
            np.full((4, 4), 1.1, np.float32),
            np.full((4, 4), -0.1, np.float32),
        ],
    )
    def test_what_is_none(self, answer: object) -> None:
        """Everything that is not a finite picture in 0..1 is refused."""
        with pytest.raises(ModelOutputError):
            check_coarse_matte(answer)

    def test_rounding_is_forgiven(self) -> None:
        """A hair over 1 or under 0 is rounding, and becomes 255 or 0."""
        answer = np.array([[1.0009, 1.0009, -0.0009, -0.0009]], np.float32)
        out = np.empty((8, 64), np.uint8)
        upsample(check_coarse_matte(answer), out)
        assert (out[:, 0] == 255).all()
        assert (out[:, -1] == 0).all()
        assert (np.diff(out.astype(int), axis=1) <= 0).all()
