"""Derivation of a card from a bare model file.

Shapes and types of the tensors are read, and the model is run on three pictures. If only one
interpretation is reasonable it becomes a card; assumptions are logged.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.errors import ModelError
from greenroom.segmenters.card import Card, FileSpec, InputSpec, OutputSpec, Reading, TensorLayout
from greenroom.segmenters.runtimes import load_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.segmenters.runtimes.runtime import Runtime, TensorInfo

    Outputs = Mapping[str, NDArray[Any]]

__all__ = ["MODEL_SUFFIXES", "PASCAL_VOC", "card_of_file", "runtime_of_file"]

logger = logging.getLogger(__name__)

# Runtimes by file name suffix.
_RUNTIMES: Final = {
    ".tflite": "litert",
    ".onnx": "onnx",
    ".pb": "tensorflow",
    ".tar.gz": "tensorflow",
    ".tgz": "tensorflow",
}
MODEL_SUFFIXES: Final = tuple(_RUNTIMES)

PASCAL_VOC: Final = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
# Classes of label maps, by their number.
_CLASSES: Final = {len(PASCAL_VOC): PASCAL_VOC, 2: ("background", "person")}
# DeepLab's exports accept any size, and were trained at this one.
_DEEPLAB_LONGEST: Final = 513
_MIDDLE: Final = (127.5, 127.5, 127.5)
_ONE: Final = (1.0, 1.0, 1.0)
_TOLERANCE: Final = 1e-3

_FIELDS: Final = (
    "name, description, runtime, [file] name, [input] name, size or longest, layout, order, mean "
    "and std, [output] name, layout, reading, classes and keep"
)


class _AmbiguousError(Exception):
    """The interpretation is ambiguous or unknown; the message gives the reason."""


def runtime_of_file(path: Path) -> str:
    """Return the runtime of a model file with one of the `MODEL_SUFFIXES`."""
    return next(kind for end, kind in _RUNTIMES.items() if path.name.lower().endswith(end))


def card_of_file(path: Path) -> Card:
    """Derive a card from a model file.

    Raises
    ------
    MissingExtraError
        If its runtime is not installed.
    ModelError
        If it cannot be loaded, or its use is ambiguous; the message lists the fields that a card
        must have.
    """
    kind = runtime_of_file(path)
    runtime = load_runtime(kind, path)
    try:
        spec = _guess_input(runtime.inputs)
        answer = _guess_output(_run_trials(runtime, spec))
        spec = _with_normalisation(spec, runtime.inputs[0], answer)
    except _AmbiguousError as error:
        raise _ambiguity_error(path, runtime, str(error)) from error
    finally:
        runtime.close()
    logger.warning(
        "model file '%s' has no card; assumed: %s.", path.name, _assumptions(spec, answer)
    )
    name = re.sub(r"[^a-z0-9._-]+", "-", path.name.lower()).lstrip("._-") or "model"
    return Card(
        name=name,
        description="A model file without a card",
        runtime=kind,
        file=FileSpec(name=name),
        input=spec,
        output=answer,
    )


def _guess_input(inputs: tuple[TensorInfo, ...]) -> InputSpec:
    """Return size and axes of the only input, a picture of three channels."""
    if len(inputs) != 1:
        message = f"it has {len(inputs)} inputs, and which is the picture is not clear"
        raise _AmbiguousError(message)
    info = inputs[0]
    layouts = [
        layout
        for layout, axis in ((TensorLayout.NHWC, 3), (TensorLayout.NCHW, 1))
        if len(info.shape) == 4 and info.shape[axis] == 3
    ]
    if len(layouts) != 1 or info.shape[0] not in (None, 1):
        message = "its input is not one picture of three channels"
        raise _AmbiguousError(message)
    rows, columns = info.shape[1:3] if layouts[0] is TensorLayout.NHWC else info.shape[2:4]
    if rows is not None and columns is not None:
        return InputSpec(name=info.name, size=(columns, rows), layout=layouts[0])
    if info.dtype != np.uint8:
        message = "it takes pictures of any size, and which one it was made for is not clear"
        raise _AmbiguousError(message)
    return InputSpec(name=info.name, longest=_DEEPLAB_LONGEST, layout=layouts[0])


def _run_trials(runtime: Runtime, spec: InputSpec) -> list[Outputs]:
    """Run a model on black, white and noise."""
    columns, rows = spec.size or (_DEEPLAB_LONGEST, _DEEPLAB_LONGEST)
    shape = (1, 3, rows, columns) if spec.layout is TensorLayout.NCHW else (1, rows, columns, 3)
    noise = np.random.default_rng(0).random(shape)
    whole = runtime.inputs[0].dtype.kind == "u"
    trials: list[Outputs] = []
    for picture in (np.zeros(shape), np.ones(shape), noise):
        values = 255 * picture if whole else picture

        def fill(tensor: NDArray[Any], values: NDArray[Any] = values) -> None:
            tensor[...] = values

        outputs = runtime.run(spec.name, shape, fill, {})
        trials.append({name: np.array(output) for name, output in outputs.items()})
        del outputs  # views, which must not outlive a run
    return trials


def _guess_output(trials: list[Outputs]) -> OutputSpec:
    """Return the only output that can be a matte."""
    found = [_guess_reading(name, [trial[name] for trial in trials]) for name in trials[0]]
    answers = [answer for answer in found if answer is not None]
    labels = [answer for answer in answers if answer.reading is Reading.LABELS]
    # Some DeepLab exports have probabilities as well, which give the number of classes.
    if len(labels) == 1 and len(answers) == 2:
        other = next(answer for answer in answers if answer is not labels[0])
        answers = [labels[0].model_copy(update={"classes": other.classes or labels[0].classes})]
    if len(answers) != 1 or len(found) > 2:
        message = f"which of its {len(found)} outputs is a matte is not clear"
        raise _AmbiguousError(message)
    if answers[0].reading.has_classes and len(found) == 1 and len(answers[0].classes) == 2:
        message = "its two channels do not say how its input is normalised"
        raise _AmbiguousError(message)
    return answers[0]


def _guess_reading(name: str, values: list[NDArray[Any]]) -> OutputSpec | None:
    """Interpret one output; None if it is of no known kind."""
    shape, whole = values[0].shape, values[0].dtype.kind in "iu"
    for layout, axis in ((TensorLayout.NHWC, -1), (TensorLayout.NCHW, 1)):
        if len(shape) not in (3, 4) or shape[0] != 1 or (len(shape) == 3 and axis == 1):
            continue
        channels = shape[axis] if len(shape) == 4 else 1
        if channels == 1 and whole and max(value.max() for value in values) < len(PASCAL_VOC):
            return OutputSpec(name=name, layout=layout, reading=Reading.LABELS, classes=PASCAL_VOC)
        if channels == 1 and not whole:
            low, high = min(value.min() for value in values), max(value.max() for value in values)
            inside = low >= -_TOLERANCE and high <= 1 + _TOLERANCE
            reading = Reading.COVERAGE if inside else Reading.LOGIT
            return OutputSpec(name=name, layout=layout, reading=reading)
        if channels in _CLASSES and not whole:
            sums = [value.sum(axis=axis) for value in values]
            is_softmax = all(np.allclose(total, 1, atol=0.01) for total in sums)
            reading = Reading.PROBABILITIES if is_softmax else Reading.LOGITS
            return OutputSpec(name=name, layout=layout, reading=reading, classes=_CLASSES[channels])
    return None


def _with_normalisation(spec: InputSpec, info: TensorInfo, answer: OutputSpec) -> InputSpec:
    """Add the usual normalisation: none for uint8, -1 to 1 for classes, else 0 to 1."""
    if info.dtype.kind == "u":
        return spec.model_copy(update={"std": _ONE})
    if answer.reading.has_classes:
        return spec.model_copy(update={"mean": _MIDDLE, "std": _MIDDLE})
    return spec


def _assumptions(spec: InputSpec, answer: OutputSpec) -> str:
    """Return the assumptions as text."""
    size = f"longer side {spec.longest}" if spec.size is None else "{}x{}".format(*spec.size)
    span = {_ONE: "0 to 255", _MIDDLE: "-1 to 1"}.get(spec.std, "0 to 1")
    classes = ""
    if answer.classes:
        known = "PASCAL VOC" if answer.classes == PASCAL_VOC else ", ".join(answer.classes)
        classes = f", classes {known}"
    return (
        f"'{spec.name}' takes RGB from {span}, {spec.layout}, {size}; '{answer.name}' is "
        f"{answer.reading}{classes}"
    )


def _ambiguity_error(path: Path, runtime: Runtime, reason: str) -> ModelError:
    message = (
        f"model file '{path}' leaves open how it is to be used: {reason}. It takes "
        f"{_tensors_text(runtime.inputs)}, and answers {_tensors_text(runtime.outputs)}. Write a "
        f"card (.toml) that says {_FIELDS}."
    )
    return ModelError(message, path)


def _tensors_text(tensors: tuple[TensorInfo, ...]) -> str:
    return ", ".join(
        f"'{info.name}' ({info.dtype} {'x'.join(str(n or '?') for n in info.shape) or 'scalar'})"
        for info in tensors
    )
