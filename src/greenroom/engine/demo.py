"""A person to demonstrate with: a photograph that the engine cuts out, moving before a room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenroom.engine.engine import VirtualBackground
from greenroom.errors import ProcessingError
from greenroom.sources.demo_portrait import draw_portrait
from greenroom.sources.demo_source import DemoSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from greenroom.settings import Settings

__all__ = ["demo_source", "portrait_photograph"]


def portrait_photograph() -> NDArray[np.uint8] | None:
    """Return the portrait of an astronaut that scikit-image carries (NASA, public domain).

    Returns
    -------
    (H, W, 3) uint8 or None
        RGB; None where scikit-image is not installed.
    """
    try:
        from skimage.data import astronaut  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    photograph: NDArray[np.uint8] = astronaut()
    return photograph


def demo_source(settings: Settings, frames: int, **otherwise: Any) -> DemoSource:
    """Return a source that shows a person moving before a drawn room.

    The person is a photograph, cut out, where scikit-image is installed, which carries one;
    otherwise the person is drawn too.

    Parameters
    ----------
    settings : Settings
        The model that cuts the person out, and its edges.
    frames : int
        Number of frames.
    **otherwise
        Other parameters of `DemoSource`.

    Raises
    ------
    ProcessingError
        If the photograph cannot be cut out.
    """
    portrait = portrait_photograph()
    if portrait is None:
        return DemoSource(*draw_portrait(), frames=frames, **otherwise)
    with VirtualBackground(settings, background="transparent", edge_shift=-0.4) as engine:
        engine.process_rgb(portrait)
        matte = engine.matte
    if matte is None:  # such as with on_failure="cover"
        message = "the person of the demonstration could not be cut out."
        raise ProcessingError(message)
    return DemoSource(portrait, matte, frames=frames, **otherwise)
