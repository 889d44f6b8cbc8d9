"""The page and its module in Chromium, against ``greenroom serve``."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import statistics
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import cv2
import numpy as np
import pytest
from e2e.browser import NARROW, WIDE, Seen, chromium, eventually

from hosted.browser_rig import BROWSER, WATCH, Clip, Service, filmed_clip, marked_clip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"])]

FILMS: Final = Path(
    os.environ.get("GREENROOM_DATA_DIR", Path(__file__).parents[3] / "shared/data/clips")
)
EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "examples"
FIRST, SECOND, GREY = [100, 120, 160], [170, 120, 110], [38, 42, 48]
COLOURS: Final = {"color:#6478a0": FIRST, "color:#aa786e": SECOND}
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
# A picture of one colour.
UPLOAD: Final = """async () => {
  const canvas = new OffscreenCanvas(64, 48);
  const context = canvas.getContext("2d");
  context.fillStyle = "rgb(170 120 110)";
  context.fillRect(0, 0, 64, 48);
  greenroom.set({ background: await canvas.convertToBlob() });
}"""
NO_GENERATOR: Final = "delete window.MediaStreamTrackGenerator;"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Make what the camera sees."""
    return marked_clip(tmp_path_factory.mktemp("camera") / "person.mjpeg")


@pytest.fixture(scope="module")
def browser(clip: Clip) -> Iterator[Browser]:
    """Start one browser for all tests."""
    with chromium(*BROWSER, f"--use-file-for-fake-video-capture={clip.path}") as started:
        yield started


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Serve the example for web developers from an origin of its own."""
    handler = partial(Quiet, directory=str(EXAMPLES))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    """Says nothing of the requests that it answers."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def service(
    browser: Browser, elsewhere: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Start one service for all tests."""
    assert browser.is_connected()
    arguments = ("--workers", "2", "--max-sessions", "4", "--allow-origin", elsewhere)
    with Service(tmp_path_factory.mktemp("service"), *arguments) as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Make a window in which the camera is allowed."""
    made = browser.new_context(
        viewport=WIDE,
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
    page.evaluate("greenroom.close()")
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
    until(page, "seen.frames > 10")
    return int(page.evaluate("seen.room"))


def test_the_room_is_seen_where_it_is(application: Page) -> None:
    """The count is no mistake: the marks are in the camera's own track."""
    application.evaluate(CONNECT, {})
    application.evaluate("window.seen = watch(camera)")
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
    assert min(overlaps(application, clip)) >= 0.9


@pytest.mark.parametrize("name", ["bbaf2n", "mdn_a"])
def test_a_filmed_person_survives(application: Page, clip: Clip, tmp_path: Path, name: str) -> None:
    """So does somebody who was filmed, where the film and its mattes are."""
    film = filmed_clip(tmp_path / "film.mjpeg", FILMS / f"{name}.mp4")
    with clip.replaced_by(film):
        connect(application)
        assert min(overlaps(application, film)) >= 0.9


def overlaps(page: Page, clip: Clip) -> list[float]:
    """Return how well the person in three frames is one of the clip's."""
    until(page, "seen.frames > 60")  # the matte has settled
    found = []
    for _ in range(3):
        found.append(clip.overlap(abs(picture_of(page) - FIRST).max(2) > 24))
        page.wait_for_timeout(200)
    return found


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
    application.evaluate(UPLOAD)
    until_shown(application, SECOND)
    application.evaluate("greenroom.set({ background: new Blob(['no picture']) })")
    until(application, "states.at(-1).error?.name === 'background'")
    application.wait_for_timeout(300)
    until_shown(application, SECOND)
    application.evaluate("greenroom.set({ background: 'color:nonsense' })")
    until(application, "/nonsense/.test(states.at(-1).error?.message)")
    until_shown(application, SECOND)


@pytest.mark.parametrize("case", ["shown", "hidden", "own picture"])
def test_a_restart_of_the_server(application: Page, service: Service, case: str) -> None:
    """The track stays, shows nobody meanwhile, and what was wanted five seconds after the start."""
    connect(application)
    expected = {"shown": FIRST, "hidden": GREY, "own picture": SECOND}[case]
    application.evaluate("(on) => greenroom.cover(on)", case == "hidden")
    if case == "own picture":
        application.evaluate(UPLOAD)
    until_shown(application, expected)
    service.kill()
    until(application, "states.at(-1).connection !== 'connected'")
    until_shown(application, GREY)
    application.evaluate("states.splice(0)")
    service.start()
    began = time.monotonic()
    until(application, "states.at(-1)?.connection === 'connected'")
    until_shown(application, expected)
    assert time.monotonic() - began <= 5
    if case == "hidden":
        until(application, "states.at(-1).status?.covered")
        assert application.evaluate("states.every((one) => one.status?.showing !== 'person')")
    assert application.evaluate("track.readyState") == "live"
    assert room_pixels(application) == 0


def test_a_server_that_is_shut_down_is_left(application: Page, service: Service) -> None:
    """At once, and it says why; the person is shown again when the server is back."""
    connect(application)
    shut_down(application, service)
    service.wait()  # not for long, as nobody is left there
    service.start()
    began = time.monotonic()
    until(application, "states.at(-1).connection === 'connected'")
    until_shown(application, FIRST)
    assert time.monotonic() - began <= 5
    assert application.evaluate("states.at(-1).error") is None
    assert room_pixels(application) == 0


def test_another_server_takes_over(application: Page, service: Service, tmp_path: Path) -> None:
    """Where another server answers at the same address, it shows the person soon."""
    arguments = ("--workers", "1", "--max-sessions", "1", "--allow-origin", service.url[:-1])
    with Service(tmp_path, *arguments) as other:
        connect(application)
        application.route(
            "**/sessions*",
            lambda route: route.continue_(url=route.request.url.replace(service.url, other.url)),
        )
        began = time.monotonic()
        shut_down(application, service)
        until(application, "states.at(-1).connection === 'connected'")
        until_shown(application, FIRST)
        assert time.monotonic() - began <= 5
        assert room_pixels(application) == 0
        service.wait()
        service.start()


def shut_down(page: Page, service: Service) -> None:
    """Shut the service down, which the page is told; it does not wait for the end."""
    page.evaluate("states.splice(0)")
    service.shut_down()
    until(page, "states.some((one) => one.connection === 'lost')")
    lost = page.evaluate("states.find((one) => one.connection === 'lost').error")
    assert lost["status"] == 503
    assert "is being shut down" in lost["message"]


# Keeps what connections are made with.
CONFIGURATIONS: Final = """
window.configurations = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(configuration) {
    super(configuration);
    configurations.push(configuration);
  }
};
"""


def test_the_servers_ice_servers_are_used(context: BrowserContext, service: Service) -> None:
    """As it tells them by RFC 9725, unless an application has its own."""
    context.add_init_script(CONFIGURATIONS)
    page = context.new_page()
    page.goto(service.url)
    link = (
        '<turn:127.0.0.1:9?transport=udp>; rel="ice-server"; username="me"; credential="a, b"; '
        'credential-type="password", <stun:127.0.0.1:9>; rel="ice-server"'
    )
    page.route("**/sessions", lambda route: route.fulfill(status=204, headers={"Link": link}))
    connect(page)
    assert page.evaluate("configurations[0].iceServers") == [
        {"urls": "turn:127.0.0.1:9?transport=udp", "username": "me", "credential": "a, b"},
        {"urls": "stun:127.0.0.1:9", "username": None, "credential": None},
    ]
    page.evaluate("greenroom.close()")
    page.close()


def test_the_example_is_a_call(context: BrowserContext, service: Service, elsewhere: str) -> None:
    """A page of another origin, which the operator named, sends its user with a background."""
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{elsewhere}/hosted_call.html")
    page.fill("#server", service.url)
    page.select_option("#background", "beach")
    page.click("#start")
    page.locator("#state", has_text="You are shown.").wait_for()
    page.evaluate("window.seen = watch(document.getElementById('other').srcObject.getTracks()[0])")
    until(page, "seen.frames > 20")
    page.click("#hide")
    until_shown(page, GREY)
    assert room_pixels(page) == 0
    page.close()
    assert problems == []


def test_a_page_that_nobody_named_is_refused(
    context: BrowserContext, service: Service, elsewhere: str
) -> None:
    """Its requests are refused, and the track that it has shows nobody."""
    page = context.new_page()
    page.goto(f"{elsewhere.replace('127.0.0.1', 'localhost')}/hosted_call.html")
    page.fill("#server", service.url)
    page.click("#start")
    page.locator("#state", has_text="Failed to fetch").wait_for()
    page.evaluate("window.seen = watch(document.getElementById('other').srcObject.getTracks()[0])")
    assert room_pixels(page) == 0
    assert page.evaluate(f"seen.is({GREY})")
    page.close()


# The page.


# All kinds of text on it, and what can be pressed.
TEXTS: Final = (
    *("h1", "h2", "h3", "#help", "#call", "#hide", "#compare", "#mirror", "#stop", "#summary"),
    *(".tile span", ".tile[aria-pressed=true] span", ".upload .quiet", ".upload label", "#problem"),
    *("#effects [aria-pressed=false]", ".panel label", "#camera", "#size", ".figures dt", "em"),
    *(".figures dd", ".panel .quiet", "#start p", "#start strong", "#start-camera", "#token-why"),
    *("#help-dialog dd", "#snippet", "#call-dialog .quiet", "#copy", "#own-window", "#notices"),
)
PRESSED: Final = ("hide", "compare", "mirror")
AFTER: Final = "document.getElementById('after')"


class HostedPage(Seen):
    """The page, and what the returned track shows, once its camera is on."""

    def start(self, background: str | None = "color:#6478a0") -> None:
        """Turn the camera on, and choose a background."""
        self.page.click("#start-camera")
        self.headline("", "person")
        self.watch()
        if background is not None:
            self.page.locator("#effects button", has_text="Colour").click()
            self.page.fill("#colour", background.removeprefix("color:"))
            until_shown(self.page, COLOURS[background])
            self.watch()  # the room was blurred, and the marks with it

    def watch(self) -> None:
        """Look at every frame from now on."""
        self.page.evaluate("window.seen = watch(greenroomStream.getVideoTracks()[0])")


def opened(context: BrowserContext, url: str) -> HostedPage:
    """Open the page, and wait for its gallery."""
    shown = HostedPage(context.new_page(), url.rstrip("/"))
    shown.page.goto(url)
    shown.page.wait_for_selector(".tile img[src]")
    return shown


@pytest.fixture
def shown(context: BrowserContext, service: Service) -> Iterator[HostedPage]:
    """Open the page; it does nothing that it should not."""
    page = opened(context, service.url)
    yield page
    page.page.close()
    page.check()


def test_nothing_is_sent_before_it_is_said_where_to(shown: HostedPage, service: Service) -> None:
    """The camera is off until a button below the explanation is pressed, and can be turned off."""
    text = shown.page.inner_text("#start")
    assert f"127.0.0.1:{service.port}" in text
    assert "Frames are processed on that server and kept nowhere." in text
    assert not shown.page.is_visible("#after")
    shown.start()
    assert not shown.page.is_visible("#start")
    assert "kept nowhere" in shown.page.inner_text("#summary")
    camera = "document.getElementById('before').srcObject"
    shown.page.evaluate(f"window.camera = {camera}.getVideoTracks()[0]")
    shown.page.click("#stop")
    shown.headline("Your camera is off", "wait")
    assert shown.page.evaluate("[camera.readyState, typeof greenroomStream]") == [
        "ended",
        "undefined",
    ]
    assert shown.page.is_visible("#start")
    shown.start(None)


def test_the_preview_and_its_figures(shown: HostedPage) -> None:
    """The picture that comes back is seen, with its size, its rate and the time that it took."""
    shown.start()
    shown.headline("You are shown in front of the colour #6478a0", "person")
    until(shown.page, f"{AFTER}.videoWidth === 640")
    shown.page.locator("#frames", has_text=re.compile("^640 . 480, ")).wait_for()
    shown.page.locator("#round-trip", has_text="ms").wait_for()
    took_ms = int(shown.page.inner_text("#round-trip").split()[0])
    on_server_ms = int(shown.page.inner_text("#on-server").split()[0])
    assert 0 < on_server_ms < took_ms < 1000


def test_a_background_of_the_server_is_chosen(shown: HostedPage) -> None:
    """By click or by keys; it is told, and seen."""
    shown.start()
    shown.page.locator(".tile", has_text="Dusk").click()
    shown.headline("You are shown in front of Dusk", "person")
    eventually(lambda: not shown.page.evaluate(f"seen.is({FIRST})"), shown.page)
    shown.page.keyboard.press("ArrowRight")
    shown.page.keyboard.press("ArrowRight")
    assert shown.page.evaluate("document.activeElement.title") == "Studio"
    shown.page.keyboard.press("Home")
    shown.page.keyboard.press("Enter")
    shown.headline("You are shown in front of Beach", "person")


def test_the_strength_of_blur(shown: HostedPage) -> None:
    """What is chosen before the camera is on is what the session begins with."""
    shown.page.locator("#effects button", has_text="Pixelate").click()
    shown.page.fill("#strength", "0.8")
    assert shown.page.inner_text("#strength-value") == "80 %"
    shown.start(None)
    shown.headline("pixelated", "person")


def test_an_own_picture_is_added(shown: HostedPage) -> None:
    """It is put behind at once; what cannot be used is said, and taken away."""
    shown.start()
    data = cv2.imencode(".png", np.full((90, 160, 3), SECOND[::-1], np.uint8))[1].tobytes()
    own = {"name": "My wall.png", "mimeType": "image/png", "buffer": data}
    shown.page.set_input_files("#file", own)  # type: ignore[arg-type]
    until_shown(shown.page, SECOND)
    shown.headline("You are shown in front of My wall", "person")
    shown.expected = "status of 4"
    wrong = {"name": "wrong.png", "mimeType": "image/png", "buffer": b"no picture"}
    shown.page.set_input_files("#file", wrong)  # type: ignore[arg-type]
    shown.page.locator("#alerts", has_text="Give a PNG, JPEG").wait_for()
    shown.headline("You are shown in front of My wall", "person")
    assert shown.page.locator(".tile", has_text="wrong").count() == 0
    until_shown(shown.page, SECOND)


def test_space_hides(shown: HostedPage) -> None:
    """Space hides and shows, on any button too that was clicked; in a field it is only a space."""
    shown.start()
    shown.page.click("#mirror")
    for words, kind, rgb in (("You are hidden", "cover", GREY), ("colour", "person", FIRST)):
        shown.page.keyboard.press(" ")
        shown.headline(words, kind)
        until_shown(shown.page, rgb)
    shown.page.focus("#size")
    shown.page.keyboard.press(" ")
    shown.page.keyboard.press("Escape")
    shown.headline("colour", "person")
    shown.page.focus("#hide")
    shown.page.keyboard.press(" ")
    shown.headline("You are hidden", "cover")
    assert shown.page.get_attribute("#hide", "aria-pressed") == "true"
    until(shown.page, f"seen.is({GREY})")


def test_before_and_after_are_side_by_side(shown: HostedPage) -> None:
    """The slider parts the camera's own picture, seen on this page alone, from what comes back."""
    shown.start()
    shown.page.keyboard.press("b")
    green = {"before": 0, "after": 0}
    for place, divider in (("before", "100"), ("after", "0")):
        shown.page.fill("#divider", divider)
        shown.page.wait_for_timeout(100)
        screen = shown.page.locator("#screen").screenshot()
        picture = cv2.imdecode(np.frombuffer(screen, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert picture is not None
        red, green_, blue = np.moveaxis(picture.astype(int), 2, 0)
        green[place] = int((green_ - np.maximum(red, blue) > 80).sum())
    assert green["before"] > 5000
    assert green["after"] == 0
    shown.page.keyboard.press(" ")
    assert "While you are hidden" in shown.page.inner_text("#screen-note")
    assert not shown.page.is_visible("#before")


def test_the_mirror_is_for_others(shown: HostedPage, clip: Clip) -> None:
    """What is sent is mirrored; the preview shows oneself as in a mirror either way."""
    flipped = f"getComputedStyle({AFTER}).transform"
    shown.start()
    assert "matrix(-1" in shown.page.evaluate(flipped)
    shown.page.keyboard.press("m")
    assert shown.page.evaluate(flipped) == "none"
    shown.page.wait_for_timeout(700)
    mask = abs(picture_of(shown.page) - FIRST).max(2) > 24
    assert clip.overlap(mask[:, ::-1]) > max(0.9, clip.overlap(mask))


def test_it_goes_on_where_nothing_is_painted(shown: HostedPage, context: BrowserContext) -> None:
    """In a tab behind another one the browser paints nothing, and the track has all its frames."""
    shown.start()
    devtools = context.new_cdp_session(shown.page)
    devtools.send("Emulation.setFocusEmulationEnabled", {"enabled": False})
    with context.expect_page() as waiting:
        shown.page.evaluate("void window.open('about:blank')")
    other = waiting.value
    other.bring_to_front()
    shown.page.evaluate(
        """() => {
          window.painted = 0;
          const paint = () => requestAnimationFrame(() => (painted++, paint()));
          paint();
        }"""
    )
    for _ in range(20):  # until the browser has noticed
        painted, frames = shown.page.evaluate("[painted, seen.frames]")
        until(shown.page, f"seen.frames > {frames + 20}")
        painted = shown.page.evaluate("painted") - painted
        if painted < 10:
            break
    assert painted < 10
    other.close()


def test_use_in_a_call(shown: HostedPage, context: BrowserContext, service: Service) -> None:
    """The code that is offered is what an application needs: it runs, and its track shows one."""
    shown.page.click("#call")
    code = shown.page.inner_text("#snippet")
    assert len(code.splitlines()) <= 10
    page = context.new_page()
    page.goto(service.url)
    silent = code.replace("audio: true", "audio: false")
    lines = silent.replace("import {", "const {").replace(" from ", " = await import(")
    first, _, rest = lines.partition(";")
    page.evaluate(f"async () => {{ {first}); {rest}\n window.stream = stream; }}")
    page.evaluate("window.seen = watch(stream.getVideoTracks()[0])")
    eventually(lambda: page.evaluate("seen.frames") > 10, page)
    page.close()
    context.grant_permissions(["clipboard-read", "clipboard-write", "camera"])
    shown.page.click("#copy")
    shown.page.locator("#alerts", has_text="copied").wait_for()
    assert shown.page.evaluate("navigator.clipboard.readText()") == code


# As on a phone, which opens one camera at a time.
ONE_CAMERA: Final = """() => {
  const devices = navigator.mediaDevices;
  const take = devices.getUserMedia.bind(devices);
  devices.getUserMedia = (asked) =>
    document.getElementById("before").srcObject
      ? Promise.reject(new DOMException("in use", "NotReadableError"))
      : take(asked);
}"""


@pytest.mark.parametrize("script", ["() => {}", ONE_CAMERA], ids=["computer", "phone"])
def test_another_size_and_camera(shown: HostedPage, script: str) -> None:
    """The camera is opened anew, and the same track goes on with its pictures."""
    shown.start()
    shown.page.evaluate(script)
    shown.page.select_option("#size", "640x360")
    until(shown.page, f"{AFTER}.videoHeight === 360")
    assert shown.page.locator("#camera option").count() == 1
    assert shown.page.evaluate("greenroomStream.getVideoTracks()[0].readyState") == "live"
    until_shown(shown.page, FIRST)
    assert room_pixels(shown.page) == 0


def test_a_full_server_is_waited_for(shown: HostedPage, context: BrowserContext) -> None:
    """It says so, shows nobody, and goes on by itself when there is room."""
    answer = {"name": None, "message": "this server is full"}
    shown.expected = "status of 503"
    shown.page.route(
        "**/sessions?*",
        lambda route: route.fulfill(status=503, json=answer, headers={"Retry-After": "1"}),
    )
    shown.page.click("#start-camera")
    shown.page.locator("#problem", has_text="This server is full. Trying again").wait_for()
    shown.headline("Not connected", "wait")
    shown.page.unroute("**/sessions?*")
    shown.headline("You are shown", "person")
    assert not shown.page.is_visible("#problem")
    assert context.pages


# The server's status is not heard while `isDeaf`.
DEAF: Final = """
const make = RTCPeerConnection.prototype.createDataChannel;
RTCPeerConnection.prototype.createDataChannel = function (...named) {
  const channel = make.apply(this, named);
  channel.addEventListener("message", (event) => {
    if (window.isDeaf && JSON.parse(event.data).status) event.stopImmediatePropagation();
  });
  return channel;
};
"""


def test_nothing_is_promised_before_the_first_status(
    context: BrowserContext, service: Service
) -> None:
    """Once it is connected one may be seen: so it says until it is told what is sent."""
    context.add_init_script(DEAF)
    page = opened(context, service.url)
    page.page.evaluate("window.isDeaf = true")
    page.page.click("#start-camera")
    page.headline("Connected: you may be seen already", "wait")
    assert not page.page.is_visible("#problem")
    page.page.evaluate("window.isDeaf = false")
    page.headline("You are shown", "person")
    page.page.close()
    page.check()


def test_a_token_is_asked_for(
    context: BrowserContext, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nobody gets in without one; one in the address is used, and taken out of it."""
    home, token = tmp_path_factory.mktemp("tokens"), secrets.token_urlsafe()
    (home / "tokens.toml").write_text(
        f'[[token]]\nname = "me"\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
    )
    with Service(home, "--tokens", "tokens.toml", "--workers", "1") as service:
        page = HostedPage(context.new_page(), service.url.rstrip("/"))
        page.expected = "status of 401"
        page.page.goto(service.url)
        page.page.click("#start-camera")
        field = page.page.locator("#token")
        field.wait_for()
        field.fill("wrong")
        field.press("Enter")
        page.page.locator("#alerts", has_text="token").wait_for()
        field.fill(token)
        field.press("Enter")
        page.headline("You are shown", "person")
        page.page.wait_for_selector(".tile img[src]")
        page.page.close()
        page.check()
        given = HostedPage(context.new_page(), service.url.rstrip("/"))
        given.page.goto(f"{service.url}#token={token}")
        given.page.wait_for_selector(".tile img[src]")
        assert given.page.url == service.url
        given.start(None)
        given.page.close()
        given.check()


# How it looks, and who can use it.


@pytest.mark.parametrize("is_on", [False, True])
def test_it_fits_every_window(shown: HostedPage, *, is_on: bool) -> None:
    """Nothing is wider than a window, be it 360 or 1440 pixels wide, light or dark."""
    if is_on:
        shown.start(None)
    shown.check_fit()
    shown.page.click("#call")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_the_picture_stays_in_sight(shown: HostedPage) -> None:
    """However far one scrolls in a narrow window, the sentence and the picture are there."""
    shown.page.set_viewport_size(NARROW)
    shown.start(None)
    shown.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    sentence = shown.page.locator("#headline").bounding_box()
    picture = shown.page.locator("#screen").bounding_box()
    assert sentence is not None
    assert picture is not None
    assert 0 <= sentence["y"] < picture["y"] - sentence["height"] + 1
    assert picture["y"] + picture["height"] < NARROW["height"] * 0.65


def test_every_control_has_a_name_and_shows_its_focus(
    shown: HostedPage, context: BrowserContext
) -> None:
    """A screen reader has something to say of everything, and the tab key gets everywhere."""
    shown.start(None)
    shown.page.keyboard.press("b")
    assert len(shown.roles(context)) > 15
    reached = set()
    for _ in range(20):
        shown.page.keyboard.press("Tab")
        name, outline = shown.focused()
        assert outline or name == "BODY", f"no outline at {name}"
        reached.add(name)
    assert {"hide", "compare", "mirror", "stop", "divider", "file", "camera", "size"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(shown: HostedPage, scheme: Literal["light", "dark"]) -> None:
    """Text stands out from what is behind it by 4.5 to 1, as WCAG 2.2 asks for (1.4.3)."""
    shown.start(None)
    shown.page.locator(".tile", has_text="Beach").click()
    shown.check_contrasts(scheme, TEXTS, PRESSED, ())
