"""Models by name, their input, and what they say when something is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from greenroom.errors import FormatError, ModelError, ModelOutputError, SettingsError
from greenroom.frames import Colour, Format, Frame, Layout
from greenroom.resampling import upsample
from greenroom.segmenters import check_coarse_matte, create_segmenter
from greenroom.segmenters.litert import LiteRTRuntime
from greenroom.segmenters.network import NetworkSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]


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
