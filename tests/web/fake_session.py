"""A live session for tests of the page: the synthetic person through a real engine, in no hurry."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom import VirtualBackground
from greenroom.desktop.session import DesktopStatus
from greenroom.desktop.settings_file import ConfigFile
from greenroom.errors import SettingsError
from greenroom.live.status import CaptureState, CaptureStatus, OutletStatus, Showing
from greenroom.media.frame import Frame
from greenroom.settings import Settings
from greenroom.testing import PersonSegmenter, PersonSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE: Final = (640, 360)
_COVER_RGB: Final = (38, 42, 48)
_VIEWS: Final = frozenset({"after", "before", "matte"})


class FakeSession:
    """Does what the page asks for, one synthetic frame at a time, on the caller's thread."""

    def __init__(self, config: Path, settings: Settings | None = None) -> None:
        self.config = config
        self.file = ConfigFile(config)
        self.file.load()
        self.file.begin(settings or Settings())
        self.engine = VirtualBackground(settings or Settings(), segmenter=PersonSegmenter())
        self.source = PersonSource(SIZE, frames=1)
        self.covered = False
        self.number = 0
        self.opened: list[FakePreview] = []
        self.status_values: dict[str, Any] = {}
        self.listeners: list[Callable[[], None]] = []
        self.lock = threading.Lock()
        self.findings: list[Any] = []
        self.checked: list[Settings] = []

    def run_checks(self, settings: Settings) -> list[Any]:
        """Return the findings that a test wants, and note what was asked."""
        self.checked.append(settings)
        return self.findings

    @property
    def settings(self) -> Settings:
        """See `LiveSession.settings`."""
        return self.engine.settings

    @property
    def previews(self) -> FakeSession:
        """See `LiveSession.previews`."""
        return self

    def open(self, views: frozenset[str]) -> FakePreview:
        """See `LivePreviews.open`."""
        preview = FakePreview(self)
        preview.want(views)
        self.opened.append(preview)
        return preview

    def update(self, **values: Any) -> None:
        """See `LiveSession.update`."""
        self.engine.update(**values)
        self.tell()

    def cover(self, *, on: bool) -> None:
        """See `LiveSession.cover`."""
        self.covered = on
        self.tell()

    def tell(self) -> None:
        """Call everybody who listens."""
        for listener in list(self.listeners):
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """See `LiveSession.subscribe`."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    @property
    def saved(self) -> bool:
        """See `LiveSession.saved`."""
        return self.file.has(self.settings)

    def save(self) -> Path:
        """See `LiveSession.save`."""
        return self.file.save(self.settings)

    def snapshot(self) -> Frame:
        """See `LiveSession.snapshot`."""
        return self.shown()[0]

    def shown(self) -> tuple[Frame, Frame]:
        """Return what is sent and the camera's own frame."""
        with self.lock:
            self.number += 1
            frame = self.source.frame(self.number)
            if self.covered:
                return Frame.filled(frame.layout, _COVER_RGB), frame
            return self.engine.process(frame), frame

    def status(self) -> DesktopStatus:
        """See `LiveSession.status`."""
        is_camera = self.settings.background == "none"
        showing = Showing.CAMERA if is_camera else Showing.PERSON
        status = DesktopStatus(
            showing=Showing.COVER if self.covered else showing,
            reason="key" if self.covered else "",
            message="Covered, because you asked for it." if self.covered else "",
            covered=self.covered,
            capture=CaptureStatus("demo", CaptureState.RUNNING, "640x360, 25 frames/s"),
            outlets=(
                OutletStatus("camera", "greenroom (/dev/video10)", "running", 1, 3021, 4, 2),
                OutletStatus("page", state="running", readers=len(self.opened)),
            ),
            size=SIZE,
            rate_in=29.97,
            rate_out=29.9,
            drops={"busy": 3},
            latency_ms={"p50": 4.1, "p99": 9.8},
            stages_ms={"segment": 1.2, "matting": 0.9, "background": 0.3, "composite": 0.6},
            cpu_percent=11.4,
            device="selfie on LiteRT, cpu",
            plan="balanced, every frame",
            plan_reason="a frame takes 3.0 ms of 33.3 ms",
            config=str(self.config),
        )
        return replace(status, **self.status_values)

    def close(self) -> None:
        """End the engine."""
        self.engine.close()


class FakePreview:
    """See `LivePreview`."""

    def __init__(self, session: FakeSession) -> None:
        self.session = session
        self.views: frozenset[str] = frozenset()
        self.asked: list[frozenset[str]] = []
        self.taken = 0
        self.closed = threading.Event()

    def want(self, views: frozenset[str]) -> None:
        """See `LivePreview.want`."""
        if unknown := views - _VIEWS:
            message = f"no view {min(unknown)!r}"
            raise SettingsError(message)
        self.views = views
        self.asked.append(views)

    def next(self, timeout_s: float) -> dict[str, Frame] | None:  # noqa: ARG002 - never waits
        """See `LivePreview.next`."""
        if self.closed.is_set():
            return None
        self.taken += 1
        after, before = self.session.shown()
        if self.session.covered:
            return {"after": after}
        matte = self.session.engine.matte
        gray = np.zeros(SIZE[::-1], np.uint8) if matte is None else matte
        views = {"after": after, "before": before, "matte": Frame.from_rgb(_rgb(gray))}
        return {name: _mirrored(frame) for name, frame in views.items() if name in self.views}

    def close(self) -> None:
        """See `LivePreview.close`."""
        self.closed.set()
        if self in self.session.opened:
            self.session.opened.remove(self)


def _rgb(gray: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.repeat(gray[:, :, None], 3, axis=2)


def _mirrored(frame: Frame) -> Frame:
    planes = tuple(np.ascontiguousarray(plane[:, ::-1]) for plane in frame.planes)
    return Frame(planes, frame.layout)
