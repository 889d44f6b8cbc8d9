"""What a background is."""

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
    """Makes what is put behind the person. Called on one thread.

    What it returns is read only and may be returned again; it is never shown as it is,
    only through the compositor or as a copy.
    """

    needs_matte: ClassVar[bool] = True
    """Whether the person has to be found at all."""

    shows_room: ClassVar[bool] = False
    """Whether the room can be recognised: by the user's own word, and not a moment longer."""

    @abstractmethod
    def render(self, frame: Frame, matte: Matte, time_s: float) -> Frame:
        """Return what is behind the person, in the frame's layout.

        Parameters
        ----------
        frame : Frame
            What the camera saw. Read only, and not to be kept.
        matte : Matte
            Of that frame.
        time_s : float
            Time since the first frame.

        Raises
        ------
        BackgroundError
            If the background cannot be read any more.
        """

    def cover(self, layout: Layout, time_s: float) -> Frame:
        """Return what is shown instead of a frame: never made from the camera's pixels."""
        return Frame.filled(layout, COVER_RGB)

    def reset(self) -> None:
        """Forget earlier frames."""

    def close(self) -> None:
        """Release files."""


class Scene(Background):
    """A background that does not depend on the camera's picture.

    A frame that it has returned never changes: what moves is shown by others. Of results it is
    remembered which they show, and that is not written again.
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
