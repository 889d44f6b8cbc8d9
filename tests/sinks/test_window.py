"""The window: by SDL's dummy driver, and once on a real X server."""

from __future__ import annotations

import builtins
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from greenroom.errors import MissingExtraError, SinkError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.sinks.window_sink import WindowSink, fit_into

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
pygame = pytest.importorskip("pygame", reason="the window is the extra 'window'")

LAYOUT = Layout(320, 180, "yuv420p", Colour(1, 1))


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[WindowSink]:
    """Make a window that nobody sees."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = WindowSink()
    yield window
    window.close()
    window.pump(0)
    assert not pygame.display.get_init()


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Frame:
    """Make a picture of two colours."""
    frame, other = Frame.filled(LAYOUT, left), Frame.filled(LAYOUT, right)
    for plane, filled in zip(frame.planes, other.planes, strict=True):
        plane[:, plane.shape[1] // 2 :] = filled[:, plane.shape[1] // 2 :]
    return frame


def shown() -> Any:
    """Return what is in the window, (height, width, 3)."""
    return pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)


def press(key: int) -> None:
    """Press a key."""
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))


class TestWindow:
    """What it shows, and what keys do."""

    def test_shows_the_newest_frame_as_it_is(self, sink: WindowSink) -> None:
        """Colours are right, nothing is mirrored, and only the newest of several is drawn."""
        sink.write(Frame.filled(LAYOUT, (0, 255, 0)))
        sink.write(halves((200, 90, 40), (20, 60, 220)))
        sink.pump(0.1)
        picture = shown()
        assert picture.shape == (180, 320, 3)
        assert_allclose(picture[90, 40], (200, 90, 40), atol=4)
        assert_allclose(picture[90, 280], (20, 60, 220), atol=4)
        assert pygame.display.get_caption()[0] == "greenroom"
        assert sink.device == "greenroom (dummy)"

    def test_keeps_the_pictures_shape(self, sink: WindowSink) -> None:
        """In a window of another shape the picture is in the middle, with black beside it."""
        sink.write(Frame.filled(LAYOUT, (255, 255, 255)))
        sink.pump(0.1)
        pygame.display.set_mode((320, 320), pygame.RESIZABLE)
        sink.write(Frame.filled(LAYOUT, (255, 255, 255)))
        sink.pump(0.1)
        rows = shown()[:, 160, 0]
        assert_allclose(rows[72:248], 255, atol=3)
        assert not rows[:69].any()
        assert not rows[251:].any()

    def test_opens_no_larger_than_most_screens(self, sink: WindowSink) -> None:
        """A frame of 4K opens a window of 1280x720."""
        sink.write(Frame.filled(Layout(3840, 2160, "yuv420p"), (9, 9, 9)))
        sink.pump(0.1)
        assert pygame.display.get_surface().get_size() == (1280, 720)

    def test_what_is_behind_alpha_is_not_shown(self, sink: WindowSink) -> None:
        """The room behind a transparent background does not appear in the window."""
        sink.write(Frame.filled(LAYOUT, (255, 0, 255), alpha=0))
        sink.pump(0.1)
        assert shown()[90, 160].max() < 60

    def test_writes_on_any_thread_and_draws_on_one(self, sink: WindowSink) -> None:
        """A frame written by another thread is shown by the thread that pumps."""
        frame = Frame.filled(LAYOUT, (10, 200, 30))
        thread = threading.Thread(target=sink.write, args=(frame,))
        thread.start()
        sink.pump(5)
        thread.join()
        assert_allclose(shown()[90, 160], (10, 200, 30), atol=4)

    def test_keys_are_told(self, sink: WindowSink) -> None:
        """Space is told and closes nothing; q closes; other keys are nobody's."""
        keys: list[str] = []
        closed: list[bool] = []
        sink.on_key, sink.on_close = keys.append, lambda: closed.append(True)
        sink.write(Frame.filled(LAYOUT, (1, 1, 1)))
        sink.pump(0.1)
        press(pygame.K_x)
        press(pygame.K_SPACE)
        sink.pump(0)
        assert (keys, closed) == (["space"], [])
        assert sink.readers() == 1
        press(pygame.K_q)
        sink.pump(0)
        assert (keys, closed) == (["space", "q"], [True])
        assert sink.readers() == 0

    def test_escape_and_the_button_close(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both ways to close a window are told once each; the next pump takes it away."""
        monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
        for event in (
            pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE),
            pygame.event.Event(pygame.QUIT),
        ):
            closed: list[str] = []
            sink = WindowSink()
            sink.on_close = partial(closed.append, "closed")
            sink.write(Frame.filled(LAYOUT, (1, 1, 1)))
            sink.pump(0.1)
            pygame.event.post(event)
            sink.pump(0)
            sink.pump(0)
            assert closed == ["closed"]
            assert not pygame.display.get_init()

    def test_minimised_window_has_no_reader(self, sink: WindowSink) -> None:
        """While it is minimised nobody looks at it."""
        sink.write(Frame.filled(LAYOUT, (1, 1, 1)))
        sink.pump(0.1)
        pygame.event.post(pygame.event.Event(pygame.WINDOWMINIMIZED))
        sink.pump(0)
        assert sink.readers() == 0
        pygame.event.post(pygame.event.Event(pygame.WINDOWRESTORED))
        sink.pump(0)
        assert sink.readers() == 1

    def test_closed_from_another_thread(self, sink: WindowSink) -> None:
        """`close` elsewhere leaves SDL to the thread that pumps."""
        sink.write(Frame.filled(LAYOUT, (1, 1, 1)))
        sink.pump(0.1)
        thread = threading.Thread(target=sink.close)
        thread.start()
        thread.join()
        assert pygame.display.get_init()
        sink.pump(0)
        assert not pygame.display.get_init()

    def test_without_a_screen_writing_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where no window can be shown the sink says so, and can be tried again."""
        monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
        monkeypatch.delenv("DISPLAY", raising=False)
        window = WindowSink()
        frame = Frame.filled(LAYOUT, (1, 1, 1))
        window.write(frame)
        window.pump(0.1)
        with pytest.raises(SinkError, match="--to camera,page"):
            window.write(frame)
        window.abort()
        monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
        window.write(frame)
        window.pump(0.1)
        assert pygame.display.get_surface() is not None
        window.close()
        assert not pygame.display.get_init()

    @pytest.mark.parametrize("driver", ["offscreen", "dummy"])
    def test_driver_that_nobody_sees(self, monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
        """Where SDL draws into nothing, the very frame fails; unless the user named that driver."""
        monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
        monkeypatch.setattr(pygame.display, "init", lambda: None)
        monkeypatch.setattr(pygame.display, "get_driver", lambda: driver)
        monkeypatch.setattr(pygame.display, "set_mode", lambda *_: pygame.Surface((320, 180)))
        monkeypatch.setattr(pygame.display, "set_caption", lambda _: None)
        monkeypatch.setattr(pygame.display, "flip", lambda: None)
        window, frame = WindowSink(), Frame.filled(LAYOUT, (1, 1, 1))
        window.pump(0)
        failed: list[str] = []

        def write() -> None:
            try:
                window.write(frame)
            except SinkError as error:
                failed.append(str(error))

        for wished in ("", f"x11,{driver}"):
            monkeypatch.setenv("SDL_VIDEODRIVER", wished)
            thread = threading.Thread(target=write)
            thread.start()
            window.pump(5)
            thread.join()
            assert len(failed) == 1
            assert (
                f"there is no screen here, and nobody would see SDL's driver '{driver}'"
                in (failed[0])
            )
            window.abort()
        assert window.device == f"greenroom ({driver})"

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without pygame-ce the error names the command that installs it."""
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == "pygame" else real(name)
        )
        with pytest.raises(MissingExtraError, match=r"pip install 'greenroom\[window\]'"):
            WindowSink()

    def test_import_is_light(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Making the sink does not load pygame."""
        real = builtins.__import__

        def watched(name: str, *arguments: Any) -> Any:
            assert not name.startswith("pygame")
            return real(name, *arguments)

        monkeypatch.setattr(builtins, "__import__", watched)
        WindowSink().close()


@given(st.tuples(*[st.integers(1, 4000)] * 4))
def test_fitted_picture_is_inside_and_touches(numbers: tuple[int, int, int, int]) -> None:
    """It fills one direction, is in the middle of the other, and is not distorted."""
    width, height, wide, high = numbers
    left, top, shown_width, shown_height = fit_into((width, height), (wide, high))
    assert shown_width == wide or shown_height == high
    assert 0 <= wide - shown_width - 2 * left <= 1
    assert 0 <= high - shown_height - 2 * top <= 1
    scale = min(wide / width, high / height)
    assert abs(shown_width - max(1, width * scale)) <= 0.5
    assert abs(shown_height - max(1, height * scale)) <= 0.5


X_PROGRAMS = ("Xvfb", "import", "xdotool")


@pytest.mark.skipif(
    not all(shutil.which(program) for program in X_PROGRAMS), reason=f"needs {X_PROGRAMS}"
)
def test_real_screen(tmp_path: Path) -> None:
    """On an X server the window has its title and picture; it is resized and reacts to keys."""
    shots = [tmp_path / "first.png", tmp_path / "resized.png"]
    script = (
        "import subprocess, sys, time\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import test_window as t\n"
        "keys, closed = [], []\n"
        "sink = t.WindowSink()\n"
        "sink.on_key, sink.on_close = keys.append, lambda: closed.append(1)\n"
        "frame = t.halves((200, 90, 40), (20, 60, 220))\n"
        "def show(seconds):\n"
        "    end = time.monotonic() + seconds\n"
        "    while time.monotonic() < end and not closed: sink.write(frame); sink.pump(0.05)\n"
        "show(0.5)\n"
        "def ask(*words): return subprocess.check_output(['xdotool', *words], text=True).split()\n"
        "window = ask('search', '--onlyvisible', '--class', '.')[-1]\n"
        "title = ask('getwindowname', window)\n"
        "def shoot(path): subprocess.run(['import', '-window', window, path], check=True)\n"
        "shoot(sys.argv[2])\n"
        "subprocess.run(['xdotool', 'windowsize', window, '400', '400'], check=True)\n"
        "show(0.5)\n"
        "shoot(sys.argv[3])\n"
        "subprocess.run(['xdotool', 'windowfocus', window, 'key', 'space'], check=True)\n"
        "show(0.5)\n"
        "subprocess.run(['xdotool', 'windowfocus', window, 'key', 'Escape'], check=True)\n"
        "show(5)\n"
        "print(title, sink.device, keys, closed)\n"
    )
    environment = {**os.environ, "SDL_VIDEODRIVER": "x11"}
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x960x24", "-nolisten", "tcp"],  # noqa: S607 - found above
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with open(reading, encoding="ascii") as numbers:  # noqa: PTH123 - a descriptor
            environment["DISPLAY"] = f":{numbers.readline().strip()}"
        command = [sys.executable, "-c", script, os.path.dirname(__file__), *map(str, shots)]  # noqa: PTH120 - shorter
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
    finally:
        server.terminate()
        server.wait()
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "['greenroom'] greenroom (x11) ['space', 'escape'] [1]"
    cv2 = pytest.importorskip("cv2")
    first, resized = (cv2.imread(str(shot))[:, :, ::-1] for shot in shots)
    assert first.shape == (180, 320, 3)
    assert_allclose(first[90, 40], (200, 90, 40), atol=4)
    assert_allclose(first[90, 280], (20, 60, 220), atol=4)
    assert resized.shape == (400, 400, 3)
    assert_allclose(resized[200, 50], (200, 90, 40), atol=4)
    assert_allclose(resized[200, 350], (20, 60, 220), atol=4)
    assert not np.any(resized[:80])
    assert not np.any(resized[-80:])
    if folder := os.environ.get("GREENROOM_LOOK"):
        for shot in shots:
            shutil.copy(shot, folder)
