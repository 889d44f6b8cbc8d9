"""Creation of segmenters from settings: a card by name or path, or a bare model file."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from greenroom.segmenters.catalogue import card_named, required_cards
from greenroom.segmenters.chroma import ChromaSegmenter
from greenroom.segmenters.fused import FusedSegmenter
from greenroom.segmenters.inspection import MODEL_SUFFIXES, card_of_file, runtime_of_file
from greenroom.segmenters.network import NetworkSegmenter, example_inputs, output_names
from greenroom.segmenters.output_decoders import selectable_classes
from greenroom.segmenters.runtimes import check_runtime, load_runtime
from greenroom.segmenters.runtimes.acceleration import Acceleration, GpuOptions
from greenroom.segmenters.runtimes.runtime import check_file
from greenroom.segmenters.runtimes.tensorrt import engine_cache
from greenroom.segmenters.segmenter import Segmenter
from greenroom.segmenters.store import Store, cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from greenroom.cuda import Array, Device
    from greenroom.media.frame import Frame
    from greenroom.media.timings import Timings
    from greenroom.segmenters.card import Card, ChooseSpec, FusionSpec
    from greenroom.segmenters.runtimes.runtime import Runtime
    from greenroom.settings import Settings

    Load = Callable[[Card, Path], Runtime]

__all__ = ["check_model", "classes_of", "create_segmenter", "load_model", "segmenter_of"]


def create_segmenter(
    settings: Settings, timings: Timings | None = None, compute: Device | None = None
) -> Segmenter:
    """Create the segmenter for the settings.

    Parameters
    ----------
    settings : Settings
        ``model`` is a name, a card (``.toml``) or a model file; ``device``, ``keep``,
        ``key_color``, ``threads``, ``models_dir`` and ``accept_license`` apply to it.
    timings : Timings, optional
        Receives its stages.
    compute : greenroom.cuda.Device, optional
        Device of the frames. A model that runs on the same GPU reads and writes its memory.

    Raises
    ------
    SettingsError
        If the model is unknown, or lacks a selected class or the device.
    MissingExtraError
        If its runtime is not installed.
    ModelError
        If its weights are unavailable, cannot be loaded, or do not match the card.
    """
    return segmenter_of(settings, timings, partial(load_model, settings, compute=compute))


def segmenter_of(
    settings: Settings,
    timings: Timings | None,
    load: Load,
    inspect: Callable[[Path], Card] = card_of_file,
) -> Segmenter:
    """Create the segmenter for the settings, as `create_segmenter`, over runtimes made by ``load``.

    ``load`` is called with each card that is used and its file, and returns the runtime, which is
    closed with the segmenter; ``inspect`` with a bare model file, whose card it returns.
    """
    if path := _model_file(settings.model):
        card = inspect(path)
        return _over(load(card, path), card, settings, timings)
    return _of_card(card_named(settings.model), settings, timings, load)


def load_model(
    settings: Settings,
    card: Card,
    path: Path,
    *,
    compute: Device | None = None,
    in_rows: bool = False,
) -> Runtime:
    """Load the model of a card as the settings say.

    With ``in_rows`` it takes batches (`Runtime.run_rows`) where it can, then without CUDA graphs.

    Raises
    ------
    SettingsError, MissingExtraError, ModelError
        As in `create_segmenter`.
    """
    spec = card.input
    states = {} if spec is None else spec.states
    rows = () if spec is None or not in_rows else (spec.name, *states)
    return load_runtime(
        card.runtime,
        path,
        threads=settings.threads,
        device=settings.device,
        outputs=output_names(card),
        states=states,
        member=None if card.file is None else card.file.member,
        example=example_inputs(card, path),
        gpu=GpuOptions(
            Acceleration(card.gpu.half, card.gpu.graph), engine_cache(), cache_folder(card)
        ),
        compute=compute,
        rows=rows,
    )


def check_model(settings: Settings) -> None:
    """Raise for a missing model, or one that cannot run with the settings.

    Nothing is loaded, downloaded or compiled; errors that only loading reveals are left to
    `create_segmenter`.

    Raises
    ------
    SettingsError, MissingExtraError, ModelError
        As in `create_segmenter`.
    """
    if path := _model_file(settings.model):
        check_file(path)
        check_runtime(runtime_of_file(path), settings.device, path.name)
        return
    for card in required_cards(card_named(settings.model)):
        check_runtime(card.runtime, settings.device, card.name)


def classes_of(model: str) -> tuple[str, ...]:
    """Return the selectable classes of a model; none for most models.

    Parameters
    ----------
    model : str
        A name, a card (``.toml``) or a model file.

    Raises
    ------
    SettingsError, MissingExtraError, ModelError
        As in `create_segmenter`.
    """
    path = _model_file(model)
    card = card_of_file(path) if path else required_cards(card_named(model))[0]
    return selectable_classes(card)


def _model_file(model: str) -> Path | None:
    """Return the path of a bare model file; None for names and cards."""
    return Path(model) if model.lower().endswith(MODEL_SUFFIXES) else None


def _of_card(card: Card, settings: Settings, timings: Timings | None, load: Load) -> Segmenter:
    if card.choose is not None:
        return SegmenterByShape(card.choose, lambda part: _of_card(part, settings, timings, load))
    if card.members is not None and card.fusion is not None:
        required_cards(card)  # raises for an unknown member, and for a circle
        members = [
            partial(_of_card, card_named(name), settings, None, load) for name in card.members
        ]
        return _fused(card.name, members, card.fusion, timings)
    if card.runtime == "chroma":
        check_runtime(card.runtime, settings.device, card.name)
        return ChromaSegmenter(settings.key_color, timings)
    path = Store(settings.models_dir).get(card, accept_license=settings.accept_license)
    return _over(load(card, path), card, settings, timings)


def _fused(
    name: str,
    members: Sequence[Callable[[], Segmenter]],
    fusion: FusionSpec,
    timings: Timings | None,
) -> Segmenter:
    """Create a segmenter of two others; what was created is closed if anything fails."""
    with ExitStack() as on_failure:
        created = []
        for create in members:
            created.append(create())
            on_failure.callback(created[-1].close)
        fused = FusedSegmenter(name, (created[0], created[1]), fusion, timings)
        on_failure.pop_all()
    return fused


def _over(
    runtime: Runtime, card: Card, settings: Settings, timings: Timings | None
) -> NetworkSegmenter:
    try:
        return NetworkSegmenter(card, runtime, settings.keep, timings)
    except Exception:
        runtime.close()
        raise


class SegmenterByShape(Segmenter):
    """Choice between two models by the aspect ratio of each frame; both are loaded on demand.

    Parameters
    ----------
    choose : ChooseSpec
        The models, and the aspect ratio from which to switch.
    load : callable
        Creates the segmenter of a card.

    State: the models loaded so far.
    """

    def __init__(self, choose: ChooseSpec, load: Callable[[Card], Segmenter]) -> None:
        self._choose = choose
        self._load = load
        self._loaded: dict[str, Segmenter] = {}
        self._use(choose.otherwise)

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        self._use_for(frame)
        return self._current.segment(frame)

    def segment_there(self, frame: Frame) -> Array:
        """See `Segmenter.segment_there`."""
        self._use_for(frame)
        return self._current.segment_there(frame)

    def foreground(self, frame: Frame) -> Frame | None:
        """See `Segmenter.foreground`."""
        return self._current.foreground(frame)

    def reset(self) -> None:
        """See `Segmenter.reset`."""
        for segmenter in self._loaded.values():
            segmenter.reset()

    def close(self) -> None:
        """See `Segmenter.close`."""
        for segmenter in self._loaded.values():
            segmenter.close()
        self._loaded.clear()

    def _use_for(self, frame: Frame) -> None:
        wide = frame.layout.width >= self._choose.wide_from * frame.layout.height
        self._use(self._choose.wide if wide else self._choose.otherwise)

    def _use(self, name: str) -> None:
        if name not in self._loaded:
            self._loaded[name] = self._load(card_named(name))
        self._current = used = self._loaded[name]
        self.info, self.makes_mattes, self.remembers = used.info, used.makes_mattes, used.remembers
        self.takes_device_frames = used.takes_device_frames
