"""The engine: a frame in, the same frame with another background out, and never the room.

`VirtualBackground` owns the stages and the fail-closed rule: what leaves is made through a
valid matte of that very frame, or from the background alone, or nothing does.

::

    process, render     Frame in, Rendered out, on the caller's thread
    _guarded            the fail-closed rule: Rendered, or the cover where anything fails
    Supervisor.run      the deadline; what follows is on the engine's thread
    StageExchange.lend  one set of Stages, which `update` cannot exchange meanwhile
    PictureMaker        the stages in order: Frame and Stages to Layers, and these to Rendered
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from greenroom.engine.picture import PictureMaker, Stages
from greenroom.engine.render import Rendered, gray, halved, view_halvings
from greenroom.engine.stages import StageExchange
from greenroom.engine.worker import Supervisor
from greenroom.errors import ProcessingError
from greenroom.matting import create_matting
from greenroom.media.colour import COVER_RGB
from greenroom.media.frame import Frame
from greenroom.media.timings import Timings
from greenroom.settings import OnFailure, Settings

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from types import TracebackType

    from numpy.typing import NDArray

    from greenroom.cuda import Device
    from greenroom.matting import Cadence, Matting
    from greenroom.matting.clean_plate import CleanPlate
    from greenroom.media.layout import Layout
    from greenroom.media.matte import Matte
    from greenroom.segmenters import Segmenter, SegmenterInfo

__all__ = ["Rendered", "VirtualBackground"]

logger = logging.getLogger(__name__)

# Time-out of a cover for the background, which a frame may be using.
_COVER_TIMEOUT_S = 0.1


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
    load : callable, optional
        Makes the segmenter for settings, which adds its stages to timings; that of the setting
        ``model`` if it is not given.
    compute : Device, optional
        Where what is full-size is computed, such as `greenroom.cuda.CupyDevice`: for this engine
        alone, and without a proof that it computes what the processor does. If it is not given,
        the setting ``device`` says where.
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
    `process` raises; with ``"cover"`` it returns the background alone, as `render` always does.
    The work is done on a thread of the engine, so that a frame that takes longer than
    ``timeout_s`` can be given up: its late result is never shown.

    With the devices ``cuda`` and ``tensorrt``, and with ``auto`` where there is a GPU of NVIDIA's
    and CuPy, the engine's own work is done there once it has proved to give what the processor
    gives. Otherwise the processor does it, and `notices` says why where a device was named. Should
    it fail later, the processor takes over with ``auto``; one that was named is a frame that fails.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        segmenter: Segmenter | None = None,
        matting: Callable[[Settings, Segmenter], Matting] = create_matting,
        load: Callable[[Settings, Timings], Segmenter] | None = None,
        compute: Device | None = None,
        **values: Any,
    ) -> None:
        settings = (settings or Settings()).changed(**values)
        self.timings = Timings()
        self._maker = PictureMaker(self.timings)
        self._exchange = StageExchange(
            settings, segmenter, matting, load, self._maker, compute=compute
        )
        self._supervisor: Supervisor[Rendered] = Supervisor()
        self._matte: Matte | None = None
        self._reason = ""  # for the last cover; empty after a valid frame
        self.failures = 0

    @property
    def cadence(self) -> Cadence:
        """Inference cadence: the quality's default until it is set.

        With quality ``balanced`` the model runs on every fourth frame while the picture is calm,
        otherwise on all of them. It may be changed on any thread, from the next frame on.
        """
        return self._maker.cadence or self._exchange.stages.matting.cadence

    @cadence.setter
    def cadence(self, cadence: Cadence) -> None:
        self._maker.cadence = cadence

    @property
    def second_every(self) -> int | None:
        """Frames from one look of a model's larger member to the next, on a thread of its own.

        With 0 it does not look. With None, as by default, both members look at every frame, and
        the frame waits for both. Of a model of one member nothing is changed. It may be changed on
        any thread, from the next frame on.
        """
        return self._maker.second_every

    @second_every.setter
    def second_every(self, every: int | None) -> None:
        self._maker.second_every = every

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._exchange.stages.settings

    @property
    def info(self) -> SegmenterInfo:
        """The running model, its file, runtime and device."""
        return self._exchange.stages.segmenter.info

    @property
    def compute(self) -> str:
        """Where the engine's own work is done: ``cpu``, or a GPU such as ``CUDA device 0``."""
        return self._exchange.stages.compute.name

    @property
    def ran_on(self) -> str:
        """Which model ran, by which library and where, and where the rest was done if not there."""
        info, compute = self.info, self.compute
        rest = "" if compute == "cpu" else f"; the rest on {compute}"
        return f"{info.model} on {info.runtime}, {info.device}{rest}"

    @property
    def matte(self) -> NDArray[np.uint8] | None:
        """The matte of the last frame, (H, W) uint8; None before the first and after a failure.

        It belongs to the input frame, before framing and mirroring. Every frame has memory of its
        own. Read only.
        """
        return None if self._matte is None else self._matte.downloaded().values

    def sampled_matte(self, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Return evenly spaced samples of `matte`, in new memory; None where that is None.

        It costs little, where ``matte`` may have to be made at full size first.
        """
        return None if self._matte is None else self._matte.sampled(shape)

    @property
    def clean_plate(self) -> CleanPlate | None:
        """The clean plate learned so far; None if the model does not need one.

        It changes with every frame, so read it between frames only.
        """
        return self._exchange.stages.matting.plate

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The thread on which frames are made."""
        return self._supervisor.threads

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices to the user about settings that have no effect yet, as sentences.

        Such as where nothing is kept of the room yet, or the GPU that was named cannot be used.
        May be read on any thread.
        """
        stages = self._exchange.stages
        return (*stages.matting.notices, *filter(None, (stages.compute.notice,)))

    def process(self, frame: Frame, *, leave: Callable[[Frame], Frame] | None = None) -> Frame:
        """Replace the background of a frame.

        Parameters
        ----------
        frame : Frame
            Read only; not kept. It may be on a device.
        leave : callable, optional
            For a result on a device, called on the thread that uses the device: what it returns
            is the result, such as the same frame, which then stays there
            (``leave=lambda made: made``), and is finished. If it is not given, the result is
            downloaded. What the processor makes, and a cover, is in the host's memory.

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
        make = partial(self._maker.picture, frame, leave=leave)
        return self._guarded(frame, make, self._covering, self._on_failure).frame

    def render(self, frame: Frame, views: frozenset[str] = frozenset()) -> Rendered:
        """Replace the background of a frame, or cover it, for live use.

        Parameters
        ----------
        frame : Frame
            Read only; not kept.
        views : set of str
            What else to make of it, out of ``after``, ``before`` and ``matte``.

        Returns
        -------
        Rendered
            It says whether it is the cover and why, whatever ``on_failure`` is. Planes of its
            frame may be read-only. Of a frame that
            is covered ``after`` is the cover, ``matte`` is black, and there is no ``before``.
        """
        return self._guarded(
            frame,
            partial(self._maker.picture, frame, views=views, is_read_only=True),
            partial(self._covering, views=views),
            OnFailure.COVER,
        )

    def process_matte(self, frame: Frame) -> Frame:
        """Return the matte of a frame as a gray frame, full range, of the frame's time.

        Raises
        ------
        ProcessingError
            As in `process`; the cover of a matte is black.
        """
        make = partial(self._maker.matte, frame)
        return self._guarded(frame, make, _black, self._on_failure).frame

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

    def _guarded(
        self,
        frame: Frame,
        make: Callable[[Stages], Rendered],
        cover: Callable[[Frame], Rendered],
        on_failure: OnFailure,
    ) -> Rendered:
        """Apply the fail-closed rule: the one place that decides what leaves.

        ``make`` never returns the frame's pixels other than through its matte (or by the
        user's word ``none``); when it fails, only ``cover``, which does not see them,
        can make a result.
        """
        self._matte = None
        try:
            self._exchange.check_open()
            self._exchange.size = frame.size
            work = partial(self._exchange.lend, make)
            rendered = self._supervisor.run(work, self.settings.timeout_s)
        except Exception as error:  # whatever it is, the frame stays in
            self.failures += 1
            reason = _sentence(error)
            if on_failure is OnFailure.STOP:
                where = "" if frame.time_s is None else f" at {frame.time_s:.3f} s"
                message = f"the frame{where} could not be processed: {reason}"
                raise ProcessingError(message) from error
            if reason != self._reason:  # once, not for every frame
                logger.warning("a frame is covered: %s", reason)
            self._reason = reason
            return replace(cover(frame), valid=False, error=reason)
        self._matte, self._reason = rendered.matte, ""
        return rendered

    @property
    def _on_failure(self) -> OnFailure:
        return OnFailure.STOP if self._exchange.closed else self.settings.on_failure

    def cover(self, layout: Layout, time_s: float) -> Frame:
        """Render the cover, which is shown instead of a frame.

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
        if self._maker.clock.used.acquire(timeout=_COVER_TIMEOUT_S):  # not if a frame hangs in it
            try:
                stages = self._exchange.stages
                made = stages.background.cover(layout, self._maker.clock.time_s(time_s)).copy()
                if stages.overlay is not None:
                    stages.overlay.draw(made)
                cover = made
            except Exception as error:  # noqa: BLE001 - the colour remains
                logger.warning("the background cannot be shown either: %s", _sentence(error))
            finally:
                self._maker.clock.used.release()
        return cover

    def _covering(self, frame: Frame, views: frozenset[str] = frozenset()) -> Rendered:
        """Render the cover and its views from the layout and time of a frame only."""
        cover = self.cover(frame.layout, frame.time_s or 0.0).at(frame)
        covering = Rendered(cover)
        small = halved(cover, view_halvings(cover.layout))
        if "after" in views:
            covering.views["after"] = small
        if "matte" in views:
            covering.views["matte"] = gray(np.zeros_like(small.planes[0]), frame)
        return covering

    def update(self, **values: Any) -> None:
        """Change settings while running: all of them between two frames, or none.

        What is new is built here, on the caller's thread; frames go on meanwhile.

        Raises
        ------
        SettingsError, BackgroundError, ModelError
            As on creation; the settings in force stay.
        ProcessingError
            If the engine is closed.
        """
        self._exchange.update(**values)

    def check(self, size: tuple[int, int]) -> None:
        """Reject a frame size that does not fit the settings in force.

        May be called on any thread.

        Raises
        ------
        SettingsError
            If a picture of the room is of another shape, or a marked region lies outside.
        """
        self._exchange.stages.matting.check(size)

    def reset(self) -> None:
        """Forget earlier frames: call it between unrelated pictures."""
        self._matte = None
        self._exchange.reset()

    def resume(self, start_s: float, background_s: float = 0.0) -> None:
        """Take the next frames for a part of a longer video, whose first frame was earlier.

        A background that moves is then where it would be. Everything else is learned from the
        frames themselves: give some before the part, and leave out their results.

        Parameters
        ----------
        start_s : float
            Time of the video's first frame, by the clock of the frames.
        background_s : float
            Time since then at which the background last began: after a gap in the video of more
            than 10 s, a video as the background begins anew.
        """
        self._exchange.resume(start_s, background_s)

    def close(self) -> None:
        """Release the model and the background; hung threads are abandoned."""
        if self._exchange.closed:
            return
        self._exchange.tell_to_close()
        if self._supervisor.close():
            self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _black(frame: Frame) -> Rendered:
    width, height = frame.size
    return Rendered(gray(np.zeros((height, width), np.uint8), frame))


def _sentence(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, (ValueError, OSError)) or type(error).__module__.startswith("greenroom"):
        return text
    return f"{type(error).__name__}: {text}"
