"""What a run says, from what is known of its session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from greenroom.cli.run_messages import HeldWarnings, RunReporter, is_known
from greenroom.desktop.session import DesktopStatus
from greenroom.live.status import CaptureState, CaptureStatus, OutletStatus, Showing
from greenroom.specs import BACKGROUND_KINDS, BackgroundKind

if TYPE_CHECKING:
    from collections.abc import Iterator

CAMERA = CaptureStatus("C920", CaptureState.RUNNING, "1280x720 MJPEG, 30 frames/s")
WAITING = OutletStatus("pipewire")
REACHED = OutletStatus("pipewire", "greenroom (PipeWire)", "running", frames=1)
FAILED = OutletStatus("pipewire", state="failed", error="PipeWire does not run. Start it.")
NULL = OutletStatus("null", state="running", frames=1)
PAGE = OutletStatus("page", state="running")
URL = "http://127.0.0.1:8477/#token=t"
SOURCE = "source: C920 (1280x720 MJPEG, 30 frames/s)"
SENT = "sending you in front of blur"


def status(*outlets: OutletStatus, **values: Any) -> DesktopStatus:
    """Return what is known of a session that shows the person."""
    usual: dict[str, Any] = {
        "showing": Showing.PERSON,
        "reason": "",
        "capture": CAMERA,
        "size": (1280, 720),
        "plan": "All.",
    }
    return DesktopStatus(outlets=outlets, **(usual | values))


class Run:
    """A run that tells."""

    def __init__(self, url: str = "") -> None:
        self.reporter = RunReporter(url, "All.", 0.0)

    def out(self, known: DesktopStatus, now_s: float = 0.0, background: str = "blur") -> list[str]:
        """Return what is said now, with ! before what is a message."""
        lines = self.reporter.tell(known, background, now_s)
        return [line.text if line.is_result else f"!{line.text}" for line in lines]


def test_a_sink_without_the_cover_is_told() -> None:
    """Not at once, as sinks take the cover one after the other; nobody is said to be covered."""
    run = Run()
    covered: dict[str, Any] = {"showing": Showing.COVER, "covered": True, "reason": "key"}
    lacking = status(NULL, **covered, without_cover=("null",), message="null has not taken it yet")
    assert SENT in run.out(status(NULL))
    assert run.out(lacking, 10.0) == []
    assert run.out(lacking, 10.6) == ["!null has not taken it yet"]
    done = status(NULL, **covered, message="Covered, because you asked for it.")
    assert run.out(done, 11.0) == ["!sending the cover. Covered, because you asked for it."]


def test_a_settings_file_that_was_broken_is_told() -> None:
    """Once for each change, and again when it is mended."""
    run = Run()
    assert SENT in run.out(status(NULL))
    broken = "settings file 'g.toml' is not valid TOML: line 1"
    for said in ([f"!{broken}"], [], []):
        assert run.out(status(NULL, config="g.toml", config_error=broken), 1.0) == said
    worse = "settings file 'g.toml': unknown setting 'x'"
    assert run.out(status(NULL, config="g.toml", config_error=worse), 2.0) == [f"!{worse}"]
    mended = ["!settings file 'g.toml' is in order again."]
    assert run.out(status(NULL, config="g.toml"), 3.0) == mended
    assert run.out(status(NULL, config="g.toml"), 4.0) == []


class TestPlaces:
    """Where the picture goes."""

    def test_waits_for_them(self) -> None:
        """Nothing is said of a place before it is known; then all at once, and only once."""
        run = Run()
        assert run.out(status(WAITING, NULL)) == []
        assert run.out(status(REACHED, NULL), 1.0) == [
            SOURCE,
            "pipewire: greenroom (PipeWire), 1280x720",
            "null: running, 1280x720",
            SENT,
        ]
        assert run.out(status(REACHED, NULL), 2.0) == []

    def test_waits_no_longer_than_five_seconds(self) -> None:
        """What still waits then is said to, and what it has reached when it has."""
        run = Run(URL)
        first_write = OutletStatus("pipewire", state="stalled")
        assert run.out(status(first_write, PAGE), 4.9) == []
        assert run.out(status(WAITING, PAGE), 5.0) == [
            SOURCE,
            "pipewire: waiting, 1280x720",
            f"page: {URL}",
            SENT,
        ]
        assert run.out(status(REACHED, PAGE), 9.0) == ["!pipewire: greenroom (PipeWire), 1280x720"]
        assert run.out(status(REACHED, PAGE), 9.5) == []

    def test_one_that_failed(self) -> None:
        """The others are not waited for, why is left to the warning, and success is told."""
        run = Run(URL)
        assert run.out(status(FAILED, WAITING, PAGE))[1] == "pipewire: failed, and is tried again"
        assert run.out(status(FAILED, WAITING, PAGE), 1.0) == []
        assert run.out(status(REACHED, WAITING, PAGE), 2.0) == [
            "!pipewire: greenroom (PipeWire), 1280x720"
        ]
        assert run.out(status(FAILED, NULL, PAGE), 3.0) == ["!null: running, 1280x720"]
        assert run.out(status(REACHED, NULL, PAGE), 4.0) == [
            "!pipewire: greenroom (PipeWire), 1280x720"
        ]

    def test_another_device(self) -> None:
        """A recording that goes on in another file says so; one that stalls says nothing."""
        run = Run()
        file = OutletStatus("file:a.mp4", "a.mp4", "running", frames=1)
        run.out(status(file))
        assert run.out(status(OutletStatus("file:a.mp4", "a.mp4", "stalled", frames=9))) == []
        assert run.out(status(file)) == []
        other = OutletStatus("file:a.mp4", "a-2.mp4", "running", frames=9)
        assert run.out(status(other)) == ["!file:a.mp4: a-2.mp4, 1280x720"]


class TestSent:
    """What is sent."""

    def test_first_frame_is_waited_for(self) -> None:
        """At the start it is the cover for a moment, of which nothing is said."""
        run = Run()
        starting = status(NULL, showing=Showing.COVER, reason="start", message="Starting.")
        assert run.out(starting, 4.9) == []
        assert run.out(starting, 5.0)[-1] == "sending the cover. Starting."
        assert run.out(status(NULL), 6.0) == [f"!{SENT}"]

    def test_visible_room_is_said_at_once(self) -> None:
        """That others see the room waits for no sink."""
        said = Run().out(status(WAITING, showing=Showing.CAMERA), background="none")
        assert "YOUR ROOM IS VISIBLE" in said[-1]

    def test_grey_room_is_said(self) -> None:
        """In grey others see the room as well, which is said as plainly."""
        said = Run().out(status(NULL), background="grayscale")
        assert "YOUR ROOM IS VISIBLE in grey" in said[-1]

    def test_every_kind_that_shows_the_room_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A kind of background that is added with a warning needs no change of the messages."""
        sepia = BackgroundKind("sepia", room_warning="Your room is visible.")
        monkeypatch.setitem(BACKGROUND_KINDS, "sepia", sepia)
        said = Run().out(status(NULL), background="sepia")
        assert "YOUR ROOM IS VISIBLE (background sepia)" in said[-1]

    def test_between_two_backgrounds(self) -> None:
        """While the setting is none and the frame is not yet, nothing is said."""
        assert Run().out(status(NULL), background="none") == []


class TestGovernor:
    """What the governor chose."""

    def test_changes_are_said_with_why(self) -> None:
        """The first plan is what was asked for; another reason alone is no other plan."""
        run = Run()
        assert not any("governor" in line for line in run.out(status(NULL)))
        less = status(NULL, plan="Less.", plan_reason="It took 40 ms.")
        assert run.out(less, 1.0) == ["!governor: Less. It took 40 ms."]
        assert run.out(status(NULL, plan="Less.", plan_reason="Still."), 9.0) == []

    def test_at_most_every_two_seconds(self) -> None:
        """Of several changes that come together the last one is said."""
        run = Run()
        run.out(status(NULL))
        assert run.out(status(NULL, plan="A."), 10.0) == ["!governor: A."]
        assert run.out(status(NULL, plan="B."), 11.0) == []
        assert run.out(status(NULL, plan="C."), 12.0) == ["!governor: C."]
        assert run.out(status(NULL, plan="B."), 13.0) == []
        assert run.out(status(NULL, plan="C."), 14.5) == []


@pytest.mark.parametrize(
    ("outlets", "url", "known"),
    [
        ((WAITING, NULL), "", False),
        ((REACHED, NULL), "", True),
        ((FAILED,), "", False),
        ((FAILED, PAGE), URL, True),
        ((FAILED, WAITING), "", True),
        ((PAGE,), URL, True),
    ],
)
def test_known(outlets: tuple[OutletStatus, ...], url: str, *, known: bool) -> None:
    """Where all fail without a page the session ends, and its error says why."""
    assert is_known(status(*outlets), url) is known


class TestHeldWarnings:
    """Warnings that may turn out to be the command's error."""

    @pytest.fixture
    def log(self, caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
        """Return a logger of the test's own."""
        logger = logging.getLogger("held")
        yield logger
        logger.filters.clear()
        caplog.clear()

    def test_error_is_said_once(
        self, log: logging.Logger, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What the error says is not said before it; all else is, and later ones at once."""
        held = HeldWarnings()
        log.addFilter(held)
        log.warning("%s: %s", "camera", "no camera")
        log.warning("%s: %s", "file", "disk full")
        assert caplog.messages == []
        held.release("no camera")
        assert caplog.messages == ["file: disk full"]
        log.warning("later")
        held.release()
        assert caplog.messages == ["file: disk full", "later"]

    def test_no_error(self, log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
        """Without an error all come, in their order."""
        held = HeldWarnings()
        log.addFilter(held)
        log.warning("one")
        log.warning("two")
        held.release("")
        assert caplog.messages == ["one", "two"]
