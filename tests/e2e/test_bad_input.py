"""Bad input ends with one sentence, a status of 1 or 2, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from e2e.conftest import Result, write_clip

if TYPE_CHECKING:
    from e2e.conftest import Run

SIZES = ((1, 1), (3, 5), (2, 2), (17, 9))
KINDS = ("out.mp4", "out.mov", "out.mkv", "out.webm", "out%02d.png")


def assert_refused(result: Result, status: int, *words: str) -> None:
    """Check that a command ended as it should: one sentence, no traceback."""
    assert result.status == status, result
    assert result.out == ""
    lines = result.err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("greenroom: error: ")
    for word in words:
        assert word in lines[0], lines[0]


def files(folder: Path) -> set[str]:
    """Name everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


def y4m(path: Path, size: tuple[int, int], count: int) -> Path:
    """Write gray frames as Y4M."""
    width, height = size
    samples = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
    header = f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420mpeg2\n".encode()
    path.write_bytes(header + count * (b"FRAME\n" + bytes([128]) * samples))
    return path


class TestInput:
    """Inputs that cannot be read."""

    def test_missing_file(self, run: Run, tmp_path: Path) -> None:
        """A file that is not there is named."""
        assert_refused(run("convert", "no.mp4", "out.mp4"), 1, "no.mp4", "no such file")
        assert files(tmp_path) == set()

    def test_folder_without_pictures(self, run: Run, tmp_path: Path) -> None:
        """A folder where a file is expected is named."""
        (tmp_path / "clip.mp4").mkdir()
        assert_refused(run("convert", "clip.mp4", "out.mp4"), 1, "folder without pictures")
        assert files(tmp_path) == {"clip.mp4"}

    def test_empty_file(self, run: Run, tmp_path: Path) -> None:
        """An empty file is called empty."""
        (tmp_path / "empty.mp4").touch()
        assert_refused(run("convert", "empty.mp4", "out.mp4"), 1, "the file is empty")

    @pytest.mark.parametrize("name", ["text.mp4", "text.png", "text.mkv"])
    def test_text(self, run: Run, tmp_path: Path, name: str) -> None:
        """Text under the name of a video or picture is not decoded."""
        (tmp_path / name).write_text("This is no video.\n" * 100)
        assert_refused(run("convert", name, "out.png"), 1, name, "cannot be read")
        assert files(tmp_path) == {name}

    def test_truncated(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """A clip that is cut off is refused, and what decodes is converted when asked for."""
        long = write_clip(tmp_path / "long.mkv", (96, 64), 100)
        data = long.read_bytes()
        (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
        before = files(tmp_path)
        refused = run("convert", "cut.mkv", "out.mp4")
        assert_refused(refused, 1, "cut.mkv", "cut off", "--allow-truncated")
        assert files(tmp_path) == before
        allowed = run("convert", "cut.mkv", "out.mp4", "--allow-truncated")
        assert allowed.status == 0
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert 20 < sum(1 for _ in container.decode(video=0)) < 80
        assert clip.exists()

    def test_mp4_without_its_end(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """An MP4 whose index is missing is refused."""
        (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:-2000])
        assert_refused(run("convert", "cut.mp4", "out.mp4"), 1, "cut.mp4")
        assert files(tmp_path) == {"clip.mp4", "cut.mp4"}

    def test_no_video_stream(self, run: Run, tmp_path: Path) -> None:
        """Sound alone is not enough."""
        with av.open(str(tmp_path / "sound.mp4"), "w") as container:
            stream = container.add_stream("aac", rate=44100)
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
            silence.rate = 44100
            container.mux(stream.encode(silence))
            container.mux(stream.encode(None))
        assert_refused(run("convert", "sound.mp4", "out.mp4"), 1, "no video")
        assert files(tmp_path) == {"sound.mp4"}

    def test_no_frames(self, run: Run, tmp_path: Path) -> None:
        """A header alone is not enough."""
        y4m(tmp_path / "none.y4m", (64, 36), 0)
        assert_refused(run("convert", "none.y4m", "out.mp4"), 1, "no frames")
        assert files(tmp_path) == {"none.y4m"}

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("command", ["convert", "matte"])
    def test_tiny_video(
        self, run: Run, tmp_path: Path, size: tuple[int, int], kind: str, command: str
    ) -> None:
        """Videos of a few pixels, also odd ones, go through every kind of output."""
        y4m(tmp_path / "tiny.y4m", size, 3)
        assert run(command, "tiny.y4m", kind).status == 0
        written = sorted(files(tmp_path) - {"tiny.y4m"})
        assert len(written) == (3 if "%" in kind else 1)
        with av.open(str(tmp_path / written[0])) as container:
            frame = next(container.decode(video=0))
            assert frame.width - size[0] in (0, 1)
            assert frame.height - size[1] in (0, 1)

    @pytest.mark.parametrize("size", SIZES)
    def test_tiny_picture(self, run: Run, tmp_path: Path, size: tuple[int, int]) -> None:
        """A picture of one pixel is a picture."""
        cv2.imwrite(str(tmp_path / "tiny.png"), np.full((size[1], size[0], 3), 90, np.uint8))
        assert run("convert", "tiny.png", "out.png", "--background", "blur").status == 0
        written = cv2.imread(str(tmp_path / "out.png"))
        assert written is not None
        assert written.shape == (size[1], size[0], 3)

    def test_8k_picture(self, run: Run, tmp_path: Path) -> None:
        """A picture of 33 million pixels is converted."""
        cv2.imwrite(str(tmp_path / "8k.jpg"), np.full((4320, 7680, 3), 90, np.uint8))
        assert run("convert", "8k.jpg", "out.jpg", "--background", "color:teal").status == 0
        written = cv2.imread(str(tmp_path / "out.jpg"))
        assert written is not None
        assert written.shape == (4320, 7680, 3)
        assert abs(written[0, 0].astype(int) - (128, 128, 0)).max() <= 3

    def test_size_that_changes(self, run: Run, tmp_path: Path) -> None:
        """A change of size in mid-stream is scaled back, with a warning."""
        parts = [
            write_clip(tmp_path / f"{size[0]}.h264", size, 5) for size in ((96, 64), (192, 128))
        ]
        (tmp_path / "both.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
        result = run("convert", "both.h264", "out.mp4")
        assert result.status == 0
        assert "size changes from 96x64 to 192x128" in result.err
        with av.open(str(tmp_path / "out.mp4")) as container:
            sizes = [(frame.width, frame.height) for frame in container.decode(video=0)]
        assert sizes == [(96, 64)] * 10


class TestOneOfSeveral:
    """What is wrong with one file is no reason to leave the others."""

    @pytest.mark.parametrize("broken", ["1.png", "2.png", "3.png"])
    def test_in_a_folder(self, run: Run, tmp_path: Path, broken: str) -> None:
        """The other pictures are done, each under its name; what is missing is listed."""
        for folder in ("in", "out"):
            (tmp_path / folder).mkdir()
        names = ["1.png", "2.png", "3.png"]
        for number, name in enumerate(names):
            cv2.imwrite(str(tmp_path / "in" / name), np.full((20, 20, 3), 50 * number, np.uint8))
        (tmp_path / "in" / broken).write_bytes((tmp_path / "in" / broken).read_bytes()[:50])
        result = run("convert", "in", "out", "--background", "none", "--json")
        assert result.status == 1
        first, *others = result.err.splitlines()
        assert first.startswith("greenroom: error: 1 of 3 inputs could not be converted")
        assert len(others) == 1
        assert f"in/{broken}' cannot be read: the picture is" in others[0]
        assert json.loads(result.out)["frames"] == 2
        assert files(tmp_path / "out") == set(names) - {broken}
        for number, name in enumerate(names):
            if name != broken:
                written = cv2.imread(str(tmp_path / "out" / name))
                assert written is not None
                assert (written == 50 * number).all()

    @pytest.mark.parametrize("command", ["convert", "matte"])
    def test_of_several_files(self, run: Run, clip: Path, tmp_path: Path, command: str) -> None:
        """The same holds for files, whatever is wrong with one: found before or meanwhile."""
        data = write_clip(tmp_path / "long.mkv", (96, 64), 100).read_bytes()
        (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
        (tmp_path / "empty.jpg").touch()
        cv2.imwrite(str(tmp_path / "good.png"), np.zeros((20, 20, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "there.png"), np.zeros((20, 20, 3), np.uint8))
        out = tmp_path / "out"
        out.mkdir()
        (out / "there.png").write_text("mine")
        names = ("cut.mkv", "empty.jpg", clip.name, "missing.mp4", "there.png", "good.png")
        result = run(command, *names, "--out-dir", "out", "--json")
        assert result.status == 1
        first, *others = result.err.splitlines()
        assert first.startswith("greenroom: error: 4 of 6 inputs could not be converted")
        reasons = ("cut off", "the file is empty", "no such file", "is there already")
        for line, words in zip(others, reasons, strict=True):
            assert words in line
        assert len(result.out.splitlines()) == 2
        assert files(out) == {clip.name, "good.png", "there.png"}
        assert (out / "there.png").read_text() == "mine"

    def test_none_is_good(self, run: Run, tmp_path: Path) -> None:
        """Where nothing can be converted, that is told before a model is loaded."""
        (tmp_path / "in").mkdir()
        (tmp_path / "out").mkdir()
        for name in ("a.png", "b.jpg"):
            (tmp_path / "in" / name).write_text("no picture")
        assert_refused(run("convert", "in", "out"), 1, "in/a.png", "not a picture")
        result = run("convert", "in/a.png", "in/b.jpg", "--out-dir", "out")
        assert result.status == 1
        assert "2 of 2" in result.err.splitlines()[0]
        assert files(tmp_path / "out") == set()

    def test_a_wrong_setting_stops_all(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """What would be wrong with each file is told once, and nothing is done."""
        (tmp_path / "out").mkdir()
        result = run("convert", clip.name, "a.mp4", "--out-dir", "out", "--background", "no.jpg")
        assert_refused(result, 1, "no.jpg")
        assert files(tmp_path / "out") == set()


class TestBackground:
    """Backgrounds that cannot be used."""

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("missing.jpg", "no such file"),
            ("corrupt.png", "damaged"),
            ("empty.mp4", "empty"),
            ("none.y4m", "no frames"),
            ("wide.png", "too large"),
            ("folder", "folder without pictures"),
            ("color:blu", "did you mean 'blue'"),
            ("blur:2", "blur:0.6"),
            ("blur:1e-30", "smallest strength is blur:0.4"),
        ],
    )
    def test_is_named_before_anything_is_written(
        self, run: Run, clip: Path, tmp_path: Path, name: str, reason: str
    ) -> None:
        """The background and what is wrong with it are in the sentence."""
        cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((2, 17000, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "corrupt.png"), np.zeros((20, 20, 3), np.uint8))
        data = (tmp_path / "corrupt.png").read_bytes()
        (tmp_path / "corrupt.png").write_bytes(data[:45] + bytes(len(data) - 45))
        (tmp_path / "empty.mp4").touch()
        y4m(tmp_path / "none.y4m", (64, 36), 0)
        (tmp_path / "folder").mkdir()
        before = files(tmp_path)
        result = run("convert", clip, "out.mp4", "--background", name)
        assert_refused(result, 2 if ":" in name else 1, name.partition(":")[2] or name, reason)
        assert files(tmp_path) == before


class TestOutput:
    """Outputs that cannot be written."""

    @pytest.mark.parametrize(
        ("output", "flags", "status", "words"),
        [
            ("out.xyz", (), 2, ("unknown extension", ".mp4")),
            ("out", (), 2, ("unknown extension",)),
            ("out.mp4", ("--codec", "nonsense"), 2, ("unknown codec 'nonsense'", "h264")),
            ("no/out.mp4", (), 1, ("no folder 'no'",)),
            ("folder.mp4", (), 1, ("it is a folder",)),
            ("clip.mp4", (), 2, ("is the input",)),
            ("./clip.mp4", ("--overwrite",), 2, ("is the input",)),
            ("link.mp4", ("--overwrite",), 2, ("is the input",)),
            ("there.mp4", (), 1, ("is there already", "--overwrite")),
            ("out.mp4", ("--background", "transparent"), 2, ("transparency", ".webm")),
            ("out.png", (), 1, ("more frames",)),
        ],
    )
    def test_is_refused(
        self,
        run: Run,
        clip: Path,
        tmp_path: Path,
        output: str,
        flags: tuple[str, ...],
        status: int,
        words: tuple[str, ...],
    ) -> None:
        """The output and the way out are in the sentence; what was there stays."""
        (tmp_path / "folder.mp4").mkdir()
        (tmp_path / "there.mp4").write_text("mine")
        (tmp_path / "link.mp4").symlink_to(clip)
        before, data = files(tmp_path), clip.read_bytes()
        assert_refused(run("convert", clip.name, output, *flags), status, *words)
        assert files(tmp_path) == before
        assert clip.read_bytes() == data
        assert (tmp_path / "there.mp4").read_text() == "mine"

    def test_read_only_folder(
        self, run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A folder that may not be written is named; for root, the system's answer is made up."""
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o500)
        if os.geteuid() == 0:
            really_open = os.open

            def refuse(path: str | Path, *arguments: int) -> int:
                if Path(path).parent == folder:
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
                return really_open(path, *arguments)

            monkeypatch.setattr(os, "open", refuse)
        result = run("convert", clip, folder / "out.mp4", "--background", "none")
        assert_refused(result, 1, "locked/out.mp4", "permission denied")
        assert files(folder) == set()

    @pytest.mark.parametrize("kind", ["out.mp4", "out.mkv", "out%02d.png"])
    def test_disk_full(self, clip: Path, tmp_path: Path, kind: str) -> None:
        """When there is no room, nothing is left, and the sentence says why."""
        before = files(tmp_path)
        result = subprocess.run(
            [sys.executable, "-m", "greenroom", "convert", clip.name, kind, "--background", "none"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)),
        )
        assert_refused(Result(result.returncode, result.stdout, result.stderr), 1, "too large")
        assert files(tmp_path) == before

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
    def test_full_pipe(self, clip: Path) -> None:
        """A standard output that takes nothing more ends the command."""
        with Path("/dev/full").open("wb") as full:
            result = subprocess.run(
                [sys.executable, "-m", "greenroom", "convert", clip, "-"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert_refused(Result(result.returncode, "", result.stderr), 1, "no space left")


class TestSettings:
    """Settings that say nothing."""

    @pytest.mark.parametrize(
        ("key", "words"),
        [("gren", "did you mean 'green'"), ("#00b14", "#rrggbb"), ("white", "too near to gray")],
    )
    def test_wrong_key_colours(self, run: Run, clip: Path, key: str, words: str) -> None:
        """A screen's colour that is none is refused before anything is written."""
        flags = ("--model", "chroma", "--key-color", key)
        assert_refused(run("convert", clip, "out.mp4", *flags), 2, "key_color", words)
        assert files(clip.parent) == {"clip.mp4"}

    def test_no_screen(self, run: Run, clip: Path) -> None:
        """A clip without a screen is not converted by the chroma key."""
        result = run("convert", clip, "out.mp4", "--model", "chroma")
        assert_refused(result, 1, "no screen of one strong colour", "key_color")
        assert files(clip.parent) == {"clip.mp4"}

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (("--smoothing", "nan"), ("smoothing", "finite")),
            (("--smoothing", "2"), ("smoothing", "0.99")),
            (("--threshold", "inf"), ("threshold", "finite")),
            (("--threads", "0"), ("threads", "1")),
            (("--edge-shift", "-9"), ("edge_shift", "-5")),
            (("--timeout-s", "0"), ("timeout_s", "0")),
            (("--model", "selfi"), ("unknown model 'selfi'", "'selfie'")),
            (("--config", "no.toml"), ("no.toml", "cannot be read")),
            (("--config", "text.toml"), ("text.toml", "not valid TOML", "line 1")),
            (("--config", "typo.toml"), ("typo.toml", "'backgroud'", "did you mean 'background'")),
            (("--config", "range.toml"), ("range.toml", "output_quality", "100")),
        ],
    )
    def test_is_refused(
        self,
        run: Run,
        clip: Path,
        tmp_path: Path,
        flags: tuple[str, ...],
        words: tuple[str, ...],
    ) -> None:
        """The setting, and what it should be, are in the sentence."""
        (tmp_path / "text.toml").write_text("no toml")
        (tmp_path / "typo.toml").write_text('backgroud = "blur"\n')
        (tmp_path / "range.toml").write_text("output_quality = 400\n")
        before = files(tmp_path)
        assert_refused(run("convert", clip, "out.mp4", *flags), 2, *words)
        assert files(tmp_path) == before

    def test_flags_go_before_the_file(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """A settings file is read by the same names, and a flag takes precedence."""
        (tmp_path / "my.toml").write_text('background = "missing.jpg"\noutput_quality = 10\n')
        assert_refused(run("convert", clip, "out.mp4", "--config", "my.toml"), 1, "missing.jpg")
        flags = ("--config", "my.toml", "--background", "color:teal")
        assert run("convert", clip, "out.mp4", *flags).status == 0

    def test_names_do_not_go_together(self, run: Run, clip: Path, tmp_path: Path) -> None:
        """A wrong number of names, and two outputs of one name, are refused."""
        assert_refused(run("convert", clip), 2, "one input and one output")
        assert_refused(run("convert", clip, "a.mp4", "b.mp4"), 2, "--out-dir")
        assert_refused(run("convert", clip, "--out-dir", "no"), 2, "no folder 'no'")
        (tmp_path / "sub").mkdir()
        shutil.copy(clip, tmp_path / "sub" / "clip.mp4")
        (tmp_path / "out").mkdir()
        result = run("convert", "clip.mp4", "sub/clip.mp4", "--out-dir", "out")
        assert_refused(result, 2, "two inputs")
        assert_refused(run("convert", clip, "-", "--json"), 2, "--json")
