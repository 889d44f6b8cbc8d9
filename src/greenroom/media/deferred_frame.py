"""Frames on a device that are downloaded only if somebody needs their samples."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from greenroom.media.frame import Frame

if TYPE_CHECKING:
    from greenroom.cuda import Device
    from greenroom.media.frame import Memory, Plane

__all__ = ["DeferredFrame", "HostFrame"]


class HostFrame(Frame):
    """A frame of the host's whose samples are elsewhere until somebody looks at them."""

    def _downloaded(self) -> Frame:
        """Return the frame in the host's memory; called once."""
        raise NotImplementedError

    @cached_property
    def _host(self) -> Frame:
        return self._downloaded()

    @cached_property
    def planes(self) -> tuple[Plane, ...]:
        """The planes in the host's memory."""
        return self._host.planes

    @cached_property
    def alpha(self) -> Plane | None:
        """Alpha in the host's memory, if there is one."""
        return self._host.alpha

    @cached_property
    def _memory(self) -> Memory | None:
        return self._host.memory

    @property
    def device(self) -> Device | None:
        """None: its planes are the host's."""
        return None


class DeferredFrame(HostFrame):
    """A frame on a device, as a frame of the host's.

    Its planes are downloaded, all together, when somebody first looks at one. Small planes can be
    taken without that, see `Frame.take_small_planes`.
    """

    # None in frames that were made of this one's planes, such as a part.
    _there: Frame | None = None

    @classmethod
    def of(cls, there: Frame) -> DeferredFrame:
        """Return a frame of the host's for one on a device, which nobody writes to any more."""
        frame = object.__new__(cls)
        vars(frame).update(
            _there=there,
            layout=there.layout,
            pts=there.pts,
            time_base=there.time_base,
            duration=there.duration,
        )
        return frame

    def _downloaded(self) -> Frame:
        assert self._there is not None
        return self._there.downloaded()

    def uploaded(self, device: Device) -> Frame:
        """Return the frame with its planes on a device: as it was, if that is the one."""
        there = self._there
        if there is None or there.device is not device:
            return super().uploaded(device)
        return there
