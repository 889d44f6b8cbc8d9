"""One loaded model for many engines: pictures that arrive together go through it as a batch."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self

from greenroom.segmenters.creation import load_model, segmenter_of
from greenroom.segmenters.inspection import card_of_file
from greenroom.segmenters.runtimes.shared_model import SharedModel
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from greenroom.cuda import Device
    from greenroom.media.timings import Timings
    from greenroom.segmenters.card import Card
    from greenroom.segmenters.runtimes.runtime import Runtime
    from greenroom.segmenters.segmenter import Segmenter

__all__ = ["SegmenterPool"]

# Most pictures of a batch, and the longest time for which one waits for others.
_MOST: Final = 16
_WAIT_S: Final = 0.002


class SegmenterPool:
    """Segmenters of one model for many engines, which all run the model that was loaded once.

    Pictures that arrive within two milliseconds go through it as one batch, if the model runs in
    ONNX Runtime on a GPU of NVIDIA's or the processor, and answers the rows of a batch as it
    answers each alone, which is tried when it is loaded; the package ``onnx`` rewrites models whose
    batch is 1. Others take one picture after the other. A picture that no other stream's can join
    does not wait. Of a recurrent model each stream has states of its own.

    It is meant for GPUs. On the processor a batch takes as long as its pictures one after the
    other, and engines with a model each use more processors.

    Parameters
    ----------
    settings : Settings, optional
        As in `greenroom.segmenters.create_segmenter`.
    most : int
        Most pictures of a batch.
    wait_s : float
        Longest time for which a picture waits for those of streams that have asked of late.
    compute : greenroom.cuda.Device, optional
        Gathers the pictures of frames that are on the model's GPU, whatever their own devices are;
        nobody else may use it. Without it they go through the host's memory.
    on_unused : callable, optional
        Called when the last segmenter was closed, on the thread that did. The pool can be used
        again, until it is closed.
    **values
        Single settings by name; they take precedence.

    Raises
    ------
    SettingsError, MissingExtraError, ModelError
        As `create_segmenter`, by `segmenter`.

    All methods may be called on any thread. State: the models, each with a thread, until `close`.

    Examples
    --------
    >>> from greenroom import VirtualBackground
    >>> with SegmenterPool(model="rvm-mobilenetv3", device="cuda") as pool:  # doctest: +SKIP
    ...     engines = [VirtualBackground(segmenter=pool.segmenter()) for _ in range(8)]
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        most: int = _MOST,
        wait_s: float = _WAIT_S,
        compute: Device | None = None,
        on_unused: Callable[[], None] = lambda: None,
        **values: Any,
    ) -> None:
        self._settings = (settings or Settings()).changed(**values)
        self._most, self._wait_s = most, wait_s
        self._compute = compute
        self._on_unused = on_unused
        self._inspect = cache(card_of_file)
        self._lock = threading.Lock()  # a second stream waits rather than load the same
        self._models: dict[str, SharedModel] = {}

    @property
    def count(self) -> int:
        """Number of open segmenters' views of models; a model for each shape counts by itself."""
        with self._lock:
            return sum(model.count for model in self._models.values())

    @property
    def takes_batches(self) -> bool:
        """Whether all models that were loaded so far take batches."""
        with self._lock:
            models = list(self._models.values())
        return bool(models) and all(model.runtime.takes_rows for model in models)

    def segmenter(self, timings: Timings | None = None) -> Segmenter:
        """Return a segmenter for one more stream. The first one loads the model.

        It is used and closed like one of its own, by one engine: its results are its frames' alone,
        and a model that fails or hangs is a fault of each engine that waits for it.

        Parameters
        ----------
        timings : Timings, optional
            Receives its stages.
        """
        return segmenter_of(self._settings, timings, self._stream, self._inspect)

    def close(self) -> None:
        """Release the models. Segmenters that are still open fail from now on."""
        with self._lock:
            models, self._models = self._models, {}
        for model in models.values():
            model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _stream(self, card: Card, path: Path) -> Runtime:
        with self._lock:
            model = self._models.get(card.name)
            if model is None:
                model = self._models[card.name] = SharedModel(
                    load_model(self._settings, card, path, compute=self._compute, in_rows=True),
                    most=self._most,
                    wait_s=self._wait_s,
                    on_unused=self._check_unused,
                )
            return model.stream()

    def _check_unused(self) -> None:
        if not self.count:
            self._on_unused()
