"""The contract of a matting stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from greenroom.matting.cadence import Cadence
    from greenroom.matting.clean_plate import CleanPlate
    from greenroom.media.frame import Frame
    from greenroom.media.matte import Matte
    from greenroom.segmenters.second_model import SecondModel

    Look: TypeAlias = Callable[[Frame], NDArray[np.float32]]

__all__ = ["Look", "Matting"]


class Matting(ABC):
    """Makes the matte of a frame from a model's answers. Called on one thread.

    Attributes
    ----------
    cadence : Cadence
        The frames for which the model looks; may be changed between any two.
    takes_device_mattes : bool
        Whether what a look at a frame on a device returns may be there, too, not as by default.
    second : SecondModel or None
        Looks at some of the frames, too, where answers are refined; likewise.
    """

    takes_device_mattes: bool = False

    cadence: Cadence
    second: SecondModel | None = None

    @property
    def plate(self) -> CleanPlate | None:
        """The clean plate learned so far; None if there is none."""
        return None

    @property
    def notices(self) -> tuple[str, ...]:
        """Hints about settings that have no effect yet, as sentences. May be read on any thread."""
        return ()

    def check(self, size: tuple[int, int]) -> None:
        """Check that the settings fit frames of a size (width, height).

        May be called on any thread.

        Raises
        ------
        SettingsError
            If a picture of the room is of another shape, or a marked region lies outside.
        """

    @property
    def exempt(self) -> NDArray[np.float32] | None:
        """Parts of the last matte that differ from the model's answer by the user's settings.

        Above 0 where the room is kept or somebody is left out, on a grid of any size; None if
        there are none. Read only.
        """
        return None

    @abstractmethod
    def matte(self, frame: Frame, look: Look) -> Matte:
        """Return a matte of the frame's size, in new memory.

        Parameters
        ----------
        frame : Frame
            Read only, and not to be kept after the call.
        look : callable
            Asks the model about a frame, which may be a part of this one: returns coverage
            (h, w) float32 in 0..1, of any size, that stands for what it was shown.
        """

    def matte_there(self, frame: Frame, there: Frame, look: Look) -> Matte:  # noqa: ARG002
        """Return a matte of a frame that is also on a device, where the matte is wanted.

        By default it is made of the frame in the host's memory, and is there.

        Parameters
        ----------
        frame, there : Frame
            The same frame, with planes of NumPy's and of the device. Read only, and not to be
            kept after the call. Those of NumPy's may be downloaded, all of them, when one is
            first looked at.
        look : callable
            See `matte`; it takes parts of either.
        """
        return self.matte(frame, look)

    def take_over(self, previous: Matting) -> None:
        """Continue where another matting of the same stream is, as far as that is useful."""

    @abstractmethod
    def reset(self) -> None:
        """Forget earlier frames."""
