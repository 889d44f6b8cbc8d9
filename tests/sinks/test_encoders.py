"""Encoders of a GPU: when they are used, and what is said where they do not work."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
import pytest

from greenroom.errors import SettingsError
from greenroom.media.source_info import SourceInfo
from greenroom.settings import Settings
from greenroom.sinks import create_sink, encoders
from greenroom.sinks.codecs import CODECS, Codec
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from pathlib import Path

NVENC = [codec for codec in CODECS.values() if codec.is_hardware]
INFO = SourceInfo("made up", PersonSource().info.rate, PersonSource().info.time_base)


@pytest.fixture(autouse=True)
def _each_tries_anew() -> None:
    """Have every test try encoders itself."""
    encoders.trial.cache_clear()


def write(path: Path, **values: Any) -> int:
    """Write ten frames, and return the number of pictures in the file."""
    sink = create_sink(path, Settings(**values), INFO)
    try:
        for frame in PersonSource(frames=10):
            sink.write(frame)
        sink.close()
    except BaseException:
        sink.abort()
        raise
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def without_nvenc() -> None:
    """Skip where the encoder works."""
    try:
        encoders.check_encoder(Settings(codec="h264_nvenc"))
    except SettingsError:
        return
    pytest.skip("this machine has NVENC")


@pytest.mark.parametrize("codec", NVENC, ids=lambda codec: codec.name)
def test_ffmpeg_knows_every_option(codec: Codec) -> None:
    """FFmpeg's encoder has each option, preset and quality; a misspelt one would be ignored."""
    context: Any = av.CodecContext.create(codec.encoder, "w")
    if not hasattr(context, "supported_options"):
        pytest.skip("this PyAV does not list options")
    known = {option.name: option for option in context.supported_options.private}
    generic = {option.name for option in context.supported_options.generic}
    presets = {choice.name for choice in known["preset"].choices}
    assert presets >= set(codec.presets)
    for quality in (0, 50, 100):
        given = codec.all_options(Settings(output_quality=quality))
        assert given.keys() <= known.keys() | generic
        assert given["preset"] in presets
        for name in ("rc", "tune"):
            assert given[name] in {choice.name for choice in known[name].choices}
        assert 1 <= int(given["cq"]) <= known["cq"].max  # 0 leaves it to the encoder


def test_named_encoder_that_does_not_work(tmp_path: Path) -> None:
    """The command ends with status 2, says what is missing and what to do, and writes nothing."""
    without_nvenc()
    source = tmp_path / "in.mp4"
    write(source)
    target = tmp_path / "out.mp4"
    arguments = ["convert", str(source), str(target), "--codec", "h264_nvenc"]
    ended = subprocess.run(
        [sys.executable, "-m", "greenroom", *arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    said = " ".join(ended.stderr.split())
    assert "codec h264_nvenc does not work here" in said
    assert "driver" in said
    assert "Leave the codec out" in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_processor_encodes_where_the_gpu_cannot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a GPU as the device, libx264 is taken where NVENC fails, and the log says why."""
    without_nvenc()
    with caplog.at_level(logging.INFO, logger="greenroom"):
        assert write(tmp_path / "out.mp4", device="cuda") == 10
    assert "is encoded by libx264, not h264_nvenc: NVIDIA's driver" in caplog.text


class TestAnEncoderThatWorks:
    """One of the processor's stands in for the GPU's."""

    @pytest.fixture(autouse=True)
    def _stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Give NVENC's name to x264, with presets of its own."""
        stand_in = replace(
            CODECS["h264"], name="h264_nvenc", on_gpu=None, is_hardware=True, presets=("faster",)
        )
        monkeypatch.setitem(CODECS, "h264_nvenc", stand_in)

    @pytest.mark.parametrize(
        ("values", "chosen"),
        [
            ({"device": "cuda"}, True),
            ({"device": "tensorrt", "preset": "faster"}, True),
            ({"device": "auto"}, False),
            ({"device": "cpu"}, False),
            ({"device": "cuda", "preset": "slow"}, False),  # a preset of x264's alone
            ({"device": "cuda", "codec": "h264"}, False),
            ({"device": "cuda", "codec": "hevc"}, False),
        ],
    )
    def test_is_chosen_with_the_device(
        self,
        values: dict[str, str],
        chosen: bool,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """It is taken if the device is a GPU of NVIDIA's and neither codec nor preset objects."""
        with caplog.at_level(logging.INFO, logger="greenroom"):
            assert write(tmp_path / "out.mp4", **values) == 10
        assert ("is encoded by the GPU, with h264_nvenc" in caplog.text) is chosen

    def test_only_where_the_usual_codec_is_its_own(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A file whose usual codec is another one keeps that."""
        with caplog.at_level(logging.INFO, logger="greenroom"):
            assert write(tmp_path / "out.webm", device="cuda") == 10
        assert "h264_nvenc" not in caplog.text

    def test_is_tried_once_a_size(self, tmp_path: Path) -> None:
        """A second file of the same kind is not preceded by other trials: one of each way."""
        write(tmp_path / "one.mp4", device="cuda")
        trials = encoders.trial.cache_info().misses
        write(tmp_path / "two.mp4", device="cuda")
        assert encoders.trial.cache_info().misses == trials == 2


def test_size_that_the_named_encoder_does_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder that works, but not at the video's size, is an error that names the size."""
    limited = Codec("h264_nvenc", "h263", is_hardware=True)  # which has five sizes only
    monkeypatch.setitem(CODECS, "h264_nvenc", limited)
    monkeypatch.setattr(encoders, "_USUAL_SIZE", (352, 288))
    width, height = PersonSource().frame(0).size
    with pytest.raises(SettingsError, match=rf"does not work here, at {width}x{height}: ") as error:
        write(tmp_path / "out.mov", codec="h264_nvenc")
    assert error.value.name == "codec"
    assert not list(tmp_path.iterdir())
