"""The page as somebody sees it: Debian's Chromium, and what happens in it."""

from __future__ import annotations

import itertools
import re
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Page,
        ViewportSize,
    )

    Picture = NDArray[np.uint8]

DEADLINE_S: Final = 15.0
WIDE: Final[ViewportSize] = {"width": 1440, "height": 900}
NARROW: Final[ViewportSize] = {"width": 360, "height": 740}
_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)
_PIXELS: Final = """() => {
  const canvas = document.getElementById("view");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const small = [];
  for (let y = 4; y < canvas.height; y += 8)
    for (let x = 4; x < canvas.width; x += 8)
      small.push(...data.slice(4 * (y * canvas.width + x), 4 * (y * canvas.width + x) + 3));
  return [Math.floor((canvas.width + 3) / 8), small];
}"""

# What has the focus, and whether that is seen: at itself, or at the label that stands for it.
_FOCUSED: Final = """() => {
  const focused = document.activeElement;
  const label = focused.labels?.[0];
  const isSeen = [focused, label].some((part) => {
    const style = part && getComputedStyle(part);
    const box = part?.getBoundingClientRect();
    return style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 &&
      box.width > 8 && box.height > 8;
  });
  return [focused.id || focused.className || focused.tagName, isSeen];
}"""

# The kinds of text on the local page, and what can be pressed there.
_TEXTS: Final = (
    *("h1", "h2", "h3", "#saved", "#save", "#help", "#cover", "#compare", "#summary", "#arrange"),
    *(".tile span", ".upload .quiet", ".upload label", "#tab-settings", "#tab-status", "summary"),
    *(".setting label", ".setting .label", ".setting .quiet", ".setting .reset", ".setting .error"),
    *(".setting select", ".setting input[type=text]", ".options label", "#room-warning"),
    *(".options label:has(:checked)", "#offline", "#effects [aria-pressed=true]", "#confirm-yes"),
    *("#effects [aria-pressed=false]", "#help-dialog dd", ".chart"),
)
_PRESSED: Final = ("cover", "compare", "arrange")
_BADGES: Final = ("good", "warn", "bad")

# Contrast by WCAG 2.2 of each kind of text, in each of its states; a canvas reads the colours.
_CONTRASTS: Final = """([plain, presses, badges]) => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const read = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (part) => {
    let behind = part;
    while (behind.parentElement && read(getComputedStyle(behind).backgroundColor)[3] < 255)
      behind = behind.parentElement;
    const [ink, paper] = [getComputedStyle(part).color, getComputedStyle(behind).backgroundColor]
      .map((colour) => light(read(colour)))
      .sort((one, other) => other - one);
    return (ink + 0.05) / (paper + 0.05);
  };
  const found = {};
  const look = (selector, state = "") => {
    const part = document.querySelector(selector);
    found[selector + state] = contrast(part);
  };
  for (const selector of plain) look(selector);
  const headline = document.getElementById("headline");
  const [state, pressed] = [headline.dataset.state, "aria-pressed"];
  for (const other of ["person", "cover", "camera", "wait"]) {
    headline.dataset.state = other;
    look("#headline", " " + other);
  }
  headline.dataset.state = state;
  for (const id of presses) {
    const button = document.getElementById(id);
    button.setAttribute(pressed, "true");
    look("#" + id, " pressed");
    button.setAttribute(pressed, "false");
  }
  for (const kind of badges) {
    const badge = document.createElement("span");
    Object.assign(badge.dataset, { is: kind });
    badge.className = "state";
    document.getElementById("settings").append(badge);
    look(`.state[data-is=${kind}]`);
    badge.remove();
  }
  return found;
}"""


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """Start a browser that talks to nobody but the page, with more arguments if need be."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="the page is driven with playwright: pip install playwright"
    )
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the page is driven in Chromium: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[*_ARGUMENTS, *arguments]
        )
        yield browser
        browser.close()


def eventually(check: Callable[[], object], page: Page) -> None:
    """Wait until something is so; a page goes on while it is waited for."""
    end = time.monotonic() + DEADLINE_S
    while not (found := check()):
        assert time.monotonic() < end, f"it was never so, but {found!r}"
        page.wait_for_timeout(40)


class Api:
    """What a program may ask of a run, to prepare a test and to see what came of it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.url = url
        self._headers = {"Authorization": f"Bearer {parts.fragment.partition('=')[2]}"}
        self._first: dict[str, Any] = self.settings()

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for something; it has to be answered."""
        answer = requests.request(
            method, f"{self.origin}/api/{path}", json=body, headers=self._headers, timeout=30
        )
        assert answer.ok, answer.text
        return answer.json()

    def settings(self) -> dict[str, Any]:
        """Return the settings in force."""
        found: dict[str, Any] = self("GET", "settings")["settings"]
        return found

    def status(self) -> dict[str, Any]:
        """Return the status."""
        found: dict[str, Any] = self("GET", "status")
        return found

    def reset(self) -> None:
        """Make everything as it was when the run began."""
        now = self.settings()
        other = {name: value for name, value in self._first.items() if now[name] != value}
        self("PATCH", "settings", other)
        self("POST", "cover", {"on": False})
        for item in self("GET", "backgrounds"):
            if item["is_own"]:
                self("DELETE", f"backgrounds/{item['id']}")


class Seen:
    """A page in the browser: what it shows, and what it should not have done."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url
        self.expected = ""
        """What the console may say, as a pattern: a refused request is an error to it."""
        self._origin = url.partition("/#")[0]
        self._problems: list[str] = []
        self._asked: set[str] = set()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self._problems.append(str(error)))
        page.on("request", lambda request: self._asked.add(request.url))
        page.on("websocket", lambda socket: self._asked.add(socket.url))

    def open(self) -> None:
        """Open the page, and wait until it knows how things are."""
        self.page.goto(self._url)
        self.page.wait_for_selector("#headline:not([data-state=wait])")
        self.page.wait_for_selector(".setting")
        self.page.wait_for_selector(".tile")
        eventually(lambda: self.pixels().any(), self.page)

    def check(self) -> None:
        """Fail if something went wrong in the page, or it asked another server for anything."""
        own = (self._origin, self._origin.replace("http:", "ws:"), "blob:")
        foreign = [url for url in self._asked if not url.startswith(own)]
        assert not foreign, foreign
        ignored = self.expected or r"(?!)"
        problems = [text for text in self._problems if not re.search(ignored, text)]
        assert not problems, problems

    def headline(self, words: str, state: str) -> None:
        """Wait until it says at the top what is sent."""
        self.page.locator(f"#headline[data-state={state}]", has_text=words).wait_for()

    def pixels(self) -> Picture:
        """Return every eighth pixel of the preview, (H, W, 3) RGB."""
        width, values = self.page.evaluate(_PIXELS)
        return np.array(values, np.uint8).reshape(-1, width, 3)

    def corner_is(self, rgb: tuple[int, int, int], right: bool = False) -> bool:  # noqa: FBT002
        """Tell whether an upper corner of the preview is of a colour."""
        corner = self.pixels()[0, -1 if right else 0]
        return bool(abs(corner.astype(int) - rgb).max() <= 8)

    def is_one_colour(self) -> bool:
        """Tell whether nobody and nothing is in the preview."""
        return bool(np.ptp(self.pixels().astype(int), axis=(0, 1)).max() <= 8)

    def focused(self) -> tuple[str, bool]:
        """Tell what has the focus, and whether that is seen."""
        name, outline = self.page.evaluate(_FOCUSED)
        return name, outline

    def check_contrasts(
        self,
        scheme: Literal["light", "dark"],
        texts: Sequence[str] = _TEXTS,
        pressed: Sequence[str] = _PRESSED,
        badges: Sequence[str] = _BADGES,
    ) -> None:
        """Fail if some text does not stand out by 4.5 to 1 (WCAG 2.2, 1.4.3); by CSS selectors."""
        self.page.emulate_media(color_scheme=scheme)
        asked = [list(texts), list(pressed), list(badges)]
        found: dict[str, float] = self.page.evaluate(_CONTRASTS, asked)
        assert len(found) > 25
        assert {what: ratio for what, ratio in found.items() if ratio < 4.5} == {}

    def check_fit(self, prepare: Callable[[], None] = lambda: None) -> None:
        """Fail if something is wider than a window, or light and dark look alike."""
        backs = set()
        schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for size, scheme in itertools.product((WIDE, NARROW), schemes):
            self.page.set_viewport_size(size)
            self.page.emulate_media(color_scheme=scheme)
            prepare()
            assert self.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
            shown = self.picture()
            assert shown.shape == (size["height"], size["width"], 3)
            backs.add((scheme, shown[2, 2].mean() > 128))
        assert backs == {("light", True), ("dark", False)}

    def roles(self, context: BrowserContext) -> list[str]:
        """Return the roles of all that can be focused; fail if a part of it has no name."""
        devtools = context.new_cdp_session(self.page)
        nodes = devtools.send("Accessibility.getFullAXTree")["nodes"]
        devtools.detach()
        controls = [
            node
            for node in nodes
            if not node["ignored"]
            and any(one["name"] == "focusable" for one in node.get("properties", ()))
            and node["role"]["value"] not in ("RootWebArea", "generic")
        ]
        assert [node for node in controls if not node.get("name", {}).get("value")] == []
        return [node["role"]["value"] for node in controls]

    def picture(self) -> Picture:
        """Return a picture of the window, (H, W, 3) RGB."""
        data = np.frombuffer(self.page.screenshot(), np.uint8)
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        assert decoded is not None
        return np.asarray(decoded, np.uint8)

    def _hear(self, message: ConsoleMessage) -> None:
        # What the tests themselves do, reading the canvas again and again, is warned of.
        if message.type in ("error", "warning") and "Canvas2D" not in message.text:
            self._problems.append(message.text)
