"""The contract of a background."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from greenroom.media.colour import COVER_RGB
from greenroom.media.frame import Frame

if TYPE_CHECKING:
    from greenroom.media.layout import Layout
    from greenroom.media.matte import Matte

__all__ = ["Background", "Scene"]


class Background(ABC):
    """Renders the picture behind the person. Called on one thread.

    The returned frame is read only and may be returned again; it is never shown as it is,
    only through the compositor or as a copy.
    """

    needs_matte: ClassVar[bool] = True
    """Whether a matte is needed at all."""

    shows_room: ClassVar[bool] = False
    """Whether the room is visible, by the user's explicit choice."""

    takes_device_frames: ClassVar[bool] = False
    """Whether planes of frame and matte may be a device's; then so are the picture's."""

    @abstractmethod
    def render(self, frame: Frame, matte: Matte, time_s: float) -> Frame:
        """Return the picture behind the person, in the frame's layout.

        Parameters
        ----------
        frame : Frame
            The camera's frame. Read only, and not to be kept.
        matte : Matte
            Of that frame.
        time_s : float
            Time since the first frame.

        Raises
        ------
        BackgroundError
            If the background can no longer be read.
        """

    def cover(self, layout: Layout, time_s: float) -> Frame:
        """Return the cover shown instead of a frame: never made from the camera's pixels."""
        return Frame.filled(layout, COVER_RGB)

    def reset(self) -> None:
        """Forget earlier frames."""

    def resume(self, since_s: float) -> None:
        """Go on as if it had been shown since a time, although the next picture is the first.

        Parameters
        ----------
        since_s : float
            By the clock of `render`.
        """

    def close(self) -> None:
        """Release files."""


class Scene(Background):
    """A background that does not depend on the camera's picture.

    A returned frame never changes: a moving scene returns new ones. Output frames record which
    one they show, and its tiles are not written again.
    """

    @abstractmethod
    def at(self, layout: Layout, time_s: float) -> Frame:
        """Return the scene at a time, in a layout."""

    def render(self, frame: Frame, matte: Matte, time_s: float) -> Frame:
        """See `Background.render`."""
        return self.at(frame.layout, time_s)

    def cover(self, layout: Layout, time_s: float) -> Frame:
        """See `Background.cover`: the scene itself."""
        return self.at(layout, time_s)
