"""The engine: a frame in, the same frame with another background out, and never the room.

`VirtualBackground` owns the four stages and the fail-closed rule: what leaves is made
through a valid matte of that very frame, or from the background alone, or nothing does.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from greenroom.backgrounds import COVER_RGB, create_background
from greenroom.compositing import composite
from greenroom.compositing.light import LightMatch, wrap_light
from greenroom.errors import FormatError, ProcessingError
from greenroom.frames import Colour, Frame, Layout
from greenroom.matting import create_matting, edge_colours
from greenroom.segmenters import check_coarse_matte, create_segmenter
from greenroom.settings import OnFailure, Settings
from greenroom.supervision import Supervisor
from greenroom.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from greenroom.backgrounds import Background
    from greenroom.frames import Matte
    from greenroom.matting import Matting
    from greenroom.matting.plate import CleanPlate
    from greenroom.segmenters import Segmenter, SegmenterInfo

__all__ = ["VirtualBackground"]

logger = logging.getLogger(__name__)

# What makes a stage be built anew when it changes.
_SEGMENTER_SETTINGS = (
    "model",
    "threads",
    "device",
    "keep",
    "key_color",
    "models_dir",
    "accept_license",
)
_BACKGROUND_SETTINGS = ("background", "fit", "slide_seconds")
_MATTING_SETTINGS = (
    "threshold",
    "edge_shift",
    "edge_softness",
    "smoothing",
    "quality",
    "people",
    "keep_region",
    "plate",
)
# How long a cover waits for a background that another frame is using.
_SCENE_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class _Stages:
    """One consistent set of stages with the settings they were made from."""

    settings: Settings
    segmenter: Segmenter
    matting: Matting
    background: Background


class VirtualBackground:
    """Puts the person of each frame in front of another background.

    Parameters
    ----------
    settings : Settings, optional
        All settings at once.
    segmenter : Segmenter, optional
        Use this one instead of the model that the settings name. It is closed with the
        engine.
    matting : callable
        Makes the matting for settings and a segmenter; that of the setting ``quality`` if it is
        not given.
    **values
        Single settings by name, such as ``background="beach.jpg"``; they take precedence.

    Raises
    ------
    SettingsError, BackgroundError, ModelError
        If a setting is wrong or what it names cannot be loaded.

    Notes
    -----
    Frames are processed one after the other, on one thread at a time; `update` may be
    called on any thread. State over frames: the temporal filter, and the place in a
    moving background. `reset` forgets it.

    A frame without a valid matte is never shown. With ``on_failure="stop"``, the default,
    `process` raises; with ``"cover"`` it returns the background alone. The work is done on
    a thread of the engine, so that a frame that takes longer than ``timeout_s`` can be
    given up: its late result is never shown.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        segmenter: Segmenter | None = None,
        matting: Callable[[Settings, Segmenter], Matting] = create_matting,
        **values: Any,  # noqa: ANN401 - Settings checks them
    ) -> None:
        settings = (settings or Settings()).changed(**values)
        background = create_background(settings)
        self.timings = Timings()
        self._own_segmenter = segmenter is None
        self._updating = threading.Lock()  # held while what is new is built
        self._lock = threading.Lock()  # of the stages and of what waits for the end of a frame
        self._in_scene = threading.Lock()  # of the background, which one thread may use at a time
        self._closed = False
        segmenter = segmenter or self._load(settings)
        self._create_matting = matting
        self._stages = _Stages(settings, segmenter, matting(settings, segmenter), background)
        self._supervisor: Supervisor[tuple[Frame, Matte | None]] = Supervisor()
        self._light = LightMatch()
        self._between_frames: list[Callable[[], None]] = []
        self._matte: Matte | None = None
        self._start_s: float | None = None
        self.failures = 0

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._stages.settings

    @property
    def info(self) -> SegmenterInfo:
        """Which model runs, from which file, by which runtime, on which device."""
        return self._stages.segmenter.info

    @property
    def matte(self) -> NDArray[np.uint8] | None:
        """The matte of the last frame, (H, W) uint8; None before the first and after a failure.

        Every frame has memory of its own. Read only.
        """
        return None if self._matte is None else self._matte.values

    @property
    def clean_plate(self) -> CleanPlate | None:
        """The empty room, as far as it was learned; None without a model that needs it.

        It changes with every frame: to be read between frames only.
        """
        return self._stages.matting.plate

    def process(self, frame: Frame) -> Frame:
        """Replace the background of a frame.

        Parameters
        ----------
        frame : Frame
            Read only; not kept.

        Returns
        -------
        Frame
            The same layout and time, in new memory. With a transparent background it has
            alpha. With background ``none`` it is the frame itself.

        Raises
        ------
        ProcessingError
            If there is no valid result and ``on_failure`` is ``stop``.
        """
        return self._guarded(frame, self._render, self._cover)

    def process_rgb(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Replace the background of an (H, W, 3) uint8 RGB array; the result is a new one.

        Raises
        ------
        FormatError
            If it is not such an array.
        SettingsError, ProcessingError
            As in `process`.
        """
        return self.process(Frame.from_rgb(array)).to_rgb()

    def process_matte(self, frame: Frame) -> Frame:
        """Return the matte of a frame as a gray frame, full range, of the frame's time.

        Raises
        ------
        ProcessingError
            As in `process`; the cover of a matte is black.
        """
        return self._guarded(frame, self._render_matte, _black)

    def update(self, **values: Any) -> None:  # noqa: ANN401 - Settings checks them
        """Change settings while running: all of them between two frames, or none.

        What is new is built here, on the caller's thread; frames go on meanwhile.

        Raises
        ------
        SettingsError, BackgroundError, ModelError
            As on creation; the settings in force stay.
        """
        with self._updating:
            old = self._stages
            settings = old.settings.changed(**values)
            changed = {name for name in values if values[name] != getattr(old.settings, name)}
            background, segmenter, matting = old.background, old.segmenter, old.matting
            between: list[Callable[[], None]] = []
            if changed & set(_BACKGROUND_SETTINGS):
                background = create_background(settings)
            if self._own_segmenter and changed & set(_SEGMENTER_SETTINGS):
                segmenter = self._load(settings)
            if changed & set(_MATTING_SETTINGS) or segmenter is not old.segmenter:
                matting = self._create_matting(settings, segmenter)
                if segmenter is old.segmenter:
                    between.append(partial(matting.take_over, old.matting))
            with self._lock:
                self._stages = _Stages(settings, segmenter, matting, background)
                self._between_frames += between
                self._between_frames += [
                    stage.close
                    for stage, new in ((old.segmenter, segmenter), (old.background, background))
                    if stage is not new
                ]

    def reset(self) -> None:
        """Forget earlier frames: call it between unrelated pictures."""
        self._matte = None
        with self._lock:
            self._between_frames.append(self._forget)

    def close(self) -> None:
        """Release the model and the background; what hangs is left behind."""
        if self._closed:
            return
        self._closed = True
        if self._supervisor.close():
            stages = self._next_stages()
            stages.segmenter.close()
            stages.background.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _load(self, settings: Settings) -> Segmenter:
        return create_segmenter(settings, self.timings)

    def _forget(self) -> None:
        stages = self._stages
        stages.segmenter.reset()
        stages.matting.reset()
        stages.background.reset()
        self._light.reset()
        self._start_s = None

    def _next_stages(self) -> _Stages:
        """Do what was put off until no frame is being processed; return the stages since then."""
        with self._lock:
            waiting, self._between_frames = self._between_frames, []
            stages = self._stages
        for action in waiting:
            action()
        return stages

    def _guarded(
        self,
        frame: Frame,
        render: Callable[[_Stages, Frame], tuple[Frame, Matte | None]],
        cover: Callable[[Frame], Frame],
    ) -> Frame:
        """Apply the fail-closed rule: the one place that decides what leaves.

        ``render`` never returns the frame's pixels other than through its matte (or by the
        user's word ``none``); when it fails, only ``cover``, which does not see them,
        can make a result.
        """
        if self._closed:
            message = "this engine is closed. Make another one."
            raise ProcessingError(message)
        settings = self.settings
        self._matte = None

        def work() -> tuple[Frame, Matte | None]:
            return render(self._next_stages(), frame)

        try:
            result, matte = self._supervisor.run(work, settings.timeout_s)
        except Exception as error:  # whatever it is, the frame stays in
            self.failures += 1
            if settings.on_failure is OnFailure.STOP:
                where = "" if frame.time_s is None else f" at {frame.time_s:.3f} s"
                message = f"the frame{where} could not be processed: {_sentence(error)}"
                raise ProcessingError(message) from error
            logger.warning("a frame is covered: %s", _sentence(error))
            return cover(frame)
        self._matte = matte
        return result

    def _render(self, stages: _Stages, frame: Frame) -> tuple[Frame, Matte | None]:
        if not stages.background.needs_matte:
            return frame, None
        matte = self._find(stages, frame)
        with self.timings.stage("background"), self._in_scene:
            background = stages.background.render(frame, matte, self._time_s(frame))
        coloured = stages.segmenter.foreground(frame)
        person = frame if coloured is None else coloured
        settings = stages.settings
        has_scene = background.alpha is None
        if has_scene and settings.match_light:
            with self.timings.stage("light"):
                person = self._light.match(frame, matte, background, settings.match_light, person)
        edges = None
        if coloured is None and settings.clean_edges:
            with self.timings.stage("edges"):
                edges = edge_colours(person, matte)
        with self.timings.stage("composite"):
            result = composite(person, matte, background, edges)
        if has_scene and settings.light_wrap:
            with self.timings.stage("light"):
                wrap_light(result, matte, background, settings.light_wrap)
        return result, matte

    def _render_matte(self, stages: _Stages, frame: Frame) -> tuple[Frame, Matte]:
        matte = self._find(stages, frame)
        layout = Layout(*frame.size, "gray", _GRAY)
        return Frame((matte.values,), layout).at(frame), matte

    def _find(self, stages: _Stages, frame: Frame) -> Matte:
        looked_s = 0.0

        def look(part: Frame) -> NDArray[np.float32]:
            nonlocal looked_s
            start = time.perf_counter()
            coarse = check_coarse_matte(stages.segmenter.segment(part))
            looked_s += time.perf_counter() - start
            return coarse

        start = time.perf_counter()
        matte = stages.matting.matte(frame, look)
        self.timings.add("segment", looked_s)
        self.timings.add("matte", time.perf_counter() - start - looked_s)
        if matte.values.shape != frame.layout.plane_shapes[0]:
            message = f"a matte of {matte.values.shape} does not fit a frame of {frame.size}"
            raise FormatError(message)
        return matte

    def _cover(self, frame: Frame) -> Frame:
        """Make what is shown instead of a frame, from its layout and time only."""
        cover = Frame.filled(frame.layout, COVER_RGB)
        if self._in_scene.acquire(timeout=_SCENE_WAIT_S):  # not if a frame hangs in it
            try:
                background = self._stages.background
                cover = background.cover(frame.layout, self._time_s(frame)).copy()
            except Exception as error:  # noqa: BLE001 - the colour remains
                logger.warning("the background cannot be shown either: %s", _sentence(error))
            finally:
                self._in_scene.release()
        return cover.at(frame)

    def _time_s(self, frame: Frame) -> float:
        """Tell the time since the first frame."""
        time_s = frame.time_s or 0.0
        if self._start_s is None:
            self._start_s = time_s
        return time_s - self._start_s


_GRAY = Colour(matrix=2, range=2)


def _black(frame: Frame) -> Frame:
    return Frame.filled(Layout(*frame.size, "gray", _GRAY), (0, 0, 0)).at(frame)


def _sentence(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, (ValueError, OSError)) or type(error).__module__.startswith("greenroom"):
        return text
    return f"{type(error).__name__}: {text}"
