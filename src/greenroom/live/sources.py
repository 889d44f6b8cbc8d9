"""Live sources: cameras, files played in real time, streams, the screen, a demonstration."""

from __future__ import annotations

import difflib
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.devices.cameras import CameraInfo, cameras_text, find_camera, list_cameras
from greenroom.engine.demo import demo_source
from greenroom.errors import CameraMissingError
from greenroom.media.clock import Clock, MonotonicClock
from greenroom.media.numbered_names import NUMBER
from greenroom.settings import CaptureLibrary, Settings
from greenroom.sources import create_source
from greenroom.sources.camera import camera_source
from greenroom.sources.opencv_camera import OpenCvCamera
from greenroom.sources.realtime import RealTimeSource
from greenroom.sources.screen import check_screen, screen_source
from greenroom.sources.source import Source
from greenroom.sources.stream import stream_source, test_source
from greenroom.specs import SOURCE_KINDS, source_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.media.frame import Frame

__all__ = ["check_live_source", "create_live_source"]

_WORDS: Final = tuple(kind.word for kind in SOURCE_KINDS.values() if kind.word)
# Length of the demonstration's loop, in frames.
_DEMO_FRAMES: Final = 100


def create_live_source(
    settings: Settings,
    clock: Clock | None = None,
    cameras: Callable[[], list[CameraInfo]] = list_cameras,
) -> Source:
    """Open the source that ``settings.source`` names.

    Its frames are ``yuv420p`` and of one size, and their time stamps are microseconds of the
    clock when they were captured. Iterating waits for the next frame.

    Parameters
    ----------
    settings : Settings
        The group "Camera".
    clock : Clock, optional
        The machine's monotonic clock if it is not given.
    cameras : callable, optional
        Lists the cameras.

    Raises
    ------
    SourceError
        Of the kind that says why it cannot be opened.
    """
    request = _SourceRequest(settings, clock or MonotonicClock(), cameras)
    return _OPENERS[_kind(settings.source)](request)


def check_live_source(
    settings: Settings, cameras: Callable[[], list[CameraInfo]] = list_cameras
) -> None:
    """Reject a missing source before anything is loaded for it.

    Files are opened as by `create_live_source`. Cameras, streams and the screen are not opened: a
    camera's light would go on, and a server would see two connections.

    Raises
    ------
    SourceError
        As in `create_live_source`.
    """
    kind = _kind(settings.source)
    if kind == "screen":
        check_screen()
    elif kind == "camera":
        _chosen_camera(settings, cameras())
    elif kind == "file" and not Path(settings.source).is_fifo():  # reading a pipe consumes it
        _file_source(settings, MonotonicClock()).close()


def _kind(name: str) -> str:
    """Return the kind of a source, one of `greenroom.specs.SOURCE_KINDS`."""
    kind = source_kind(name)
    if kind is not None:
        return kind
    return "file" if not name.isdigit() and _is_file(name) else "camera"


def _is_file(name: str) -> bool:
    """Whether the name is a file (not a device) or a pattern of numbered files."""
    path = Path(name)
    try:
        if path.exists():
            return not stat.S_ISCHR(path.stat().st_mode)
    except OSError:  # such as a name that is too long for a file
        return False
    return NUMBER.search(path.name) is not None and path.parent.is_dir()


def _chosen_camera(settings: Settings, cameras: list[CameraInfo]) -> CameraInfo:
    """Select the requested camera."""
    name = settings.source
    if "source" not in settings.model_fields_set:
        if not cameras:
            raise CameraMissingError(cameras_text(cameras), "")
        # Number 0 by default may be a virtual camera, if that was there first.
        return min(cameras, key=lambda camera: (camera.is_virtual, camera.number))
    if Path(name).is_absolute() and Path(name).exists():  # also a link below /dev/v4l
        real = str(Path(name).resolve())
        return next(
            (camera for camera in cameras if camera.path == real), CameraInfo(-1, name, name)
        )
    try:
        return find_camera(name, cameras)
    except CameraMissingError as error:
        if name.isdigit():
            raise
        near = difflib.get_close_matches(name.lower(), _WORDS, n=1)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        message = f"'{name}' is neither a file nor a camera here. {hint}{cameras_text(cameras)}"
        raise CameraMissingError(message, name) from error


def _camera_source(camera: CameraInfo, settings: Settings, clock: Clock) -> Source:
    if settings.capture is CaptureLibrary.OPENCV:
        return OpenCvCamera(camera, settings, clock)
    return camera_source(camera, settings, clock)


def _file_source(settings: Settings, clock: Clock) -> RealTimeSource:
    # Damaged frames do not end a live source.
    lenient = settings.changed(allow_truncated=True)
    return RealTimeSource(
        lambda: create_source(settings.source, lenient), clock, loop=settings.loop
    )


def _demo_source(clock: Clock) -> RealTimeSource:
    demo = _CachedFrames(demo_source(Settings(), _DEMO_FRAMES))
    return RealTimeSource(lambda: demo, clock, loop=True)


class _CachedFrames(Source):
    """Caches drawn frames: drawing costs more than replacing the background.

    They share memory from round to round, 138 MB of it; nobody writes to frames.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._frames: list[Frame] = []
        self._complete = False
        self.info = source.info

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        if self._complete:
            yield from self._frames
            return
        self._frames.clear()
        for frame in self._source:
            self._frames.append(frame)
            yield frame
        self._complete = True

    def close(self) -> None:
        """See `Source.close`."""


class _SourceRequest(NamedTuple):
    """What a source is opened with."""

    settings: Settings
    clock: Clock
    cameras: Callable[[], list[CameraInfo]]


_OPENERS: Final[dict[str, Callable[[_SourceRequest], Source]]] = {
    "camera": lambda request: _camera_source(
        _chosen_camera(request.settings, request.cameras()), request.settings, request.clock
    ),
    "file": lambda request: _file_source(request.settings, request.clock),
    "stream": lambda request: stream_source(
        request.settings.source, request.settings, request.clock
    ),
    "test picture": lambda request: test_source(request.settings.source, request.clock),
    "screen": lambda request: screen_source(request.settings, request.clock),
    "demo": lambda request: _demo_source(request.clock),
}
"""Opens each of `greenroom.specs.SOURCE_KINDS`."""
