"""The page and its module in Chromium, against ``greenroom serve``."""

from __future__ import annotations

import base64
import statistics
import time
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from e2e.browser import chromium, eventually

from hosted.browser_rig import BROWSER, WATCH, Clip, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"])]

FIRST, SECOND, GREY = [100, 120, 160], [170, 120, 110], [38, 42, 48]
COLOURS: Final = {"color:#6478a0": FIRST, "color:#aa786e": SECOND}
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
# As an application would: the module alone, with its own camera. What it returns is looked at from
# the first frame on.
CONNECT: Final = """async (settings) => {
  const { createGreenroom } = await import("/static/greenroom.js");
  const video = { width: 640, height: 480, frameRate: 30 };
  const stream = await navigator.mediaDevices.getUserMedia({ video });
  window.camera = stream.getVideoTracks()[0];
  window.greenroom = createGreenroom({ server: location.origin, settings });
  window.states = [];
  greenroom.onstate = (state) => states.push({ at: performance.now(), ...state });
  window.track = greenroom.process(camera);
  window.seen = watch(track);
}"""
NO_GENERATOR: Final = "delete window.MediaStreamTrackGenerator;"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Make what the camera sees."""
    return Clip(tmp_path_factory.mktemp("camera") / "person.mjpeg")


@pytest.fixture(scope="module")
def browser(clip: Clip) -> Iterator[Browser]:
    """Start one browser for all tests."""
    with chromium(*BROWSER, f"--use-file-for-fake-video-capture={clip.path}") as started:
        yield started


@pytest.fixture(scope="module")
def service(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Start one service for all tests."""
    assert browser.is_connected()
    with Service(tmp_path_factory.mktemp("service"), "--max-sessions", "2") as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Make a window in which the camera is allowed."""
    made = browser.new_context(
        viewport=WIDE,  # type: ignore[arg-type]
        reduced_motion="reduce",
        permissions=["camera"],
    )
    made.set_default_timeout(15_000)
    made.add_init_script(WATCH)
    yield made
    assert made.cookies() == []
    made.close()


# The module.


@pytest.fixture
def application(context: BrowserContext, service: Service) -> Iterator[Page]:
    """Open a page that uses the module alone."""
    page = context.new_page()
    page.goto(service.url)
    yield page
    page.close()


def connect(page: Page, background: str = "color:#6478a0") -> None:
    """Have the module process the camera, until its background is seen."""
    page.evaluate(CONNECT, {"background": background})
    until_shown(page, COLOURS[background])


def until(page: Page, expression: str) -> None:
    """Wait until something is so in a page, whose policy forbids that a script waits for it."""
    eventually(lambda: page.evaluate(expression), page)


def until_shown(page: Page, rgb: list[int]) -> None:
    """Wait until a colour is at the corner of the returned track."""
    until(page, f"seen.is({rgb})")


def room_pixels(page: Page) -> int:
    """Return how many pixels of the room the worst frame had, of many."""
    frames, room = page.evaluate("[seen.frames, seen.room]")
    assert frames > 10
    return int(room)


def test_the_room_is_seen_where_it_is(application: Page) -> None:
    """The count is no mistake: the marks are in the camera's own track."""
    application.evaluate(CONNECT, {})
    application.evaluate("window.seen = watch(camera)")
    until(application, "seen.frames > 10")
    assert room_pixels(application) > 15_000


@pytest.mark.parametrize("script", ["", NO_GENERATOR], ids=["passed on", "drawn"])
def test_no_frame_shows_the_room(context: BrowserContext, service: Service, script: str) -> None:
    """From the first frame on, through changes and hiding, in both ways that browsers need."""
    context.add_init_script(script)
    page = context.new_page()
    page.goto(service.url)
    connect(page)
    assert page.evaluate("seen.corners[0].rgb") == pytest.approx(GREY, abs=3)
    for background in ("color:#aa786e", "color:#6478a0"):
        page.evaluate("(background) => greenroom.set({ background })", background)
        until_shown(page, COLOURS[background])
    for on, rgb in ((True, GREY), (False, FIRST)):
        page.evaluate("(on) => greenroom.cover(on)", on)
        until_shown(page, rgb)
    until(page, "seen.frames > 60")
    assert room_pixels(page) == 0
    page.evaluate("greenroom.close()")
    assert page.evaluate("[track.readyState, camera.readyState]") == ["ended", "live"]
    page.close()


def test_the_person_survives(application: Page, clip: Clip) -> None:
    """What is not background is the person, of one of the camera's frames."""
    connect(application)
    until(application, "seen.frames > 60")  # the matte has settled
    overlaps = []
    for _ in range(3):
        picture = picture_of(application)
        overlaps.append(clip.overlap(abs(picture - FIRST).max(2) > 24))
        application.wait_for_timeout(200)
    assert min(overlaps) >= 0.9, overlaps


def picture_of(page: Page) -> NDArray[np.int_]:
    """Return the newest frame of the returned track, (H, W, 3) RGB."""
    width, height, data = page.evaluate("seen.picture()")
    samples = np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
    return samples[..., :3].astype(int)


def test_a_change_is_soon_seen(application: Page) -> None:
    """Within half a second, as the median of five."""
    connect(application)
    took_ms = []
    for number in range(5):
        background = list(COLOURS)[(number + 1) % 2]
        began = application.evaluate(
            "(background) => (greenroom.set({ background }), performance.now())", background
        )
        until_shown(application, COLOURS[background])
        took_ms.append(
            application.evaluate(
                "([began, rgb]) => seen.first(rgb, began) - began", [began, COLOURS[background]]
            )
        )
    assert statistics.median(took_ms) <= 500, took_ms


def test_an_upload_is_the_background(application: Page) -> None:
    """A blob is uploaded; what is no picture is refused, and nothing changes."""
    connect(application)
    application.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(64, 48);
          const context = canvas.getContext("2d");
          context.fillStyle = "rgb(170 120 110)";
          context.fillRect(0, 0, 64, 48);
          greenroom.set({ background: await canvas.convertToBlob() });
        }"""
    )
    until_shown(application, SECOND)
    application.evaluate("greenroom.set({ background: new Blob(['no picture']) })")
    until(application, "states.at(-1).error?.name === 'background'")
    application.wait_for_timeout(300)
    until_shown(application, SECOND)
    application.evaluate("greenroom.set({ background: 'color:nonsense' })")
    until(application, "/nonsense/.test(states.at(-1).error?.message)")
    until_shown(application, SECOND)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_restart_of_the_server(application: Page, service: Service, *, hidden: bool) -> None:
    """The track stays, shows nobody meanwhile, and what was wanted five seconds after the start."""
    connect(application)
    application.evaluate("(on) => greenroom.cover(on)", hidden)
    service.kill()
    until(application, "states.at(-1).connection !== 'connected'")
    until_shown(application, GREY)
    service.start()
    began = time.monotonic()
    until(application, "states.at(-1).connection === 'connected'")
    if hidden:
        until(application, "states.at(-1).status?.covered")
        assert application.evaluate("seen.is([38, 42, 48])")
    else:
        until_shown(application, FIRST)
    assert time.monotonic() - began <= 5
    assert application.evaluate("track.readyState") == "live"
    assert room_pixels(application) == 0
