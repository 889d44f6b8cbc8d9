"""The engine with the embedded model, and the model that the settings name."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.doctor.finding import Case, Finding, Section
from greenroom.errors import GreenroomError, ModelError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.segmenters.card import Card
    from greenroom.segmenters.store import Store

__all__ = ["check_engine", "check_model"]

_SECTION: Final = Section("Model")
_EMBEDDED: Final = "selfie"
_SIZE: Final = (640, 360)
_FRAMES: Final = 5
_RUNTIMES: Final = {"onnx": "onnxruntime", "tensorflow": "tensorflow"}


def check_engine(case: Case) -> Iterator[Finding]:
    """Give a drawn person another background, with the model that comes with the package."""
    from greenroom.engine.engine import VirtualBackground  # noqa: PLC0415 - it loads everything
    from greenroom.sources.synthetic_person import PersonSource  # noqa: PLC0415

    frame = PersonSource(_SIZE).frame(0)
    times = []
    try:
        with VirtualBackground(model=_EMBEDDED, background="color:teal") as engine:
            for _ in range(_FRAMES):
                begin_s = time.perf_counter()
                engine.process(frame)
                times.append(1000 * (time.perf_counter() - begin_s))
            info = engine.info
    except GreenroomError as error:
        fix = case.system.pip("install", "--force-reinstall", "greenroom")
        yield _SECTION.problem("engine", f"a frame cannot be processed: {error}", fix, blocks=True)
        return
    text = (
        f"{info.model} on {info.runtime}, {info.device}: {statistics.median(times):.1f} ms for a "
        f"frame of {_SIZE[0]}x{_SIZE[1]}"
    )
    yield _SECTION.ok("engine", text)


def check_model(case: Case) -> Iterator[Finding]:
    """Look whether the model of the settings is here and is what its card says."""
    from greenroom.segmenters.inspection import MODEL_SUFFIXES  # noqa: PLC0415 - it imports much

    model = case.settings.model
    if model.lower().endswith(MODEL_SUFFIXES):
        yield _of_file(Path(model))
        return
    from greenroom.segmenters.catalogue import card_named, parts  # noqa: PLC0415
    from greenroom.segmenters.store import Store  # noqa: PLC0415

    try:
        card = card_named(model)
        store = Store(case.settings.models_dir)
        needed = [part for part in parts(card) if part.file is not None]
    except (SettingsError, ModelError) as error:
        yield _SECTION.problem("model", str(error), "greenroom models list", blocks=True)
        return
    yield from filter(None, (_runtime(case, part) for part in needed[:1]))
    faults = list(filter(None, (_fault(part, store) for part in needed)))
    if faults:
        yield from faults
        return
    yield _SECTION.ok("model", f"{model}: {', '.join(_places(needed, store)) or 'needs no file'}")


def _of_file(path: Path) -> Finding:
    if path.is_file():
        return _SECTION.ok("model", f"{path}: a file of your own")
    return _SECTION.problem(
        "model",
        f"model file '{path}' is not there",
        "Give --model another path, or a name that greenroom models list prints.",
        blocks=True,
    )


def _runtime(case: Case, card: Card) -> Finding | None:
    """Tell what is not installed of what executes a model."""
    package = _RUNTIMES.get(card.runtime)
    if package is None:
        return None
    builds = (package, "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
    if any(map(case.system.version, builds if card.runtime == "onnx" else builds[:1])):
        return None
    message = f"model '{card.name}' needs {package}, which is not installed"
    return _SECTION.problem(
        "model", message, case.system.pip("install", f"greenroom[{card.runtime}]"), blocks=True
    )


def _fault(card: Card, store: Store) -> Finding | None:
    """Tell what is wrong with a model's weights."""
    from greenroom.segmenters.store import size_text  # noqa: PLC0415 - it imports much
    from greenroom.segmenters.store.licences import concern  # noqa: PLC0415

    found = store.locate(card)
    if found is None:
        size = card.file.size if card.file is not None else None
        accept = " --accept-license" if concern(card.license) else ""
        return _SECTION.warning(
            "model",
            f"{card.name} is not here yet: {size_text(size)} are downloaded when it is first used",
            f"greenroom models get {card.name}{accept}",
        )
    try:
        store.check(card, found[1])
    except ModelError as error:
        fix = f"greenroom models remove {card.name}\ngreenroom models get {card.name}"
        return _SECTION.problem("model", str(error), fix, blocks=True)
    return None


def _places(cards: list[Card], store: Store) -> list[str]:
    """Say where weights are, each place once."""
    found = [place for card in cards if (place := store.locate(card))]
    return list(
        dict.fromkeys(
            "in the package" if place.value == "embedded" else str(path) for place, path in found
        )
    )
