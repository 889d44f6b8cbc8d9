"""Demand for frames: whether anybody is watching, so the camera can be closed otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greenroom.live.outlets import Outlet
    from greenroom.live.previews import PreviewHub
    from greenroom.media.clock import Clock

__all__ = ["Demand"]

# The camera stays open this long after the last consumer left: programs close and reopen a camera
# when its settings change.
_LINGER_S: Final = 3.0


class Demand:
    """Asks outlets and previews whether anybody is watching.

    State: when somebody looked last.
    """

    def __init__(self, outlets: Sequence[Outlet], previews: PreviewHub, clock: Clock) -> None:
        self._outlets = outlets
        self._previews = previews
        self._clock = clock
        self._looked_s = clock.now()
        self.asleep = False
        """Whether nobody has looked for a while."""

    def wanted(self) -> bool:
        """Whether frames are wanted now. An outlet that cannot tell counts as watched."""
        looked_at = self._previews.readers > 0 or any(
            outlet.readers() != 0 for outlet in self._outlets
        )
        now_s = self._clock.now()
        if looked_at:
            self._looked_s = now_s
        self.asleep = now_s - self._looked_s > _LINGER_S
        return not self.asleep
