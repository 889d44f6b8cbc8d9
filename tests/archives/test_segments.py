"""Long videos: divided, processed in parts and joined, they are what they are in one piece."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.archives.joining import join
from greenroom.archives.part_files import PartReader
from greenroom.archives.processing import SegmentSummary, process_segment
from greenroom.archives.segments import Segment, SegmentPlan, plan_segments, whole_reason
from greenroom.backgrounds import create_background
from greenroom.engine.engine import VirtualBackground
from greenroom.errors import SeamError, SettingsError, SinkError, TruncatedError
from greenroom.files.pipeline import Pipeline
from greenroom.files.views import process_for
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.sources import create_source
from greenroom.testing import Fault, FaultySegmenter, PersonSegmenter, PersonSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SIZE = (96, 64)
TICK = Fraction(1, 12800)
FRAME = 512  # ticks: 25 a second
AS_GIVEN = {"avoid_negative_ts": "disabled"}


@dataclass(frozen=True)
class Written:
    """The video of a file: times of its packets, when these are decoded, and its pictures."""

    times: list[tuple[int, int]]
    decoded_at: list[int | None]
    facts: tuple[Any, ...]
    shown: list[int | None]
    pictures: list[NDArray[np.uint8]]

    @classmethod
    def of(cls, path: Path) -> Written:
        """Read a file."""
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            packets = [one for one in container.demux(stream) if one.size]
            times = sorted((one.pts or 0, one.duration or 0) for one in packets)
            decoded_at = [one.dts for one in packets]
            codec = stream.codec_context
            facts = stream.time_base, stream.duration, codec.extradata, codec.pix_fmt
        with av.open(str(path)) as container:
            frames = list(container.decode(video=0))
        pictures = [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in frames]
        return cls(times, decoded_at, facts, [frame.pts for frame in frames], pictures)


def recorded(
    path: Path,
    times: Sequence[int],
    *,
    key_every: int = 12,
    b_frames: int = 2,
    open_gop: bool = False,
    sound: bool = False,
    begin: int = 0,
) -> Path:
    """Write the synthetic person at some times, with key frames at a distance."""
    options = None if path.suffix == ".avi" else AS_GIVEN
    with av.open(str(path), "w", options=options) as container:
        parameters = (
            f"keyint={key_every}:min-keyint=1:scenecut=0:bframes={b_frames}:b-adapt=0"
            f":open-gop={int(open_gop)}"
        )
        video: Any = container.add_stream(
            "libx264", rate=25, options={"preset": "ultrafast", "x264-params": parameters}
        )
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.time_base = TICK
        packets = []
        source = PersonSource(SIZE)
        for number, time in enumerate(times):
            frame = source.frame(begin + number).shown_at(time, TICK).to_av()
            packets += video.encode(frame)
        packets += video.encode(None)
        if sound:
            packets += _beeps(container, times[-1])
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            container.mux(packet)
    return path


def _beeps(container: Any, until: int) -> list[Any]:
    """Add a track of sound, and a chapter."""
    container.set_chapters(
        [
            {
                "id": 1,
                "start": 400,
                "end": 900,
                "time_base": Fraction(1, 1000),
                "metadata": {"title": "second"},
            }
        ]
    )
    container.metadata["title"] = "A talk"
    track = container.add_stream("aac", rate=48000, layout="mono")
    packets: list[Any] = []
    for place in range(0, int(until * TICK * 48000), 1024):
        part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        part.rate, part.pts, part.time_base = 48000, place, Fraction(1, 48000)
        packets += track.encode(part)
    packets += track.encode(None)
    return packets


def whole(source: Path, target: Path, values: Settings) -> Path:
    """Process a video in one piece."""
    frames = create_source(source, values)
    with VirtualBackground(values, segmenter=PersonSegmenter()) as engine:
        sink = create_sink(target, values, frames.info)
        make = process_for(values)
        Pipeline(frames, lambda frame: make(engine, frame), sink).run()
    return target


def parts_of(plan: SegmentPlan, source: Path, target: Path, values: Settings) -> list[Path]:
    """Process the segments of a plan, the last one first, as workers end in any order."""
    parts = [target.parent / f"{segment.number}.part" for segment in plan.segments]
    with VirtualBackground(values, segmenter=PersonSegmenter()) as engine:
        for segment in reversed(plan.segments):
            part = parts[segment.number]
            made = process_segment(segment, source, part, values, target=target, engine=engine)
            assert made.frames == segment.frames
    return parts


def divided(source: Path, target: Path, values: Settings, segment_s: float) -> SegmentPlan:
    """Process a video in parts, and join them."""
    plan = plan_segments(source, target, values, segment_s)
    assert tuple(Segment.from_json(one.to_json()) for one in plan.segments) == plan.segments
    if plan.segments:
        joined = join(source, parts_of(plan, source, target, values), target, values)
        assert joined.quality.frames == joined.frames == sum(one.frames for one in plan.segments)
    else:
        whole(source, target, values)
    return plan


class TestCuts:
    """Where a video is divided."""

    @settings(max_examples=10)
    @given(
        steps=st.lists(st.sampled_from([1, FRAME // 2, FRAME, FRAME, 3 * FRAME]), min_size=20),
        start=st.sampled_from([0, 7 * FRAME + 3]),
        key_every=st.integers(1, 20),
        b_frames=st.integers(0, 3),
        open_gop=st.booleans(),
        segment_s=st.floats(0.1, 1.0),
        kind=st.sampled_from(["mp4", "mkv", "ts", "mov"]),
    )
    def test_every_frame_is_there_once_and_the_same(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        **drawn: Any,
    ) -> None:
        """Wherever the cuts are, frames, times and samples are those of one piece."""
        folder = tmp_path_factory.mktemp("cuts")
        times = np.cumsum([drawn["start"], *drawn["steps"]]).tolist()
        source = recorded(
            folder / f"in.{drawn['kind']}",
            times,
            key_every=drawn["key_every"],
            b_frames=drawn["b_frames"],
            open_gop=drawn["open_gop"],
        )
        values = Settings(background="none", codec="ffv1")
        with pytest.MonkeyPatch.context() as patch:  # so that decoding begins at later key frames
            patch.setattr("greenroom.archives.segments.WARM_UP_S", 0.2)
            plan = divided(source, folder / "parts.mkv", values, drawn["segment_s"])
        parts = Written.of(folder / "parts.mkv")
        one_piece = Written.of(whole(source, folder / "whole.mkv", values))
        assert (parts.times, parts.decoded_at) == (one_piece.times, one_piece.decoded_at)
        assert parts.facts == one_piece.facts
        np.testing.assert_array_equal(parts.pictures, one_piece.pictures)
        for before, after in pairwise(plan.segments):
            assert before.end == after.start

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"people": "main"}, "main person"),
            ({"keep_region": "0,0,10,10"}, "kept of the room"),
            ({"framing": "follow"}, "crop rests"),
            ({"low_light": 0.5}, "brightening"),
            ({"model": "chroma"}, "screen's colour"),
            ({"model": "chroma", "key_color": "#00b140"}, ""),
        ],
    )
    def test_settings_that_need_one_piece(self, values: dict[str, Any], said: str) -> None:
        """What is remembered for as long as a video lasts is a reason not to divide it."""
        reason = whole_reason(Settings(**values))
        assert said in reason
        assert bool(said) == bool(reason)

    def test_files_that_need_one_piece(self, tmp_path: Path) -> None:
        """With one key frame, without times, in other outputs and when short, it stays whole."""
        times = [FRAME * number for number in range(40)]
        values = Settings(background="color:teal")
        one_key = recorded(tmp_path / "one.mp4", times, key_every=1000)
        without = recorded(tmp_path / "in.avi", times)
        usual = recorded(tmp_path / "in.mp4", times)
        for source, target, segment_s, said in (
            (one_key, "out.mp4", 0.5, "no key frames"),
            (without, "out.mp4", 0.5, "do not say when"),
            (usual, "out.mp4", 5, "short"),
            (usual, "%04d.png", 0.5, "no video file"),
        ):
            plan = plan_segments(source, tmp_path / target, values, segment_s)
            assert not plan.segments
            assert said in plan.reason
        other = values.changed(codec="mpeg4")
        assert "mpeg4" in plan_segments(usual, tmp_path / "out.mp4", other, 0.5).reason
        with pytest.raises(SettingsError, match="longer than 0"):
            plan_segments(usual, tmp_path / "out.mp4", values, 0)

    def test_cut_off_file_is_refused_at_once(self, tmp_path: Path) -> None:
        """What the whole run would only notice at the end is known before the first segment."""
        source = recorded(tmp_path / "in.ts", [FRAME * number for number in range(60)])
        damaged = tmp_path / "in.mkv"
        whole_file = recorded(damaged, [FRAME * number for number in range(60)]).read_bytes()
        damaged.write_bytes(whole_file[: len(whole_file) * 2 // 3])
        values = Settings(background="color:teal")
        assert plan_segments(source, tmp_path / "out.mp4", values, 0.5).segments
        with pytest.raises(TruncatedError):
            plan_segments(damaged, tmp_path / "out.mp4", values, 0.5)


class TestJoining:
    """Parts become one file."""

    @pytest.mark.parametrize(
        ("target", "values"),
        [
            ("out.mp4", {"codec": "h264"}),
            ("out.mkv", {"codec": "hevc"}),
            ("out.mp4", {"codec": "av1", "preset": "12"}),
            ("out.webm", {"codec": "vp9"}),
            ("out.webm", {"background": "transparent"}),
            ("out.mov", {"background": "transparent"}),
            ("out.mkv", {"background": "transparent"}),
            ("out.mkv", {"view": "matte"}),
            ("out.mp4", {"view": "side-by-side"}),
        ],
        ids=[
            *("h264", "hevc", "av1", "vp9", "vp9 alpha", "prores alpha", "ffv1 alpha"),
            *("matte", "side by side"),
        ],
    )
    def test_every_codec(self, tmp_path: Path, target: str, values: dict[str, Any]) -> None:
        """Times, durations and parameter sets are those of one piece, and all of it decodes."""
        given = Settings(**({"background": "color:teal"} | values))
        source = recorded(tmp_path / "in.mp4", [FRAME * number for number in range(40)])
        plan = divided(source, tmp_path / target, given, 0.5)
        assert len(plan.segments) == 3
        parts = Written.of(tmp_path / target)
        one_piece = Written.of(whole(source, tmp_path / f"whole {target}", given))
        assert (parts.times, parts.decoded_at) == (one_piece.times, one_piece.decoded_at)
        assert parts.facts == one_piece.facts
        assert parts.shown == one_piece.shown
        apart = np.abs(np.array(parts.pictures, float) - one_piece.pictures)
        assert apart.mean() < 2
        if given.background == "transparent":
            assert all(
                (frame.alpha is not None and frame.alpha.min() == 0)
                for frame in _with_alpha(tmp_path / target)
            )

    def test_sound_chapters_and_tags(self, tmp_path: Path) -> None:
        """They come from the source once, as without segments."""
        values = Settings(background="color:teal")
        times = [FRAME * number for number in range(40)]
        source = recorded(tmp_path / "in.mkv", times, sound=True)
        assert divided(source, tmp_path / "out.mp4", values, 0.5).segments
        whole(source, tmp_path / "whole.mp4", values)
        assert _others(tmp_path / "out.mp4") == _others(tmp_path / "whole.mp4")
        assert _others(tmp_path / "out.mp4")[1] == ["second"]

    def test_warm_up_is_not_counted(self, tmp_path: Path) -> None:
        """A frame that fails in the warm-up is the other segment's: written and counted there."""
        values = Settings(background="color:teal", on_failure="cover")
        source = recorded(tmp_path / "in.mp4", [FRAME * number for number in range(40)])
        plan = plan_segments(source, tmp_path / "out.mp4", values, 0.5)
        early = plan.segments[1].warm_up_frames
        faults = dict.fromkeys((early - 1, early + 2), Fault.RAISE)
        with VirtualBackground(values, segmenter=FaultySegmenter(faults)) as engine:
            part = tmp_path / "1.part"
            made = process_segment(
                plan.segments[1], source, part, values, target="out.mp4", engine=engine
            )
        assert isinstance(made, SegmentSummary)
        assert (made.frames, made.covered) == (12, 1)
        assert PartReader(tmp_path / "1.part").report["covered"] == 1

    def test_parts_that_do_not_fit(self, tmp_path: Path) -> None:
        """Wrong order, another encoder, another picture at a seam, damage: nothing is written."""
        values = Settings(background="color:teal")
        source = recorded(tmp_path / "in.mp4", [FRAME * number for number in range(40)])
        target = tmp_path / "out.mp4"
        plan = plan_segments(source, target, values, 0.5)
        parts = parts_of(plan, source, target, values)
        with pytest.raises(SeamError, match="in order"):
            join(source, parts[::-1], target, values)
        with pytest.raises(SeamError, match="encoded otherwise"):
            join(source, parts, target, values.changed(output_quality=10))
        (tmp_path / "other").mkdir()
        other = recorded(tmp_path / "other" / "in.mp4", [FRAME * n for n in range(40)], begin=9)
        mixed = [tmp_path / "m.part", *parts[1:]]
        with VirtualBackground(values, segmenter=PersonSegmenter()) as engine:
            process_segment(plan.segments[0], other, mixed[0], values, target=target, engine=engine)
        with pytest.raises(SeamError, match="as a whole"):
            join(source, mixed, target, values)
        damaged = bytearray(parts[1].read_bytes())
        damaged[len(damaged) // 2] ^= 1
        parts[1].write_bytes(damaged)
        with pytest.raises(SinkError, match="Make it again"):
            join(source, parts, target, values)
        parts[1].write_bytes(damaged[:-9])
        with pytest.raises(SinkError, match="Make it again"):
            join(source, parts, target, values)
        assert not target.exists()
        assert not list(tmp_path.glob("*.tmp"))


def test_moving_background_is_where_it_would_be(tmp_path: Path) -> None:
    """A segment begins in the turn of a looped background, and at the time in it, of the whole."""
    video = recorded(tmp_path / "loop.mp4", [FRAME * number for number in (0, 1, 3, 4, 7)])
    layout = Layout(*SIZE, "yuv420p", Colour(matrix=1, range=1))
    whole_scene: Any = create_background(Settings(background=str(video)))
    part_scene: Any = create_background(Settings(background=str(video)))
    times_s = [0.04 * number for number in range(60)]
    shown = [whole_scene.at(layout, time_s).planes[0].copy() for time_s in times_s]
    assert len({one.tobytes() for one in shown}) > 2
    for begin in (0, 3, 7, 8, 31, 59):
        part_scene.reset()
        part_scene.resume(0.0)
        for time_s, expected in zip(times_s[begin:], shown[begin:], strict=True):
            np.testing.assert_array_equal(part_scene.at(layout, time_s).planes[0], expected)


def _with_alpha(path: Path) -> list[Frame]:
    """Decode a video, with its alpha."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        name = "libvpx-vp9" if path.suffix == ".webm" else stream.codec_context.name
        decoder: Any = av.CodecContext.create(name, "r")
        decoder.extradata = stream.codec_context.extradata
        decoder.width, decoder.height = stream.width, stream.height
        decoder.pix_fmt = stream.codec_context.pix_fmt
        found = [one for packet in container.demux(stream) for one in decoder.decode(packet)]
    alphas = [one.reformat(format="yuva420p", threads=1) for one in found]
    layout = Layout(*SIZE, "yuv420p")
    frames = []
    for one in alphas:
        plane = np.frombuffer(bytes(one.planes[3]), np.uint8).reshape(SIZE[1], -1)[:, : SIZE[0]]
        filled = Frame.filled(layout, (0, 0, 0))
        frames.append(Frame(filled.planes, layout, alpha=np.ascontiguousarray(plane)))
    return frames


def _others(path: Path) -> tuple[list[tuple[int | None, bytes]], list[str], str | None]:
    """Return the packets of sound, the chapters' titles and the title of a file."""
    with av.open(str(path)) as container:
        chapters = [one["metadata"]["title"] for one in container.chapters()]
        title = container.metadata.get("title")
        sound = [(one.pts, bytes(one)) for one in container.demux(audio=0) if one.size]
    return sound, chapters, title
