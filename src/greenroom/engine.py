"""The engine: a frame in, the same frame with another background out, and never the room.

`VirtualBackground` owns the stages and the fail-closed rule: what leaves is made through a
valid matte of that very frame, or from the background alone, or nothing does.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from greenroom.backgrounds import COVER_RGB, Scene, create_background
from greenroom.compositing.light import LightMatch
from greenroom.effects import (
    Follow,
    LowLight,
    create_overlay,
    crop,
    cropped,
    mirrored,
    mirrored_matte,
)
from greenroom.errors import FormatError, ProcessingError
from greenroom.frames import Frame
from greenroom.matting import Cadence, create_matting, edge_colours
from greenroom.rendering import (
    Parts,
    Rendered,
    compose,
    gray,
    halved,
    matte_view,
    mirrored_view,
    view_halvings,
)
from greenroom.segmenters import check_coarse_matte, create_segmenter
from greenroom.settings import Framing, OnFailure, Settings
from greenroom.supervision import Supervisor
from greenroom.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from numpy.typing import NDArray

    from greenroom.backgrounds import Background
    from greenroom.effects import Overlay
    from greenroom.frames import Layout, Matte
    from greenroom.matting import Matting
    from greenroom.matting.plate import CleanPlate
    from greenroom.segmenters import Segmenter, SegmenterInfo

__all__ = ["Rendered", "VirtualBackground"]

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
# A frame may be so much older than the last cover, which is made for the moment it is shown.
_SCENE_BACK_S = 1.0


@dataclass(frozen=True, slots=True)
class _Stages:
    """One consistent set of stages with the settings they were made from."""

    settings: Settings
    segmenter: Segmenter
    matting: Matting
    background: Background
    overlay: Overlay | None = None


@dataclass(frozen=True, slots=True)
class _Made:
    """What was made of a frame: what may leave, and the matte that it was made through."""

    rendered: Rendered
    matte: Matte | None = None


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

    Attributes
    ----------
    cadence : Cadence
        For which frames the model looks: every one, until somebody says otherwise. May be changed
        on any thread; it holds from the next frame on.

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
    `process` raises; with ``"cover"`` it returns the background alone, as `render` always does.
    The work is done on a thread of the engine, so that a frame that takes longer than
    ``timeout_s`` can be given up: its late result is never shown.
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
        background, overlay = create_background(settings), create_overlay(settings.overlay)
        self.timings = Timings()
        self._own_segmenter = segmenter is None
        self._updating = threading.Lock()  # held while what is new is built
        self._lock = threading.Lock()  # of the stages and of what waits for the end of a frame
        self._in_scene = threading.Lock()  # of the background, which one thread may use at a time
        self._closed = False
        segmenter = segmenter or self._load(settings)
        self._create_matting = matting
        self._stages = _Stages(
            settings, segmenter, matting(settings, segmenter), background, overlay
        )
        self._supervisor: Supervisor[_Made] = Supervisor()
        self._light = LightMatch()
        self._low_light = LowLight()
        self._framing = Follow()
        self._between_frames: list[Callable[[], None]] = []
        self._matte: Matte | None = None
        self._start_s: float | None = None
        self._scene_s = 0.0
        self.failures = 0
        self.cadence = Cadence.EVERY

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

        It is that of the frame as it came, whatever framing and mirror do with both afterwards.
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
        return self._guarded(frame, self._render, self._covering, self._on_failure).frame

    def render(self, frame: Frame, views: frozenset[str] = frozenset()) -> Rendered:
        """Replace the background of a frame, or cover it: what live use needs.

        Parameters
        ----------
        frame : Frame
            Read only; not kept.
        views : set of str
            What else to make of it, out of ``after``, ``before`` and ``matte``.

        Returns
        -------
        Rendered
            It says whether it is the cover and why, whatever ``on_failure`` is. Of a frame that
            is covered ``after`` is the cover, ``matte`` is black, and there is no ``before``.
        """
        return self._guarded(
            frame,
            partial(self._render, views=views),
            partial(self._covering, views=views),
            OnFailure.COVER,
        )

    def cover(self, layout: Layout, time_s: float) -> Frame:
        """Make what is shown instead of a frame.

        It may be called on any thread, also while a frame is worked on or hangs.

        Parameters
        ----------
        layout : Layout
            Of the result.
        time_s : float
            When it is shown, by the clock of the frames: backgrounds may move.

        Returns
        -------
        Frame
            New memory, without a time. No camera's picture has ever been near it.
        """
        cover = Frame.filled(layout, COVER_RGB)
        if self._in_scene.acquire(timeout=_SCENE_WAIT_S):  # not if a frame hangs in it
            try:
                stages = self._stages
                made = stages.background.cover(layout, self._scene_time_s(time_s)).copy()
                if stages.overlay is not None:
                    stages.overlay.draw(made)
                cover = made
            except Exception as error:  # noqa: BLE001 - the colour remains
                logger.warning("the background cannot be shown either: %s", _sentence(error))
            finally:
                self._in_scene.release()
        return cover

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
        return self._guarded(frame, self._render_matte, _black, self._on_failure).frame

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
            overlay = old.overlay
            between: list[Callable[[], None]] = []
            if "overlay" in changed:
                overlay = create_overlay(settings.overlay)
            if changed & set(_BACKGROUND_SETTINGS):
                background = create_background(settings)
            if self._own_segmenter and changed & set(_SEGMENTER_SETTINGS):
                segmenter = self._load(settings)
            if changed & set(_MATTING_SETTINGS) or segmenter is not old.segmenter:
                matting = self._create_matting(settings, segmenter)
                if segmenter is old.segmenter:
                    between.append(partial(matting.take_over, old.matting))
            if "framing" in changed:
                between.append(self._framing.reset)
            if "low_light" in changed and not old.settings.low_light:
                between.append(self._low_light.reset)  # it has not seen the frames since
            with self._lock:
                self._stages = _Stages(settings, segmenter, matting, background, overlay)
                self._between_frames += between
                if segmenter is not old.segmenter:
                    self._between_frames.append(old.segmenter.close)
                if background is not old.background:
                    self._between_frames.append(partial(self._leave_scene, old.background))

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
        with self._in_scene:
            stages.background.reset()
            self._start_s = None
        self._light.reset()
        self._low_light.reset()
        self._framing.reset()

    def _leave_scene(self, background: Background) -> None:
        """Close a background that was replaced, when no cover is being made of it."""
        with self._in_scene:
            background.close()

    @property
    def _on_failure(self) -> OnFailure:
        return OnFailure.STOP if self._closed else self.settings.on_failure

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
        render: Callable[[_Stages, Frame], _Made],
        cover: Callable[[Frame], Rendered],
        on_failure: OnFailure,
    ) -> Rendered:
        """Apply the fail-closed rule: the one place that decides what leaves.

        ``render`` never returns the frame's pixels other than through its matte (or by the
        user's word ``none``); when it fails, only ``cover``, which does not see them,
        can make a result.
        """
        self._matte = None

        def work() -> _Made:
            return render(self._next_stages(), frame)

        try:
            self._check_open()
            made = self._supervisor.run(work, self.settings.timeout_s)
        except Exception as error:  # whatever it is, the frame stays in
            self.failures += 1
            reason = _sentence(error)
            if on_failure is OnFailure.STOP:
                where = "" if frame.time_s is None else f" at {frame.time_s:.3f} s"
                message = f"the frame{where} could not be processed: {reason}"
                raise ProcessingError(message) from error
            logger.warning("a frame is covered: %s", reason)
            return replace(cover(frame), valid=False, error=reason)
        self._matte = made.matte
        return made.rendered

    def _check_open(self) -> None:
        if self._closed:
            message = "this engine is closed. Make another one."
            raise ProcessingError(message)

    def _render(self, stages: _Stages, frame: Frame, views: frozenset[str] = frozenset()) -> _Made:
        seen = self._lit(stages, frame)
        if not stages.background.needs_matte:
            return _Made(self._render_camera(stages, frame, seen, views))
        matte = self._find(stages, seen)
        parts = self._parts(stages, seen, matte)
        rendered = Rendered(compose(parts, self.timings.stage))
        if views:
            with self.timings.stage("views"):
                if "after" in views:
                    rendered.views["after"] = self._after(stages, parts, rendered.frame)
                if "before" in views:
                    rendered.views["before"] = _mirrored_small(frame)
                if "matte" in views:
                    rendered.views["matte"] = matte_view(matte, frame)
        self._decorate(stages, rendered.frame)
        return _Made(rendered, matte)

    def _lit(self, stages: _Stages, frame: Frame) -> Frame:
        """Brighten a dark frame, which helps the model too."""
        if not stages.settings.low_light:
            return frame
        with self.timings.stage("low light"):
            return self._low_light.apply(frame, stages.settings.low_light)

    def _parts(self, stages: _Stages, frame: Frame, matte: Matte) -> Parts:
        """Place the person, put a background behind and its light on them."""
        settings = stages.settings
        frame, matte, colours = self._placed(settings, frame, matte, stages.segmenter)
        with self.timings.stage("background"), self._in_scene:
            time_s = self._scene_time_s(frame.time_s or 0.0)
            background = stages.background.render(frame, matte, time_s)
        person = frame if colours is None else colours
        if background.alpha is None and settings.match_light:
            with self.timings.stage("light"):
                person = self._light.match(frame, matte, background, settings.match_light, person)
        edges = None
        if colours is None and settings.clean_edges:
            with self.timings.stage("edges"):
                edges = edge_colours(person, matte)
        return Parts(person, matte, background, edges, settings.light_wrap)

    def _placed(
        self, settings: Settings, frame: Frame, matte: Matte, segmenter: Segmenter
    ) -> tuple[Frame, Matte, Frame | None]:
        """Crop and mirror a frame, its matte, and the person's own colours if there are any."""
        colours = segmenter.foreground(frame)
        if settings.framing is Framing.FOLLOW:
            with self.timings.stage("framing"):
                box = self._framing.step(matte, frame.time_s)
                frame, matte = crop(frame, matte, box)
                colours = None if colours is None else cropped(colours, box)
        if settings.mirror:
            with self.timings.stage("mirror"):
                frame, matte = mirrored(frame), mirrored_matte(matte)
                colours = None if colours is None else mirrored(colours)
        return frame, matte, colours

    def _decorate(self, stages: _Stages, frame: Frame) -> None:
        """Draw the overlay over a frame that was made here."""
        if stages.overlay is not None:
            with self.timings.stage("overlay"):
                stages.overlay.draw(frame)

    def _after(self, stages: _Stages, parts: Parts, result: Frame) -> Frame:
        """Make the view of what is sent, from its parts and the result without an overlay."""
        halvings = view_halvings(result.layout)
        if stages.settings.mirror:  # the person is mirrored, and nothing else, already
            view = halved(result, halvings) if halvings else result.copy()
        elif isinstance(stages.background, Scene) and parts.background.alpha is None:
            view = mirrored_view(parts)
        else:  # what is behind is the room, or nothing
            view = mirrored(halved(result, halvings))
        if stages.overlay is not None:
            stages.overlay.draw(view, halvings)
        return view

    def _render_camera(
        self, stages: _Stages, frame: Frame, seen: Frame, views: frozenset[str]
    ) -> Rendered:
        """Show the camera's picture, by the user's word: no person has to be found in it.

        Framing, which follows the person, does nothing here.
        """
        result = mirrored(seen) if stages.settings.mirror else seen
        if stages.overlay is not None:
            result = result.copy() if result is frame else result
            self._decorate(stages, result)
        rendered = Rendered(result, is_camera=True)
        if "after" in views:
            view = _mirrored_small(seen)
            if stages.overlay is not None:
                stages.overlay.draw(view, view_halvings(seen.layout))
            rendered.views["after"] = view
        if "before" in views:
            rendered.views["before"] = _mirrored_small(frame)
        if "matte" in views:
            shape = halved(frame, view_halvings(frame.layout)).planes[0].shape
            rendered.views["matte"] = gray(np.full(shape, 255, np.uint8), frame)
        return rendered

    def _render_matte(self, stages: _Stages, frame: Frame) -> _Made:
        matte = self._find(stages, self._lit(stages, frame))
        return _Made(Rendered(gray(matte.values, frame)), matte)

    def _find(self, stages: _Stages, frame: Frame) -> Matte:
        looked_s = 0.0

        def look(part: Frame) -> NDArray[np.float32]:
            nonlocal looked_s
            start = time.perf_counter()
            coarse = check_coarse_matte(stages.segmenter.segment(part))
            looked_s += time.perf_counter() - start
            return coarse

        start = time.perf_counter()
        stages.matting.cadence = self.cadence
        matte = stages.matting.matte(frame, look)
        self.timings.add("segment", looked_s)
        self.timings.add("matte", time.perf_counter() - start - looked_s)
        if matte.values.shape != frame.layout.plane_shapes[0]:
            message = f"a matte of {matte.values.shape} does not fit a frame of {frame.size}"
            raise FormatError(message)
        return matte

    def _covering(self, frame: Frame, views: frozenset[str] = frozenset()) -> Rendered:
        """Make what is shown instead of a frame, from its layout and time only."""
        cover = self.cover(frame.layout, frame.time_s or 0.0).at(frame)
        covering = Rendered(cover)
        small = halved(cover, view_halvings(cover.layout))
        if "after" in views:
            covering.views["after"] = small
        if "matte" in views:
            covering.views["matte"] = gray(np.zeros_like(small.planes[0]), frame)
        return covering

    def _scene_time_s(self, time_s: float) -> float:
        """Tell the time since the first frame; called by who has the scene.

        It does not go back by as little as frames are older than covers.
        """
        if self._start_s is None:
            self._start_s, self._scene_s = time_s, 0.0
        since_s = time_s - self._start_s
        if not 0 < self._scene_s - since_s < _SCENE_BACK_S:
            self._scene_s = since_s
        return self._scene_s


def _black(frame: Frame) -> Rendered:
    width, height = frame.size
    return Rendered(gray(np.zeros((height, width), np.uint8), frame))


def _mirrored_small(frame: Frame) -> Frame:
    return mirrored(halved(frame, view_halvings(frame.layout)))


def _sentence(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, (ValueError, OSError)) or type(error).__module__.startswith("greenroom"):
        return text
    return f"{type(error).__name__}: {text}"
