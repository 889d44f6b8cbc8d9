"""The stages in order, from low light to overlay: a frame in, a rendered picture out."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.backgrounds import Scene
from greenroom.compositing import FramePool
from greenroom.compositing.light import LightMatch
from greenroom.compositing.tiled_matte import TiledMatte
from greenroom.effects import Follow, LowLight, crop, cropped, mirrored, mirrored_matte
from greenroom.engine.compute import HOST
from greenroom.engine.render import (
    Layers,
    Rendered,
    compose,
    gray,
    halved,
    matte_view,
    mirrored_view,
    view_halvings,
)
from greenroom.errors import FormatError, ImplausibleMatteError
from greenroom.matting import Cadence, Plausibility, edge_colours
from greenroom.media.deferred_frame import DeferredFrame
from greenroom.segmenters.segmenter import check_coarse_matte, check_matte_there
from greenroom.settings import Framing

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.backgrounds import Background
    from greenroom.compositing import Canvas
    from greenroom.cuda import Array
    from greenroom.effects import Overlay
    from greenroom.engine.compute import Compute
    from greenroom.matting import Matting
    from greenroom.media.frame import Frame
    from greenroom.media.matte import Matte
    from greenroom.media.timings import Timings
    from greenroom.segmenters import Segmenter
    from greenroom.settings import Settings

__all__ = ["BackgroundClock", "PictureMaker", "Stages"]

# Largest step back in time: a frame is older than a cover, which is rendered for its display time.
_MAX_STEP_BACK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Stages:
    """One consistent set of exchangeable stages, with the settings that they were made from."""

    settings: Settings
    segmenter: Segmenter
    matting: Matting
    background: Background
    overlay: Overlay | None = None
    compute: Compute = HOST


class BackgroundClock:
    """Clock and lock of the background, which one thread uses at a time.

    State: the time of the first frame or cover, and the last one asked for.
    """

    def __init__(self) -> None:
        self.used = threading.Lock()
        """Held by whoever uses the background, and asks for its time."""
        self._start_s: float | None = None
        self._last_s = 0.0

    def time_s(self, time_s: float) -> float:
        """Return the time since the first frame.

        It does not go back by as little as frames are older than covers.
        """
        if self._start_s is None:
            self._start_s, self._last_s = time_s, 0.0
        since_s = time_s - self._start_s
        if not 0 < self._last_s - since_s < _MAX_STEP_BACK_S:
            self._last_s = since_s
        return self._last_s

    def reset(self) -> None:
        """Restart the clock with the next frame."""
        self._start_s = None

    def begin(self, start_s: float) -> None:
        """Run as if the first frame had been at a time."""
        self._start_s, self._last_s = start_s, 0.0


class PictureMaker:
    """Runs the stages on one thread. The fail-closed rule is the engine's.

    Parameters
    ----------
    timings : Timings
        Where it notes how long each stage takes.

    Frames are processed where the stages say (`Stages.compute`): on a device what is full-size,
    and the stages that take frames there. Results are in the host's memory.

    Attributes
    ----------
    timings : Timings
        The same.
    clock : BackgroundClock
        Of the background, which covers use too.
    low_light, framing : LowLight, Follow
        Effects that remember earlier frames.
    second_every : int or None
        See `VirtualBackground.second_every`.
    cadence : Cadence or None
        For which frames the model looks; None leaves that to the matting.
    """

    def __init__(self, timings: Timings) -> None:
        self.timings = timings
        self._background: tuple[Frame, Frame] | None = None  # the last scene, and it uploaded
        self.clock = BackgroundClock()
        self._pool = FramePool()
        self._light = LightMatch()
        self._plausibility = Plausibility()
        self.low_light = LowLight()
        self.framing = Follow()
        self.cadence: Cadence | None = None
        self.second_every: int | None = None

    def reset(self) -> None:
        """Forget earlier frames."""
        self._background = None
        self._light.reset()
        self._plausibility.reset()
        self.low_light.reset()
        self.framing.reset()

    def picture(
        self,
        frame: Frame,
        stages: Stages,
        views: frozenset[str] = frozenset(),
        *,
        is_read_only: bool = False,
        leave: Callable[[Frame], Frame] | None = None,
    ) -> Rendered:
        """Make the picture of a frame, and views of it.

        If the picture is read-only, it is remembered what it shows, once nobody has it any more.
        One on a device is downloaded, or what ``leave`` returns for it.
        """
        if not stages.background.needs_matte:
            return self._camera(stages, frame, self._lit(stages, frame), views)
        placed = self._placed_for_work(stages, frame)
        seen = self._lit(stages, placed)
        matte = self._find(stages, seen, _own(frame, placed, seen))
        layers = self._layers(stages, seen, matte)
        canvas = self._pool.take(seen.layout, layers.background)
        result = compose(layers, self.timings, canvas)
        rendered = Rendered(result, shows_room=stages.background.shows_room, matte=matte)
        if views:
            with self.timings.stage("views"):
                if "after" in views:
                    rendered.views["after"] = self._after(stages, layers, result)
                if "before" in views:
                    rendered.views["before"] = _mirrored_small(placed)
                if "matte" in views:
                    rendered.views["matte"] = matte_view(matte, frame)
        self._decorate(stages, result)
        if result.device is not None:
            return self._downloaded(rendered, canvas, leave)
        is_plain = stages.overlay is None and not layers.light_wrap
        if is_read_only and is_plain and isinstance(stages.background, Scene):
            self._pool.remember(canvas, layers.background)
        return rendered

    def matte(self, frame: Frame, stages: Stages) -> Rendered:
        """Make the matte of a frame, as a gray picture."""
        placed = self._placed_for_work(stages, frame)
        seen = self._lit(stages, placed)
        matte = self._find(stages, seen, _own(frame, placed, seen))
        matte = matte.downloaded()
        return Rendered(gray(matte.values, frame), matte=matte)

    def _placed_for_work(self, stages: Stages, frame: Frame) -> Frame:
        """Return the frame where it is processed."""
        device = stages.compute.device
        if device is None:
            return frame.downloaded()
        with self.timings.stage("upload"):
            return frame.uploaded(device)

    def _downloaded(
        self, rendered: Rendered, canvas: Canvas, leave: Callable[[Frame], Frame] | None
    ) -> Rendered:
        """Return results on a device in the host's memory: the picture in that of the pool.

        What is left on the device is finished, so that no fault of it comes later.
        """
        device = rendered.frame.device
        with self.timings.stage("download"):
            views = {name: view.downloaded() for name, view in rendered.views.items()}
            if leave is None or device is None:
                frame = rendered.frame.downloaded(canvas.frame)
            else:
                frame = leave(rendered.frame)
                device.finish_kernels()
        return replace(rendered, frame=frame, views=views)

    def _lit(self, stages: Stages, frame: Frame) -> Frame:
        """Brighten a dark frame, which helps the model too."""
        if not stages.settings.low_light:
            return frame
        with self.timings.stage("low light"):
            return self.low_light.apply(frame, stages.settings.low_light)

    def _layers(self, stages: Stages, frame: Frame, matte: Matte) -> Layers:
        """Place the person, put a background behind and its light on them."""
        settings = stages.settings
        frame, matte, colours = self._placed(settings, frame, matte, stages.segmenter)
        with self.timings.stage("background"), self.clock.used:
            time_s = self.clock.time_s(frame.time_s or 0.0)
            background = self._rendered(stages.background, frame, matte, time_s)
        person = frame if colours is None else colours
        if background.alpha is None and settings.match_light:
            with self.timings.stage("light"):
                person = self._light.match(frame, matte, background, settings.match_light, person)
        edges = None
        if colours is None and settings.clean_edges:
            with self.timings.stage("edges"):
                edges = edge_colours(person, matte)
        return Layers(person, matte, background, edges, settings.light_wrap)

    def _rendered(self, background: Background, frame: Frame, matte: Matte, time_s: float) -> Frame:
        """Render the background where the frame is."""
        device = frame.device
        if device is None or background.takes_device_frames:
            return background.render(frame, matte, time_s)
        if not isinstance(background, Scene):
            room = background.render(DeferredFrame.of(frame), matte.downloaded(), time_s)
            return room.uploaded(device)
        scene = background.at(frame.layout, time_s)
        if self._background is None or self._background[0] is not scene:
            self._background = scene, scene.uploaded(device)
        return self._background[1]

    def _placed(
        self, settings: Settings, frame: Frame, matte: Matte, segmenter: Segmenter
    ) -> tuple[Frame, Matte, Frame | None]:
        """Crop and mirror a frame, its matte, and the person's own colours if there are any."""
        colours = self._foreground(segmenter, frame)
        if settings.framing is Framing.FOLLOW:
            with self.timings.stage("framing"):
                box = self.framing.step(matte, frame.time_s)
                frame, matte = crop(frame, matte, box)
                colours = None if colours is None else cropped(colours, box)
        if settings.mirror:
            with self.timings.stage("mirror"):
                frame, matte = mirrored(frame), mirrored_matte(matte)
                colours = None if colours is None else mirrored(colours)
        return frame, matte, colours

    def _foreground(self, segmenter: Segmenter, frame: Frame) -> Frame | None:
        """Return the person's own colours, where the frame is."""
        if frame.device is None or segmenter.takes_device_frames:
            return segmenter.foreground(frame)
        colours = segmenter.foreground(DeferredFrame.of(frame))
        return None if colours is None else colours.uploaded(frame.device)

    def _decorate(self, stages: Stages, frame: Frame) -> None:
        """Draw the overlay over a frame that was made here."""
        if stages.overlay is not None:
            with self.timings.stage("overlay"):
                stages.overlay.draw(frame)

    def _after(self, stages: Stages, layers: Layers, result: Frame) -> Frame:
        """Make the view of what is sent, from its layers and the result without an overlay."""
        halvings = view_halvings(result.layout)
        if stages.settings.mirror:  # only the person is mirrored, already
            view = halved(result, halvings) if halvings else result.copy()
        elif isinstance(stages.background, Scene) and layers.background.alpha is None:
            view = mirrored_view(layers)
        else:  # the background is the room, or transparent
            view = mirrored(halved(result, halvings))
        if stages.overlay is not None:
            stages.overlay.draw(view, halvings)
        return view

    def _camera(self, stages: Stages, frame: Frame, seen: Frame, views: frozenset[str]) -> Rendered:
        """Return the camera's picture, which background ``none`` asks for.

        Framing, which follows the person, does nothing here.
        """
        result = mirrored(seen) if stages.settings.mirror else seen
        if stages.overlay is not None:
            result = result.copy() if result is frame else result
            self._decorate(stages, result)
        rendered = Rendered(result, is_camera=True, shows_room=True)
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

    def _find(self, stages: Stages, frame: Frame, own: Frame) -> Matte:
        """Return the matte of a frame, where that is; ``own`` is it to those of the host."""
        looked_s = 0.0
        whole = frame.size, frame.halved_size

        def look(part: Frame) -> Any:
            nonlocal looked_s
            start = time.perf_counter()
            if not stages.segmenter.takes_device_frames:
                part = part.downloaded()
            coarse: Array
            if part.device is not None and stages.matting.takes_device_mattes:
                coarse = check_matte_there(stages.segmenter.segment_there(part))
            else:
                coarse = check_coarse_matte(stages.segmenter.segment(part))
            looked_s += time.perf_counter() - start
            self._plausibility.check(coarse, is_whole=part.size in whole)
            return coarse

        start = time.perf_counter()
        if self.cadence is not None:
            stages.matting.cadence = self.cadence
        self._set_second(stages)
        try:
            if frame.device is None:
                matte = stages.matting.matte(frame, look)
            else:
                matte = stages.matting.matte_there(own, frame, look)
        except ImplausibleMatteError as error:
            return self._where(frame, self._plausibility.refused(frame, error))
        self.timings.add("segment", looked_s)
        self.timings.add("matte", time.perf_counter() - start - looked_s)
        _check_matte(matte, frame)
        matte = self._where(frame, matte)
        with self.timings.stage("plausibility"):
            matte = self._plausibility.believed(frame, matte, stages.matting.exempt)
        return self._where(frame, matte)

    def _set_second(self, stages: Stages) -> None:
        """Have the second model asked with the first, or for every so many frames."""
        second, every = stages.segmenter.second, self.second_every
        stages.matting.second = None if every is None else second
        if second is not None:
            stages.segmenter.asks_second = every is None
            second.every = every or 0
            if every:
                self.timings.add("second look", second.each_s)

    def _where(self, frame: Frame, matte: Matte) -> Matte:
        """Return a matte where its frame is."""
        return matte if frame.device is None else matte.uploaded(frame.device)


def _own(frame: Frame, placed: Frame, seen: Frame) -> Frame:
    """Return a frame as those of the host see it, without a transfer so far."""
    if placed.device is None:
        return seen
    return frame if seen is placed and frame.device is None else DeferredFrame.of(seen)


def _check_matte(matte: Matte, frame: Frame) -> None:
    kind = np.dtype(np.uint8) if isinstance(matte, TiledMatte) else matte.values.dtype
    if matte.shape != frame.layout.plane_shapes[0] or kind != np.uint8:
        message = (
            f"a matte of {kind} and shape {matte.shape} does not fit a frame of "
            f"{frame.size}: expected uint8, of its height and width"
        )
        raise FormatError(message)


def _mirrored_small(frame: Frame) -> Frame:
    return mirrored(halved(frame, view_halvings(frame.layout)))
