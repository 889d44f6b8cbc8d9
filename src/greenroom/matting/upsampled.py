"""Matting for models that make mattes themselves, and see whole frames in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenroom.cuda import calls
from greenroom.matting.cadence import Cadence, Rest
from greenroom.matting.matting import Matting
from greenroom.matting.shaping import hardened, shifted, softened
from greenroom.media.matte import Matte
from greenroom.media.resampling import upsample

if TYPE_CHECKING:
    from greenroom.matting.matting import Look
    from greenroom.media.frame import Frame
    from greenroom.settings import Settings

__all__ = ["UpsampledMatting"]


class UpsampledMatting(Matting):
    """Enlarges a model's matte bilinearly, and shapes its edge.

    Parameters
    ----------
    settings : Settings
        Edge and threshold.
    remembers : bool
        Whether the model remembers earlier frames: then it sees every one, whatever the cadence.

    Latency: none. State: the last matte, for cadences other than every frame. Answers are not
    followed from frame to frame: that would lose the detail that these models are chosen for.
    """

    takes_device_mattes = True

    def __init__(self, settings: Settings, *, remembers: bool = True) -> None:
        self._settings = settings
        self._remembers = remembers
        self._rest = Rest()
        self.cadence = Cadence.EVERY

    def matte(self, frame: Frame, look: Look) -> Matte:
        """See `Matting.matte`."""
        cadence = Cadence.EVERY if self._remembers else self.cadence
        return self._rest.matte(frame, cadence, lambda: self._make(frame, look))

    def matte_there(self, frame: Frame, there: Frame, look: Look) -> Matte:  # noqa: ARG002
        """See `Matting.matte_there`: all of it is made on the device."""
        return self.matte(there, look)

    def _make(self, frame: Frame, look: Look) -> Matte:
        settings = self._settings
        coarse: Any = look(frame)
        if settings.edge_shift or settings.edge_softness:
            (coarse,) = calls.on_host(coarse)
            coarse = shifted(coarse, settings.edge_shift / 100, frame.size)
            coarse = softened(coarse, settings.edge_softness / 100, frame.size)
        values = calls.empty(frame.layout.plane_shapes[0], frame.planes[0])
        if frame.device is not None and not calls.on_device(coarse):
            (coarse,) = frame.device.upload(coarse)
        upsample(coarse, values)
        return Matte(hardened(values, settings.threshold))

    def reset(self) -> None:
        """See `Matting.reset`."""
        self._rest.reset()
