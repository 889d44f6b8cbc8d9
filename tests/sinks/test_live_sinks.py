"""Where a live picture goes: the setting ``to``, the recording, and the sink that does nothing."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
import numpy as np
import pytest

from greenroom.errors import ExistsError, SettingsError, SinkError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.sinks.destinations import create_live_sinks, destinations
from greenroom.sinks.live_recording import RecordingSink
from greenroom.sinks.null_sink import NullSink
from greenroom.testing import PersonSource, count_room_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.sinks.sink import LiveSink

RATE = Fraction(30)
MICROSECONDS = Fraction(1, 1_000_000)
LAYOUT = Layout(64, 36, "yuv420p", Colour(1, 1))
# A camera whose rate varies, stamped by a clock that has run for eleven days.
TIMES_US = [950_000_000_000 + offset for offset in (0, 33_000, 70_000, 500_000, 533_333)]


def at(time_us: int, rgb: tuple[int, int, int] = (200, 90, 40)) -> Frame:
    """Make a frame of one colour, shown at a time."""
    return Frame.filled(LAYOUT, rgb).shown_at(time_us, MICROSECONDS)


def times_in(path: Path) -> list[float]:
    """Return when the frames of a file are shown, in seconds."""
    with av.open(str(path)) as container:
        return [float(frame.time or 0) for frame in container.decode(video=0)]


class TestTo:
    """The setting ``to``."""

    def test_every_place_becomes_a_sink(self, tmp_path: Path) -> None:
        """Sinks come in the order named; the page is none; spaces are no matter."""
        pytest.importorskip("pygame", reason="the window is the extra 'window'")
        path = tmp_path / "out.mp4"
        to = f"camera, page,pipewire ,window,file:{path},null,camera:/dev/video10"
        sinks = create_live_sinks(Settings(to=to), RATE)
        assert [sink.name for sink in sinks] == [
            "camera",
            "pipewire",
            "window",
            f"file:{path}",
            "null",
            "camera:/dev/video10",
        ]
        assert [sink.paced for sink in sinks] == [True, True, False, False, False, True]
        assert [sink.always for sink in sinks] == [False, False, False, True, True, False]
        for sink in sinks:
            sink.abort()
        assert list(tmp_path.iterdir()) == []

    def test_page_alone_needs_no_sink(self) -> None:
        """The page is shown by the session."""
        assert create_live_sinks(Settings(to="page"), RATE) == []

    @pytest.mark.parametrize(
        ("to", "part"),
        [
            ("projector", "'projector'"),
            ("camera,,page", "''"),
            (",", "''"),
            ("camera:", "'camera:'"),
            ("file:", "'file:'"),
            ("file", "'file'"),
            ("null:1", "'null:1'"),
            ("page:8080", "'page:8080'"),
            ("Camera", "'Camera'"),
        ],
    )
    def test_what_is_unknown_lists_what_is_known(self, to: str, part: str) -> None:
        """A wrong name is a SettingsError about ``to`` that lists every place there is."""
        with pytest.raises(SettingsError) as caught:
            destinations(Settings(to=to))
        assert caught.value.name == "to"
        assert part in str(caught.value)
        for known in ("camera", "camera:DEVICE", "pipewire", "window", "page", "file:", "null"):
            assert known in str(caught.value)

    @pytest.mark.parametrize("to", ["page,page", "camera,page,camera", "file:a.mp4,file:a.mp4"])
    def test_the_same_twice_is_refused(self, to: str) -> None:
        """One place is named once."""
        with pytest.raises(SettingsError, match="twice"):
            destinations(Settings(to=to))

    def test_recording_of_an_unknown_kind(self) -> None:
        """A recording is a video; the kinds there are are listed."""
        with pytest.raises(SettingsError, match=r"\.mp4.*'out\.txt'"):
            destinations(Settings(to="file:out.txt"))


FULL_DISK: Final = """
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from greenroom.errors import SinkError
from greenroom.media.frame import Frame, Layout
from greenroom.settings import Settings
from greenroom.sinks.live_recording import RecordingSink

rng = np.random.default_rng(1)
sink = RecordingSink(Path(sys.argv[1]), Settings(), Fraction(30))

def write(number):
    frame = Frame.empty(Layout(160, 90, "yuv420p"))
    for plane in frame.planes:
        plane[:] = rng.integers(16, 235, plane.shape)
    sink.write(frame.shown_at(number, Fraction(1, 30)))

limit = resource.getrlimit(resource.RLIMIT_FSIZE)
in_the_end = sys.argv[2] == "close"
if not in_the_end:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limit[1]))
try:
    for number in range(150 if in_the_end else 3000):
        write(number)
    written = max(path.stat().st_size for path in Path(sys.argv[1]).parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (written + 1000, limit[1]))
    sink.close()
except SinkError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
for number in range(3000, 3005):
    write(number)
sink.close()
"""


class TestRecording:
    """A recording of what is sent."""

    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov", "out.webm"])
    def test_begins_at_zero_and_keeps_times(self, name: str, tmp_path: Path) -> None:
        """Real times are kept, from 0; a frame that comes again is left out."""
        path = tmp_path / name
        sink = RecordingSink(path, Settings(), RATE)
        for time_us in TIMES_US:
            sink.write(at(time_us))
            sink.write(at(time_us))
        assert not path.exists()
        sink.close()
        expected = [(time_us - TIMES_US[0]) / 1e6 for time_us in TIMES_US]
        # Matroska counts milliseconds, MP4 microseconds.
        np.testing.assert_allclose(times_in(path), expected, atol=6e-4)
        assert [file.name for file in tmp_path.iterdir()] == [name]

    def test_frames_without_a_time_or_of_the_past_are_left_out(self, tmp_path: Path) -> None:
        """What has no time, or comes late, does not disturb the others."""
        sink = RecordingSink(tmp_path / "out.mkv", Settings(), RATE)
        sink.write(Frame.filled(LAYOUT, (0, 0, 0)))
        for offset in (0, 40_000, 20_000, 80_000):
            sink.write(at(5_000_000 + offset))
        sink.close()
        np.testing.assert_allclose(times_in(tmp_path / "out.mkv"), [0, 0.04, 0.08], atol=6e-4)

    def test_without_frames_there_is_no_file(self, tmp_path: Path) -> None:
        """A session that ends before its first frame leaves nothing, and is no error."""
        sink = RecordingSink(tmp_path / "out.mp4", Settings(), RATE)
        sink.close()
        assert list(tmp_path.iterdir()) == []

    def test_abort_keeps_what_was_recorded(self, tmp_path: Path) -> None:
        """Whatever went wrong, what was recorded stays; the next frame begins another file."""
        path = tmp_path / "out.mp4"
        sink = RecordingSink(path, Settings(), RATE)
        sink.abort()
        assert list(tmp_path.iterdir()) == []
        sink.write(at(1_000_000))
        sink.write(at(1_100_000))
        sink.abort()
        sink.abort()
        np.testing.assert_allclose(times_in(path), [0, 0.1], atol=1e-3)
        sink.write(at(9_000_000))
        sink.write(at(9_200_000))
        sink.close()
        np.testing.assert_allclose(times_in(path), [0, 0.1], atol=1e-3)
        np.testing.assert_allclose(times_in(tmp_path / "out-2.mp4"), [0, 0.2], atol=1e-3)

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_other_files_are_never_replaced(self, overwrite: bool, tmp_path: Path) -> None:
        """Not those with numbers, which nobody named, nor one that appeared meanwhile."""
        path, another = tmp_path / "out.mp4", tmp_path / "out-2.mp4"
        another.write_text("mine")
        sink = RecordingSink(path, Settings(overwrite=overwrite), RATE)
        sink.write(at(1_000_000))
        sink.abort()
        sink.write(at(2_000_000))
        (tmp_path / "out-3.mp4").write_text("mine too")
        with pytest.raises(SinkError, match=r"is there already.*recorded until then is in .*out-3"):
            sink.close()
        assert another.read_text() == "mine"
        assert (tmp_path / "out-3.mp4").read_text() == "mine too"
        assert len(times_in(path)) == len(times_in(tmp_path / "out-3-2.mp4")) == 1

    def test_transparency_that_comes_later_does_not_show_the_room(self, tmp_path: Path) -> None:
        """A background that becomes transparent is recorded before the cover's colour."""
        path = tmp_path / "out.mkv"
        sink = RecordingSink(path, Settings(codec="ffv1"), RATE)
        frame = PersonSource((64, 36)).frame(0)
        sink.write(frame.shown_at(0, MICROSECONDS))
        sink.write(
            Frame.filled(frame.layout, (255, 0, 255), alpha=0).shown_at(40_000, MICROSECONDS)
        )
        sink.close()
        with av.open(str(path)) as container:
            first, second = (Frame.from_av(one) for one in container.decode(video=0))
        assert count_room_pixels(first) > 0
        assert count_room_pixels(second) == 0

    @pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
    @pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv", "out.webm"])
    @pytest.mark.parametrize("when", ["write", "close"])
    def test_a_full_disk_loses_nothing_that_was_recorded(
        self, name: str, when: str, tmp_path: Path
    ) -> None:
        """What is there can be played, the error says where, and another file goes on."""
        path = tmp_path / name
        ended = subprocess.run(
            [sys.executable, "-c", FULL_DISK, str(path), when],
            capture_output=True,
            check=True,
            text=True,
            timeout=120,
        )
        assert f"What was recorded until then is in '{path}'." in ended.stdout
        kept = 0
        with av.open(str(path)) as container, suppress(av.error.InvalidDataError):
            for _ in container.decode(video=0):  # until the one of which the end is missing
                kept += 1
        assert kept > 30
        another = path.with_stem("out-2")
        with av.open(str(another)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 5
        assert sorted(tmp_path.iterdir()) == sorted([path, another])

    def test_existing_file_stays(self, tmp_path: Path) -> None:
        """What is there is replaced only when asked, and that is said before the camera opens."""
        path = tmp_path / "out.mp4"
        path.write_text("mine")
        with pytest.raises(ExistsError, match="--overwrite"):
            create_live_sinks(Settings(to=f"file:{path}"), RATE)
        with pytest.raises(SinkError, match="no folder"):
            create_live_sinks(Settings(to=f"file:{tmp_path}/missing/out.mp4"), RATE)
        (sink,) = create_live_sinks(Settings(to=f"file:{path}", overwrite=True), RATE)
        assert sink.device == str(path)
        sink.write(at(0))
        assert path.read_text() == "mine"
        sink.close()
        assert times_in(path) == [0]


def test_null_counts_and_always_wants_more() -> None:
    """The sink for measuring counts frames."""
    sink = NullSink()
    live: LiveSink = sink
    live.write(at(0))
    live.write(at(1))
    live.close()
    live.abort()
    assert sink.frames == 2
    assert live.always
    assert live.readers() is None
