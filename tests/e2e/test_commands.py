"""Whole commands: what a user gets from files, pipes, signals and --json."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import pytest
from typer.main import get_command

import greenroom
from greenroom.cli.app import app
from greenroom.files.convert import extract_matte
from greenroom.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from e2e.conftest import Run

    Plane = NDArray[np.uint8]

COMMAND = [sys.executable, "-m", "greenroom"]
DEADLINE_S = 60.0


def read(path: Path) -> Plane:
    """Read a picture as RGB."""
    picture = cv2.imread(str(path))
    assert picture is not None
    return np.asarray(picture[:, :, ::-1], np.uint8)


def save(path: Path, picture: Plane) -> Path:
    """Write an RGB picture."""
    assert cv2.imwrite(str(path), picture[:, :, ::-1])
    return path


class TestConvert:
    """``greenroom convert``."""

    def test_person_stays_and_room_goes(self, run: Run, portrait: Plane, tmp_path: Path) -> None:
        """A real portrait: the face is untouched, the corners are the background."""
        save(tmp_path / "in.png", portrait)
        assert run("convert", "in.png", "out.png", "--background", "color:#204060").status == 0
        written = read(tmp_path / "out.png")
        assert written.shape == portrait.shape
        np.testing.assert_array_equal(written[100:140, 215:245], portrait[100:140, 215:245])
        assert (written[:40, :40] == (0x20, 0x40, 0x60)).all()
        assert (written[:40, -40:] == (0x20, 0x40, 0x60)).all()

    def test_video(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """The same number of frames, of the same size, at the same times; silent on a pipe."""
        result = run("convert", clip, "out.mp4", "--background", "color:teal")
        assert (result.status, result.out, result.err) == (0, "", "")
        with av.open(str(tmp_path / "out.mp4")) as container:
            frames = list(container.decode(video=0))
        assert [round(25 * (frame.time or 0)) for frame in frames] == list(range(20))
        assert {(frame.width, frame.height) for frame in frames} == {(96, 64)}

    def test_best_says_what_it_lacks(
        self, run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the second model's weights quality best goes on with one, and says so."""
        monkeypatch.delenv("GREENROOM_MODELS_DIR", raising=False)
        result = run("convert", clip, "best.mp4", "--quality", "best", "--json")
        assert result.status == 0
        assert json.loads(result.out)["segmenter"]["model"] == "selfie-general"
        (line,) = result.err.splitlines()
        assert "greenroom models get selfie-multiclass" in line
        assert run("convert", clip, "named.mp4", "--quality", "best", "--model", "selfie").err == ""

    def test_json(self, run: Run, clip: Path) -> None:
        """A summary that programs can read is all there is on standard output."""
        result = run("convert", clip, "out.mp4", "--json", "--model", "selfie-landscape")
        summary: dict[str, Any] = json.loads(result.out)
        assert summary["frames"] == 20
        assert summary["covered"] == 0
        assert summary["seconds"] > 0
        assert summary["segmenter"]["model"] == "selfie-landscape"
        assert summary["segmenter"]["device"] == "cpu"
        assert {"segment", "matte", "background", "composite"} <= set(summary["stages"])

    def test_several_inputs(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """Each input goes to the folder under its own name."""
        save(tmp_path / "a.jpg", np.full((20, 30, 3), 90, np.uint8))
        save(tmp_path / "b.bmp", np.full((20, 30, 3), 90, np.uint8))
        (tmp_path / "out").mkdir()
        assert run("convert", clip, "a.jpg", "b.bmp", "--out-dir", "out").status == 0
        assert {path.name for path in (tmp_path / "out").iterdir()} == {
            "clip.mp4",
            "a.jpg",
            "b.png",
        }

    def test_folder_is_as_its_pictures(self, run: Run, portrait: Plane, tmp_path: Path) -> None:
        """Pictures of a folder do not influence each other."""
        (tmp_path / "in").mkdir()
        (tmp_path / "out").mkdir()
        save(tmp_path / "in" / "a.png", portrait)
        save(tmp_path / "in" / "b.png", np.ascontiguousarray(portrait[:, ::-1]))
        assert run("convert", "in", "out").status == 0
        for name in ("a.png", "b.png"):
            assert run("convert", f"in/{name}", "one.png", "--overwrite").status == 0
            np.testing.assert_array_equal(read(tmp_path / "one.png"), read(tmp_path / "out" / name))

    def test_pipe_to_pipe(self, clip: Path, tmp_path: Path) -> None:
        """Y4M in, Y4M out, by way of the shell's pipes."""
        flags = ["--background", "color:teal"]
        first = subprocess.Popen(
            [*COMMAND, "convert", clip, "-", "--background", "none"], stdout=subprocess.PIPE
        )
        second = subprocess.run(
            [*COMMAND, "convert", "-", "-", *flags],
            stdin=first.stdout,
            capture_output=True,
            check=True,
        )
        assert first.stdout is not None
        first.stdout.close()
        assert first.wait(DEADLINE_S) == 0
        (tmp_path / "out.y4m").write_bytes(second.stdout)
        with av.open(str(tmp_path / "out.y4m")) as container:
            assert container.streams.video[0].average_rate == Fraction(25)
            frames = list(container.decode(video=0))
        assert len(frames) == 20
        corner = frames[0].to_ndarray(format="rgb24")[:8, :8].astype(int)
        assert np.abs(corner - (0, 128, 128)).max() <= 4

    def test_reader_that_goes_away(self, clip: Path) -> None:
        """A pipe that is closed at the other end is no drama."""
        process = subprocess.Popen(
            [*COMMAND, "convert", clip, "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(100)
        process.stdout.close()
        errors = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(DEADLINE_S) in (0, 1)
        assert "Traceback" not in errors


class TestSignals:
    """Ctrl-C and SIGTERM."""

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize("frames", [0, 5])
    def test_end_at_once_and_leave_nothing(
        self, tmp_path: Path, number: signal.Signals, status: int, frames: int
    ) -> None:
        """A command that waits for input ends by a signal, and no file is left."""
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [*COMMAND, "convert", "-", "out.mp4"],
            cwd=tmp_path,
            stdin=reading,
            stderr=subprocess.PIPE,
        )
        os.close(reading)
        header = b"YUV4MPEG2 W320 H240 F25:1 Ip A1:1 C420mpeg2\n"
        frame = b"FRAME\n" + bytes([90]) * (320 * 240 * 3 // 2)
        if frames:
            os.write(writing, header + frames * frame)
        end = time.monotonic() + DEADLINE_S
        while frames and not list(tmp_path.iterdir()) and time.monotonic() < end:
            time.sleep(0.02)
        if not frames:
            time.sleep(1.5)  # it is importing, or waiting
        process.send_signal(number)
        _, errors = process.communicate(timeout=DEADLINE_S)
        os.close(writing)
        assert process.returncode == status
        assert b"Traceback" not in errors
        assert list(tmp_path.iterdir()) == []


class TestOtherCommands:
    """``matte``, ``bench``, ``demo``, ``--help``, ``--version``."""

    def test_matte(self, run: Run, portrait: Plane, tmp_path: Path) -> None:
        """The matte is gray: white in the face, black in the corners."""
        save(tmp_path / "in.png", portrait)
        assert run("matte", "in.png", "out.png").status == 0
        matte = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
        assert matte is not None
        assert matte.shape == portrait.shape[:2]
        assert matte[100:140, 215:245].min() == 255
        assert matte[:40, :40].max() == 0

    def test_matte_video_is_lossless(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """A gray .mkv has the very matte of every frame."""
        assert run("matte", clip, "out.mkv").status == 0
        with av.open(str(tmp_path / "out.mkv")) as container:
            assert container.streams.video[0].codec_context.name == "ffv1"
            frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        with greenroom.VirtualBackground() as engine:
            for picture, frame in zip(frames, greenroom_frames(clip), strict=True):
                engine.process(frame)
                np.testing.assert_array_equal(picture, engine.matte)

    def test_bench(self, run: Run) -> None:
        """Every stage has a median and a 95th percentile."""
        result = run("bench", "--size", "64x36", "--frames", "5", "--json")
        report = json.loads(result.out)
        assert report["size"] == [64, 36]
        assert {"segment", "invoke", "frame"} <= set(report["stages"])
        assert all(0 < one["median_ms"] <= one["p95_ms"] for one in report["stages"].values())
        table = run("bench", "--size", "64x36", "--frames", "5")
        assert "median ms" in table.out
        assert run("bench", "--size", "64").status == 2

    def test_help_names_every_setting(self, run: Run) -> None:
        """The help has every setting, in groups; that of files alone has the view."""
        result = run("run", "--help")
        assert result.status == 0
        for name in Settings.model_fields:
            assert (f"--{name.replace('_', '-')}" in result.out) == (name != "view"), name
        assert "--view" in run("convert", "--help").out
        for group in ("Background", "Model", "Edge", "Belonging to the scene", "Output"):
            assert group in result.out
        for command in get_command(app).commands:  # type: ignore[attr-defined]
            assert command in run("--help").out

    def test_version(self, run: Run) -> None:
        """The version is the package's."""
        assert run("--version").out == f"greenroom {greenroom.__version__}\n"

    @pytest.mark.slow
    def test_demo(self, run: Run, portrait: Plane, tmp_path: Path) -> None:
        """The demo writes before, after and a contact sheet, and says how fast it was."""
        assert portrait.size
        result = run("demo", "--out", "made")
        assert result.status == 0
        assert "frames/s" in result.out
        assert {path.name for path in (tmp_path / "made").iterdir()} == {
            "before.mp4",
            "beach.png",
            "after-picture.mp4",
            "after-blur.mp4",
            "after-colour.mp4",
            "contact-sheet.png",
        }


class TestLibrary:
    """The functions behind the commands."""

    def test_convert_and_its_progress(self, clip: Path, tmp_path: Path) -> None:
        """The function takes settings by name, and tells how far it is."""
        seen: list[tuple[int, int | None]] = []
        summary = greenroom.convert(
            clip,
            tmp_path / "out.mp4",
            background="blur:0.5",
            progress=lambda done, expected: seen.append((done, expected)),
        )
        assert summary.frames == 20
        assert seen == [(number, 20) for number in range(1, 21)]
        with pytest.raises(greenroom.ExistsError):
            greenroom.convert(clip, tmp_path / "out.mp4")
        with pytest.raises(greenroom.SettingsError, match="colour"):
            greenroom.convert(clip, tmp_path / "other.mp4", colour="red")
        assert extract_matte(clip, tmp_path / "matte.mkv").frames == 20


def greenroom_frames(path: Path) -> list[greenroom.Frame]:
    """Decode a video."""
    with av.open(str(path)) as container:
        return [greenroom.Frame.from_av(frame) for frame in container.decode(video=0)]
