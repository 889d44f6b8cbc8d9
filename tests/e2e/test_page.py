"""The page of ``greenroom run``, driven in a browser against the real session."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import cv2
import numpy as np
import pytest

from e2e.browser import NARROW, WIDE, Api, Seen, chromium, eventually
from e2e.test_run import Running
from greenroom.backgrounds.softened import MIN_STRENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"])]

TEAL: Final = (0, 128, 128)
BLUE: Final = (30, 60, 200)
# Every text that may be long, being very long.
SAY_LONG: Final = """(text) => {
  for (const part of document.querySelectorAll("#camera, .setting .error, #headline"))
    Object.assign(part, { hidden: false, textContent: text });
}"""
LONG: Final = "rtsp://camera.example/" + "nameWithoutAnySpace" * 12
REFUSED: Final = "status of 4"
ARGUMENTS: Final = ("--source", "demo", "--to", "null,page", "--port", "0")


def start(home: Path, *arguments: str) -> Running:
    """Start a run whose folders are all in one."""
    pytest.importorskip("skimage", reason="the demonstration needs scikit-image")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, str(home / name))
        return Running(home, *ARGUMENTS, "--background", "color:teal", *arguments)


def address(running: Running) -> str:
    """Return where its page is, when it shows somebody."""
    running.until_said("sending you in front of color:teal")
    return running.until_said(r"page: (http\S+)")[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one browser for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the run takes for the user's."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(browser: Browser, home: Path) -> Iterator[str]:
    """Start one run for all tests; it says where its page is."""
    assert browser.is_connected()
    with start(home) as running:
        yield address(running)


@pytest.fixture(scope="module")
def known(url: str) -> Api:
    """Return what a program may ask of the run."""
    return Api(url)


@pytest.fixture(scope="module")
def context(browser: Browser, url: str) -> Iterator[BrowserContext]:
    """Make a window for the pages of the run."""
    assert url
    made = browser.new_context(viewport=WIDE, reduced_motion="reduce")
    made.set_default_timeout(15_000)
    yield made
    assert made.cookies() == []
    made.close()


@pytest.fixture
def api(known: Api) -> Api:
    """Return what a program may ask of the run, which is as it began."""
    known.reset()
    return known


@pytest.fixture
def seen(context: BrowserContext, api: Api) -> Iterator[Seen]:
    """Open the page; it does nothing that it should not."""
    page = context.new_page()
    shown = Seen(page, api.url)
    shown.open()
    yield shown
    page.close()
    shown.check()


def picture(rgb: tuple[int, int, int]) -> dict[str, Any]:
    """Return a picture of one colour as a browser's user chooses it."""
    data = cv2.imencode(".png", np.full((90, 160, 3), rgb[::-1], np.uint8))[1].tobytes()
    return {"name": "My_wall.png", "mimeType": "image/png", "buffer": data}


# What is seen.


def test_the_preview_moves(seen: Seen) -> None:
    """The person moves in front of the colour that was asked for, and it says so."""
    seen.headline("You are shown in front of the colour teal", "person")
    eventually(lambda: seen.corner_is(TEAL), seen.page)
    first = seen.pixels()
    eventually(lambda: (seen.pixels() != first).any(axis=2).mean() > 0.02, seen.page)
    assert seen.corner_is(TEAL)


def test_before_and_after_are_side_by_side(seen: Seen) -> None:
    """The slider parts the camera's own picture from what is sent."""
    seen.page.click("#compare")
    eventually(lambda: not seen.corner_is(TEAL), seen.page)
    assert seen.corner_is(TEAL, right=True)
    assert seen.page.is_visible("#tag-before")
    seen.page.fill("#divider", "100")
    assert not seen.corner_is(TEAL, right=True)
    seen.page.fill("#divider", "0")
    assert seen.corner_is(TEAL)
    seen.page.keyboard.press("b")
    assert not seen.page.is_visible("#divider")


def test_the_matte_is_seen(seen: Seen) -> None:
    """The matte is white where the person is, and black elsewhere."""
    seen.page.keyboard.press("m")
    eventually(lambda: seen.corner_is((0, 0, 0)), seen.page)
    pixels = seen.pixels().astype(int)
    assert 0.05 < (pixels > 200).mean() < 0.7
    assert np.ptp(pixels, axis=2).max() <= 8


def test_covered_means_that_nobody_sees_the_room(seen: Seen, api: Api) -> None:
    """While covered there is the cover alone, in the views of the camera's picture too."""
    api("POST", "cover", {"on": True})
    seen.headline("Covered, because you asked for it.", "cover")
    for button in ("#compare", "#region"):
        seen.page.click(button)
        eventually(seen.is_one_colour, seen.page)
        assert "While you are covered" in seen.page.inner_text("#screen-note")
        assert not seen.page.is_visible("#divider")
    api("POST", "cover", {"on": False})
    seen.page.locator("#screen-note", has_text="Draw a rectangle").wait_for()


def test_the_status_tells_figures(seen: Seen) -> None:
    """Stages, rates, camera and outlets are told, and the doctor's findings when asked for."""
    seen.page.click("#tab-status")
    seen.page.locator("#stages [title=composite]", has_text="putting together").wait_for()
    parts = seen.page.locator("#stages li", has_text="whole segmentation")
    assert "(model " in parts.inner_text()
    assert parts.locator("[title=invoke]").count() == 1
    assert "frames/s" in seen.page.inner_text("#camera")
    seen.page.locator("#outlets", has_text="null always on").wait_for()
    seen.page.locator("#outlets", has_text="1 looking").wait_for()
    figures = seen.page.inner_text("#figures")
    assert "of one core" in figures
    assert ".:" not in figures
    seen.page.click("#doctor")
    seen.page.wait_for_selector("#examining progress")
    seen.page.wait_for_selector("#findings li")
    assert seen.page.locator("#findings .state").count() > 5
    assert not seen.page.is_visible("#examining")


def test_a_snapshot_is_kept(seen: Seen, tmp_path: Path) -> None:
    """A snapshot is the whole frame that is sent, as a PNG."""
    with seen.page.expect_download() as waiting:
        seen.page.click("#snapshot")
    assert waiting.value.suggested_filename.startswith("greenroom 2")
    waiting.value.save_as(tmp_path / "snapshot.png")
    kept = cv2.imread(str(tmp_path / "snapshot.png"), cv2.IMREAD_COLOR_RGB)
    assert kept is not None
    assert kept.shape == (720, 1280, 3)
    assert abs(kept[5, 5].astype(int) - TEAL).max() <= 3


# What is changed.


def test_a_background_of_the_gallery_is_chosen(seen: Seen, api: Api) -> None:
    """A click on a picture puts it behind, in the settings and in the preview."""
    seen.page.locator(".tile", has_text="Beach").click()
    seen.headline("You are shown in front of Beach", "person")
    assert api.settings()["background"] == "beach"
    eventually(lambda: not seen.corner_is(TEAL), seen.page)
    assert seen.page.locator(".tile[aria-pressed=true]").inner_text() == "Beach"


@pytest.mark.parametrize(("kind", "words"), [("Blur", "blurred"), ("Pixelate", "pixelated")])
def test_the_room_is_made_unclear(seen: Seen, api: Api, kind: str, words: str) -> None:
    """The strength of an effect is set with a slider."""
    seen.page.locator("#effects button", has_text=kind).click()
    seen.headline(words, "person")
    seen.page.fill("#strength", "0.8")
    eventually(lambda: api.settings()["background"] == f"{kind.lower()}:0.8", seen.page)
    assert seen.page.inner_text("#strength-value") == "80 %"


def test_colours_are_picked_and_known_by_name(seen: Seen, api: Api) -> None:
    """The picker shows the colour that is there, named or not, and changes it."""
    assert seen.page.input_value("#colour") == "#008080"
    seen.page.fill("#colour", "#1e3cc8")
    eventually(lambda: seen.corner_is(BLUE), seen.page)
    assert api.settings()["background"] == "color:#1e3cc8"


def test_the_whole_room_is_shown_only_after_a_question(seen: Seen, api: Api) -> None:
    """None is asked about, and warned of as long as it lasts."""
    none = seen.page.locator("#effects button", has_text="None")
    none.click()
    seen.page.locator("#confirm-dialog button", has_text="Cancel").click()
    assert api.settings()["background"] == "color:teal"
    none.click()
    seen.page.click("#confirm-yes")
    seen.headline("Your room is visible", "camera")
    assert seen.page.is_visible("#room-warning")
    assert "Your room is visible" in seen.page.title()


def test_typing_none_is_asked_about(seen: Seen, api: Api) -> None:
    """Also where it is typed, the room is shown only after the question."""
    field = seen.page.locator("#setting-background")
    for answer in ("button[value=no]", "#confirm-yes"):
        field.fill(" none ")
        field.press("Enter")
        seen.page.locator("#confirm-dialog", has_text="your whole room").wait_for()
        seen.page.wait_for_timeout(300)
        assert api.settings()["background"] == "color:teal"
        assert api.status()["showing"] == "person"
        seen.page.click(f"#confirm-dialog {answer}")
        if answer != "#confirm-yes":
            eventually(lambda: field.input_value() == "color:teal", seen.page)
            assert api.settings()["background"] == "color:teal"
    seen.headline("Your room is visible", "camera")


def test_a_room_in_grey_is_asked_about(seen: Seen, api: Api) -> None:
    """Grey hides nothing that can be read, so it is asked about and warned of like none."""
    grey = seen.page.locator("#effects button", has_text="Grayscale")
    field = seen.page.locator("#setting-background")
    grey.click()
    seen.page.locator("#confirm-dialog", has_text="all of your room").wait_for()
    seen.page.locator("#confirm-dialog button", has_text="Cancel").click()
    field.fill(" grayscale ")
    field.press("Enter")
    seen.page.locator("#confirm-dialog button[value=no]").click()
    assert api.settings()["background"] == "color:teal"
    grey.click()
    seen.page.click("#confirm-yes")
    seen.headline("your room is visible, in grey", "person")
    assert "in grey" in seen.page.locator("#room-warning").inner_text()


def test_a_strength_that_hides_nothing_is_refused(seen: Seen, api: Api) -> None:
    """The slider ends where lettering is hidden, and less cannot be typed either."""
    seen.page.locator("#effects button", has_text="Blur").click()
    assert float(seen.page.get_attribute("#strength", "min") or 0) == MIN_STRENGTH
    seen.expected = REFUSED
    field = seen.page.locator("#setting-background")
    eventually(lambda: field.input_value() == "blur:0.5", seen.page)
    field.fill("blur:0.1")
    field.press("Enter")
    error = seen.page.locator("#setting-background-error")
    error.wait_for()
    assert "smallest strength is blur:0.4" in error.inner_text()
    assert api.settings()["background"] == "blur:0.5"


def test_a_setting_is_changed_and_set_back(seen: Seen, api: Api) -> None:
    """A slider changes its setting, its number says the same, and Reset takes it back."""
    seen.page.fill("#setting-edge_shift", "-1.5")
    eventually(lambda: api.settings()["edge_shift"] == -1.5, seen.page)
    assert seen.page.get_by_label("Edge shift, as a number").input_value() == "-1.5"
    seen.page.get_by_label("Reset Edge shift").click()
    eventually(lambda: api.settings()["edge_shift"] == 0, seen.page)
    eventually(lambda: seen.page.input_value("#setting-edge_shift") == "0", seen.page)


def test_a_wrong_value_is_told(seen: Seen, api: Api) -> None:
    """An error is told at the field, what was typed can be mended, and nothing changes."""
    before = api.settings()
    seen.expected = REFUSED
    field = seen.page.locator("#setting-keep_region")
    field.fill("my chair")
    field.press("Enter")
    error = seen.page.locator("#setting-keep_region-error")
    error.wait_for()
    assert "'my chair' cannot be read" in error.inner_text()
    assert field.input_value() == "my chair"
    assert api.settings() == before
    field.fill("40%,30%,20%,50%")
    field.press("Enter")
    eventually(lambda: api.settings()["keep_region"] == "40%,30%,20%,50%", seen.page)
    error.wait_for(state="hidden")
    notice = seen.page.locator("#notices")
    notice.wait_for()
    assert "Step out of the picture" in notice.inner_text()
    field.fill("")
    field.press("Enter")
    notice.wait_for(state="hidden")


@pytest.mark.parametrize("name", [None, "model"])
def test_an_error_of_something_else_is_an_alert(seen: Seen, name: str | None) -> None:
    """What is wrong with no setting or another one is not told below the field, but dismissable."""
    seen.expected = REFUSED
    answer = {"name": name, "message": "the disk is full"}
    seen.page.route("**/api/settings", lambda route: route.fulfill(status=422, json=answer))
    field = seen.page.locator("#setting-keep_region")
    for dismiss, region in (("button", "40%,30%,20%,50%"), ("Escape", "40%,30%,20%,60%")):
        field.fill(region)
        field.press("Enter")
        alert = seen.page.locator("#alerts .alert")
        alert.wait_for()
        assert "the disk is full" in alert.inner_text()
        assert seen.page.locator(".setting .error:visible").count() == 0
        assert field.input_value() == region
        if dismiss == "button":
            alert.get_by_role("button", name="Dismiss").click()
        else:
            seen.page.keyboard.press(dismiss)
        assert alert.count() == 0


def test_a_wrong_value_is_given_up(seen: Seen, api: Api) -> None:
    """Reset puts the setting back into a field whose value was refused."""
    seen.expected = REFUSED
    field = seen.page.get_by_label("Edge shift, as a number")
    field.fill("9")
    field.press("Enter")
    seen.page.wait_for_selector("#setting-edge_shift-error:not([hidden])")
    seen.page.get_by_label("Reset Edge shift").click()
    seen.page.wait_for_selector("#setting-edge_shift-error", state="hidden")
    assert field.input_value() == "0"
    assert api.settings()["edge_shift"] == 0


def test_a_region_is_drawn_in_the_mirror(seen: Seen, api: Api) -> None:
    """What is drawn on the left of the mirrored picture stays on the right of the camera's."""
    seen.page.click("#region")
    eventually(lambda: not seen.corner_is(TEAL), seen.page)
    box = seen.page.locator("#regions").bounding_box()
    assert box is not None
    mouse = seen.page.mouse
    mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.2 * box["height"])
    mouse.down()
    mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    mouse.up()
    eventually(lambda: api.settings()["keep_region"], seen.page)
    parts = [float(part.rstrip("%")) for part in api.settings()["keep_region"].split(",")]
    assert parts == pytest.approx([70, 20, 20, 40], abs=0.2)
    drawn = seen.page.locator(".rectangle").bounding_box()
    assert drawn is not None
    assert drawn["x"] == pytest.approx(box["x"] + 0.1 * box["width"], abs=3)
    assert drawn["width"] == pytest.approx(0.2 * box["width"], abs=3)
    seen.page.get_by_label("Remove region 1").click()
    eventually(lambda: api.settings()["keep_region"] is None, seen.page)


def test_the_settings_are_saved(seen: Seen, api: Api, home: Path) -> None:
    """Save writes what was changed to the file, not the flags, and it says what is not there."""
    assert seen.page.inner_text("#saved") == ""
    seen.page.check("#setting-mirror")
    seen.page.locator("#saved", has_text="Not saved").wait_for()
    assert api.settings()["mirror"]
    seen.page.click("#save")
    seen.page.locator("#alerts", has_text="Saved to").wait_for()
    eventually(lambda: seen.page.inner_text("#saved") == "", seen.page)
    (path,) = home.glob("XDG_CONFIG_HOME/**/*.toml")
    assert tomllib.loads(path.read_text("utf-8")) == {"mirror": True}
    seen.page.uncheck("#setting-mirror")
    seen.page.locator("#saved", has_text="Not saved").wait_for()


def test_every_open_page_is_told(seen: Seen, api: Api, context: BrowserContext) -> None:
    """What is changed in one page is seen in the other."""
    other = Seen(context.new_page(), api.url)
    other.open()
    seen.page.fill("#setting-edge_softness", "1")
    seen.page.locator("#effects button", has_text="Grayscale").click()
    seen.page.click("#confirm-yes")
    other.headline("your room is visible, in grey", "person")
    eventually(lambda: other.page.input_value("#setting-edge_softness") == "1", other.page)
    other.page.click("#cover")
    seen.headline("Covered", "cover")
    other.page.close()
    other.check()


# The cover and the keys.


def test_space_covers(seen: Seen, api: Api) -> None:
    """Space covers and uncovers, and in a field it is only a space."""
    eventually(lambda: not seen.is_one_colour(), seen.page)
    seen.page.keyboard.press(" ")
    seen.headline("Covered, because you asked for it.", "cover")
    assert api.status()["covered"]
    eventually(seen.is_one_colour, seen.page)
    seen.page.keyboard.press(" ")
    seen.headline("You are shown in front of", "person")
    seen.page.focus("#setting-plate")
    seen.page.keyboard.press(" ")
    seen.page.wait_for_timeout(300)
    assert not api.status()["covered"]


def test_the_button_covers(seen: Seen) -> None:
    """The button covers, says what it does next, and leaves the space key free."""
    seen.page.click("#cover")
    seen.headline("Covered", "cover")
    assert seen.page.get_attribute("#cover", "aria-pressed") == "true"
    assert "Show me" in seen.page.inner_text("#cover")
    seen.page.keyboard.press(" ")
    seen.headline("You are shown", "person")
    assert seen.page.get_attribute("#cover", "aria-pressed") == "false"


def test_help_is_a_key_away(seen: Seen, api: Api) -> None:
    """The question mark opens the help, in which keys do nothing else."""
    seen.page.keyboard.press("?")
    assert seen.page.is_visible("#help-dialog")
    seen.page.keyboard.press("m")
    seen.page.keyboard.press("Escape")
    assert not seen.page.is_visible("#help-dialog")
    assert seen.page.get_attribute("#matte", "aria-pressed") == "false"
    assert not api.status()["covered"]


# The gallery.


def test_an_own_picture_is_put_behind(seen: Seen, api: Api, home: Path) -> None:
    """An upload comes first in the gallery, is chosen, and can be chosen again."""
    seen.page.set_input_files("#file", picture(BLUE))  # type: ignore[arg-type]
    seen.headline("You are shown in front of My wall", "person")
    eventually(lambda: seen.corner_is(BLUE), seen.page)
    assert Path(api.settings()["background"]).is_relative_to(home)
    assert seen.page.locator(".tile").first.inner_text() == "My wall"
    seen.page.locator(".tile", has_text="Studio").click()
    eventually(lambda: not seen.corner_is(BLUE), seen.page)
    seen.page.locator(".tile", has_text="My wall").click()
    eventually(lambda: seen.corner_is(BLUE), seen.page)


def test_what_is_no_picture_is_told(seen: Seen, api: Api) -> None:
    """A drawing that could hold a program is refused with a sentence."""
    seen.expected = REFUSED
    count = seen.page.locator(".tile").count()
    drawing = {
        "name": "drawing.png",
        "mimeType": "image/png",
        "buffer": b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
    }
    seen.page.set_input_files("#file", drawing)  # type: ignore[arg-type]
    seen.page.locator("#alerts", has_text="SVG").wait_for()
    assert "Give a PNG, JPEG" in seen.page.inner_text("#alerts")
    assert api.settings()["background"] == "color:teal"
    assert seen.page.locator(".tile").count() == count


def test_the_gallery_is_kept_with_keys(seen: Seen, api: Api) -> None:
    """Arrows go through the pictures and move them; Delete removes one's own after a question."""
    seen.page.set_input_files("#file", picture(BLUE))  # type: ignore[arg-type]
    seen.headline("My wall", "person")
    api("PATCH", "settings", {"background": "color:teal"})
    seen.page.focus(".tile")
    seen.page.keyboard.press("Alt+ArrowRight")
    eventually(lambda: api("GET", "backgrounds")[1]["name"] == "My wall", seen.page)
    eventually(lambda: seen.page.evaluate("document.activeElement.title") == "My wall", seen.page)
    seen.page.keyboard.press("Delete")
    seen.page.click("#confirm-yes")
    eventually(lambda: all(not one["is_own"] for one in api("GET", "backgrounds")), seen.page)
    eventually(lambda: "My wall" not in seen.page.inner_text("#backgrounds"), seen.page)


def test_arrows_enter_the_gallery(seen: Seen) -> None:
    """Where nothing has the focus an arrow key goes to the background in force, and then on."""
    seen.page.locator(".tile", has_text="Beach").click()
    seen.headline("Beach", "person")
    assert seen.focused()[0] == "BODY"
    for key in ("ArrowRight", "ArrowRight"):
        before = seen.page.evaluate("document.activeElement.title")
        seen.page.keyboard.press(key)
        assert seen.page.evaluate("document.activeElement.title") != before
    assert seen.page.evaluate("document.activeElement.className") == "tile"
    assert seen.page.evaluate("document.activeElement.title") != "Beach"


# How it looks, and who can use it.


@pytest.mark.parametrize("tab", ["settings", "status"])
def test_it_fits_every_window(seen: Seen, tab: str) -> None:
    """Nothing is wider than a window, be it 360 or 1440 pixels wide, light or dark."""
    seen.page.click(f"#tab-{tab}")
    panel = "document.getElementById('panel')"

    def say_long() -> None:
        seen.page.evaluate(SAY_LONG, LONG)
        assert seen.page.evaluate(f"{panel}.scrollWidth - {panel}.clientWidth") == 0

    seen.check_fit(say_long)


def test_what_is_sent_stays_in_sight(seen: Seen) -> None:
    """However far one scrolls, the sentence and, in a narrow window, the preview are there."""
    seen.page.set_viewport_size(NARROW)
    seen.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    sentence = seen.page.locator("#headline").bounding_box()
    preview = seen.page.locator("#screen").bounding_box()
    assert sentence is not None
    assert preview is not None
    assert 0 <= sentence["y"] < preview["y"] - sentence["height"] + 1
    assert preview["y"] + preview["height"] < NARROW["height"] * 0.65


@pytest.mark.parametrize("height", [560, 700, 900])
def test_the_preview_stays_above_the_gallery(seen: Seen, height: int) -> None:
    """In a wide window, too; a background that gets the focus is not hidden by it."""
    seen.page.set_viewport_size({"width": 1440, "height": height})
    for _ in range(3):
        seen.page.set_input_files("#file", picture(BLUE))  # type: ignore[arg-type]
        seen.page.wait_for_timeout(300)
    seen.headline("My wall", "person")
    seen.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    sentence = seen.page.locator("#headline").bounding_box()
    preview = seen.page.locator("#stage").bounding_box()
    assert sentence is not None
    assert preview is not None
    assert sentence["y"] + sentence["height"] <= preview["y"] + 1
    assert preview["y"] + preview["height"] < height - 100
    seen.page.locator(".tile").last.focus()
    seen.page.keyboard.press("Home")
    tile = seen.page.locator(".tile").first.bounding_box()
    assert tile is not None
    assert preview["y"] + preview["height"] <= tile["y"]
    assert tile["y"] + tile["height"] <= height


def test_every_control_has_a_name(seen: Seen, context: BrowserContext) -> None:
    """A screen reader has something to say of everything that can be used."""
    seen.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    seen.page.click("#arrange")
    seen.page.click("#compare")
    roles = seen.roles(context)
    assert {"button", "checkbox", "combobox", "radio", "slider", "spinbutton", "tab"} <= {*roles}
    assert len(roles) > 60


def test_the_focus_is_seen(seen: Seen) -> None:
    """With the tab key one gets everywhere, and sees where one is."""
    reached = set()
    for _ in range(45):
        seen.page.keyboard.press("Tab")
        name, outline = seen.focused()
        assert outline, f"no outline at {name}"
        reached.add(name)
    assert {"cover", "save", "help", "compare", "file", "tab-settings"} <= reached
    assert "setting-background" in reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(seen: Seen, scheme: Literal["light", "dark"]) -> None:
    """Text stands out from what is behind it by 4.5 to 1, as WCAG 2.2 asks for (1.4.3)."""
    seen.check_contrasts(scheme)


# The end.


# An answer to an earlier request, which is read only after the connection was lost.
LATE_ANSWER = """async () => {
  const files = performance.getEntriesByType("resource").map((one) => one.name);
  const session = await import(files.find((name) => name.endsWith("session.js")));
  session.tell("settings");
}"""


def test_the_end_is_told(browser: Browser, tmp_path: Path) -> None:
    """When greenroom has ended, the page says that it knows nothing any more."""
    page = browser.new_page()
    with start(tmp_path) as running:
        page.goto(address(running))
        page.wait_for_selector("#headline[data-state=person]")
        running.process.kill()
        page.wait_for_selector("#offline:not([hidden])")
    assert "connection to greenroom is lost" in page.inner_text("#offline")
    page.evaluate(LATE_ANSWER)
    assert page.inner_text("#headline") == "Not connected"
    page.close()
