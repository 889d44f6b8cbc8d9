"""The models that can be named, and where their weights are."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from greenroom.errors import ModelError, SettingsError
from greenroom.segmenters.litert import LiteRTRuntime
from greenroom.segmenters.network import NetworkSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from greenroom.frames import Frame
    from greenroom.segmenters.base import Segmenter, SegmenterInfo
    from greenroom.timings import Timings

__all__ = ["CARDS", "Card", "create_segmenter"]


@dataclass(frozen=True, slots=True)
class Card:
    """A model as data: where its weights are, what they are, and under which licence.

    The input is RGB in 0..1, height x width x 3, stretched to the model's size; the
    output is one channel of coverage in 0..1.
    """

    name: str
    description: str
    file: str
    licence: str

    @property
    def path(self) -> Path:
        """Where the embedded weights are.

        Raises
        ------
        ModelError
            If they are not there, which means a broken installation.
        """
        path = Path(str(resources.files("greenroom.segmenters"))) / "embedded" / self.file
        if not path.is_file():
            message = (
                f"the weights of model '{self.name}' are missing from the installation: expected "
                f"'{path}'. Install greenroom again with pip."
            )
            raise ModelError(message, path)
        return path


CARDS: Final[Mapping[str, Card]] = MappingProxyType(
    {
        card.name: card
        for card in (
            Card(
                "selfie-general",
                "MediaPipe selfie segmentation, 256x256",
                "selfie_general.tflite",
                "Apache-2.0",
            ),
            Card(
                "selfie-landscape",
                "MediaPipe selfie segmentation for wide pictures, 256x144",
                "selfie_landscape.tflite",
                "Apache-2.0",
            ),
        )
    }
)

# From this width by height on the landscape model is at least as good (docs/quality.md).
LANDSCAPE_FROM: Final = 2.0


def create_segmenter(model: str, *, threads: int = 1, timings: Timings | None = None) -> Segmenter:
    """Make the segmenter of a name.

    Raises
    ------
    SettingsError
        If no model has that name.
    ModelError
        If its weights are missing or cannot be loaded.
    """
    if model in CARDS:
        return _load(CARDS[model], threads, timings)
    if model == "selfie":
        return ByShape(partial(_load, threads=threads, timings=timings))
    names = ["selfie", *CARDS]
    near = difflib.get_close_matches(model, names, n=1, cutoff=0.3)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)}."
    message = f"unknown model '{model}': {hint}"
    raise SettingsError(message, "model")


def _load(card: Card, threads: int, timings: Timings | None) -> Segmenter:
    return NetworkSegmenter(card.name, LiteRTRuntime(card.path, threads=threads), timings)


class ByShape:
    """Chooses between the selfie models by the shape of each frame; loads what it needs.

    State: the models loaded so far.
    """

    def __init__(self, load: Callable[[Card], Segmenter]) -> None:
        self._load = cache(load)
        self._current = self._choose("selfie-general")

    @property
    def info(self) -> SegmenterInfo:
        """The model that ran last."""
        return self._current.info

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        wide = frame.layout.width >= LANDSCAPE_FROM * frame.layout.height
        self._current = self._choose("selfie-landscape" if wide else "selfie-general")
        return self._current.segment(frame)

    def reset(self) -> None:
        """See `Segmenter.reset`."""
        self._current.reset()

    def close(self) -> None:
        """See `Segmenter.close`."""
        self._current.close()
        self._load.cache_clear()

    def _choose(self, name: str) -> Segmenter:
        return self._load(CARDS[name])
