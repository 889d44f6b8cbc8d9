"""The stages in force, and their replacement between two frames."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from greenroom.backgrounds import create_background
from greenroom.effects import create_overlay
from greenroom.engine.compute import Compute
from greenroom.engine.device_selection import choose, forget_proof
from greenroom.engine.picture import Stages
from greenroom.errors import DeviceError, GreenroomError, ProcessingError, SettingsError
from greenroom.segmenters import Segmenter, create_segmenter
from greenroom.settings import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.backgrounds import Background
    from greenroom.cuda import Device
    from greenroom.engine.picture import PictureMaker
    from greenroom.matting import Matting
    from greenroom.media.timings import Timings
    from greenroom.settings import Settings

__all__ = ["StageExchange"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Time-out of closing for a cover that is being rendered.
_COVER_TIMEOUT_S: Final = 0.5


class StageExchange:
    """Builds stages, gives them to one frame at a time, and closes what was replaced.

    What is new is built on the caller's thread. What has to happen between two frames happens at
    once while there is none, as under a cover, and otherwise before the next.

    Parameters
    ----------
    settings : Settings
        In force first.
    segmenter : Segmenter or None
        Used whatever the settings name, and closed at the end; None to have it created.
    create_matting : callable
        Makes the matting for settings and a segmenter.
    load : callable or None
        Makes the segmenter for settings; its stages go into the timings. None for the model that
        they name.
    maker : PictureMaker
        Its effects forget earlier frames where that is due, and its clock is held while a
        background is closed or begins anew.
    compute : Device, optional
        Where frames are processed, whatever the settings say; None leaves that to them.

    Attributes
    ----------
    stages : Stages
        In force; replaced as a whole.
    closed : bool
        Whether it is closed.
    size : tuple of int or None
        Width and height of the frames of this stream; what is new has to fit them.

    Raises
    ------
    SettingsError, BackgroundError, ModelError
        If what the settings name cannot be loaded.

    State: the stages, and what waits for the end of a frame.
    """

    def __init__(
        self,
        settings: Settings,
        segmenter: Segmenter | None,
        create_matting: Callable[[Settings, Segmenter], Matting],
        load: Callable[[Settings, Timings], Segmenter] | None,
        maker: PictureMaker,
        *,
        compute: Device | None = None,
    ) -> None:
        self._maker = maker
        self._clock = maker.clock
        self._create_matting = create_matting
        self._load_segmenter = load
        self._own_segmenter = segmenter is None
        self._own_compute = compute is None
        self._failed: Compute | None = None
        self._updating = threading.Lock()  # held while new stages are built
        self._in_frame = threading.Lock()  # held while a frame is processed
        self._lock = threading.Lock()  # of the attributes below
        self._waiting: list[Callable[[], None]] = []
        self._fault: Exception | None = None  # of a waiting action; raised by the next frame
        self.closed = False
        self.size: tuple[int, int] | None = None
        background, overlay = create_background(settings), create_overlay(settings.overlay)
        placed = choose(settings.device) if compute is None else Compute(compute)
        segmenter = self._load(settings, placed) if segmenter is None else _checked(segmenter)
        matting = create_matting(settings, segmenter)
        self.stages = Stages(settings, segmenter, matting, background, overlay, placed)

    def lend(self, make: Callable[[Stages], T]) -> T:
        """Process a frame with the stages in force; none is exchanged meanwhile."""
        try:
            with self._in_frame:
                stages = self._settled()
                fault, self._fault = self._fault, None
                if fault is not None:
                    raise fault
                try:
                    return make(stages)
                except Exception as error:
                    if stages.compute.device is None or not _may_be_of_device(error):
                        raise
                    forget_proof()
                    if not stages.compute.is_replaceable:
                        raise
                    stages = self._leave_device(stages, error)
                return make(stages)
        finally:
            self._settle_if_idle()

    def update(self, **values: Any) -> None:
        """Change settings: all of them between two frames, or none.

        Raises
        ------
        SettingsError, BackgroundError, ModelError
            As on creation; the settings in force stay.
        ProcessingError
            If this is closed.
        """
        with self._updating:
            self.check_open()
            old = self.stages
            settings = old.settings.changed(**values)
            changed = {name for name in values if values[name] != getattr(old.settings, name)}
            new = self._built(settings, changed, old)
            with self._lock:
                is_late = self.closed
                if not is_late:
                    self.stages = new
                    self._waiting += self._steps_to(new, old)
            if is_late:  # nobody else closes what is new
                if new.segmenter is not old.segmenter:
                    new.segmenter.close()
                if new.background is not old.background:
                    new.background.close()
                self.check_open()
        self._settle_if_idle()

    def reset(self) -> None:
        """Have all stages forget earlier frames."""
        self.size = None
        with self._lock:
            if self.closed:
                return
            self._waiting += [self._forget, self._forget_background]
        self._settle_if_idle()

    def resume(self, start_s: float, background_s: float) -> None:
        """Have the background go on as `VirtualBackground.resume` says."""

        def go_on() -> None:
            self.stages.background.resume(background_s)
            self._clock.begin(start_s)

        with self._lock:
            self._waiting.append(partial(self._with_background, go_on))
        self._settle_if_idle()

    def check_open(self) -> None:
        """Raise `ProcessingError` if this is closed."""
        if self.closed:
            message = "this engine is closed. Make another one."
            raise ProcessingError(message)

    def tell_to_close(self) -> None:
        """Refuse further frames and changes."""
        with self._lock:
            self.closed = True

    def close(self) -> None:
        """Close the stages in force; no frame may be in the making."""
        self.tell_to_close()
        if self._clock.used.acquire(timeout=_COVER_TIMEOUT_S):  # wait for a cover being rendered
            self._clock.used.release()
        with self._in_frame:
            stages = self._settled()
            stages.segmenter.close()
            self._leave(stages.background)

    def _built(self, settings: Settings, changed: set[str], old: Stages) -> Stages:
        """Rebuild the stages that changed settings affect, and reuse the others."""
        stages = {settings.about(name).stage for name in changed}
        overlay = create_overlay(settings.overlay) if Stage.OVERLAY in stages else old.overlay
        with ExitStack() as on_failure:
            background, segmenter, matting = old.background, old.segmenter, old.matting
            compute = old.compute
            if self._own_compute and "device" in changed:
                compute = choose(settings.device)
            if Stage.BACKGROUND in stages:
                background = create_background(settings)
                on_failure.callback(background.close)
            if self._own_segmenter and Stage.SEGMENTER in stages:
                segmenter = self._load(settings, compute)
                on_failure.callback(segmenter.close)
            if segmenter is not old.segmenter or Stage.MATTING in stages:
                matting = self._create_matting(settings, segmenter)
                if self.size is not None:
                    matting.check(self.size)
            on_failure.pop_all()
        return Stages(settings, segmenter, matting, background, overlay, compute)

    def _steps_to(self, new: Stages, old: Stages) -> list[Callable[[], None]]:
        """Return the actions to run between two frames."""
        steps: list[Callable[[], None]] = []
        if new.segmenter is not old.segmenter:
            steps.append(partial(_close, old.segmenter))
        elif new.matting is not old.matting:
            steps.append(partial(new.matting.take_over, old.matting))
        if new.background is not old.background:
            steps.append(partial(self._leave, old.background))
        if new.settings.framing is not old.settings.framing:
            steps.append(self._maker.framing.reset)
        if new.settings.low_light and not old.settings.low_light:
            steps.append(self._maker.low_light.reset)  # it has not seen recent frames
        if new.compute is not old.compute:
            steps.append(self._forget)  # what is remembered may be arrays of the device before
        return steps

    def _leave_device(self, stages: Stages, error: Exception) -> Stages:
        """Have the processor do a failed device's work, from the frame that failed on."""
        said = str(error)
        if not isinstance(error, DeviceError):
            said = f"{stages.compute.name} failed: {type(error).__name__}: {said}"
        notice = f"{said}. The processor does its work from now on."
        logger.warning("%s", notice)
        # Freed with the engine: to free what a lost device holds can end the process.
        self._failed = stages.compute
        host = Compute(notice=notice)
        with self._lock:
            self.stages = replace(self.stages, compute=host)
        stages = replace(stages, compute=host)
        self._forget_in(stages)
        return stages

    def _load(self, settings: Settings, compute: Compute) -> Segmenter:
        timings = self._maker.timings
        if self._load_segmenter is not None:
            return self._load_segmenter(settings, timings)
        if compute.device is None:
            return create_segmenter(settings, timings)
        return create_segmenter(settings, timings, compute.device)

    def _settle_if_idle(self) -> None:
        """Run the waiting actions; if a frame is in progress, its end runs them."""
        if not self._waiting:
            return
        if threading.current_thread() is threading.main_thread():
            # KeyboardInterrupt comes there, also between a lock that was taken and the next step:
            # it would be held for good, and no frame be made any more.
            thread = threading.Thread(target=self._settle_now, name="greenroom-exchange")
            thread.start()
            thread.join()
        else:
            self._settle_now()

    def _settle_now(self) -> None:
        for _ in range(2):  # more actions may have been added meanwhile
            if not self._waiting or not self._in_frame.acquire(blocking=False):
                return
            try:
                self._settled()
            finally:
                self._in_frame.release()

    def _settled(self) -> Stages:
        """Run the waiting actions; return the stages in force after them."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            stages = self.stages
        for action in waiting:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - raised by the next frame
                self._fault = self._fault or error
        return stages

    def _leave(self, background: Background) -> None:
        """Close a replaced background, or defer that while a cover is rendered from it."""
        self._with_background(partial(_close, background))

    def _forget(self) -> None:
        self._forget_in(self.stages)

    def _forget_in(self, stages: Stages) -> None:
        with ExitStack() as all_of_them:  # each runs even if another fails
            all_of_them.callback(self._maker.reset)
            all_of_them.callback(stages.matting.reset)
            all_of_them.callback(stages.segmenter.reset)

    def _forget_background(self) -> None:
        def begin_anew() -> None:
            self.stages.background.reset()
            self._clock.reset()

        self._with_background(begin_anew)

    def _with_background(self, work: Callable[[], None]) -> None:
        """Run an action that needs the background, or defer it while a cover is rendered."""
        if not self._clock.used.acquire(blocking=False):
            with self._lock:
                self._waiting.append(partial(self._with_background, work))
            return
        try:
            work()
        finally:
            self._clock.used.release()


def _checked(segmenter: object) -> Segmenter:
    """Return a segmenter of the user's; raise for anything else."""
    if isinstance(segmenter, Segmenter):
        return segmenter
    message = (
        f"'{type(segmenter).__name__}' is no segmenter: expected an object of a class that is "
        "derived from greenroom.segmenters.Segmenter."
    )
    raise SettingsError(message)


def _may_be_of_device(error: Exception) -> bool:
    """Whether the processor may do better: not if a model or a background says what is wrong."""
    return isinstance(error, DeviceError) or not isinstance(error, GreenroomError)


def _close(stage: Segmenter | Background) -> None:
    """Close a replaced stage; errors are logged and affect no frame."""
    try:
        stage.close()
    except Exception as error:
        logger.exception("a stage could not be closed: %s", error)
