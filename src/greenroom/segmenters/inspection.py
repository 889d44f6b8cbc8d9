"""A model file without a card: what its inputs and outputs leave no doubt about.

Shapes and types are read, and the model is run on three pictures to see what it answers.
What leaves one reasonable reading becomes a card; what was assumed is logged.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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

# By the end of a file's name, what executes it.
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
# The classes of label maps, by how many there are.
_CLASSES: Final = {len(PASCAL_VOC): PASCAL_VOC, 2: ("background", "person")}
# DeepLab's exports take pictures of any size, and were trained at this one.
_DEEPLAB_LONGEST: Final = 513
_MIDDLE: Final = (127.5, 127.5, 127.5)
_ONE: Final = (1.0, 1.0, 1.0)
_TOLERANCE: Final = 1e-3

_FIELDS: Final = (
    "name, description, runtime, [file] name, [input] name, size or longest, layout, order, mean "
    "and std, [output] name, layout, reading, classes and keep"
)


class _UnclearError(Exception):
    """There is more than one reading, or none; the message says why."""


class _Answer(NamedTuple):
    """What an output means."""

    name: str
    layout: TensorLayout
    reading: Reading
    classes: tuple[str, ...] = ()


def runtime_of_file(path: Path) -> str:
    """Return what executes a model file whose name ends in one of `MODEL_SUFFIXES`."""
    return next(kind for end, kind in _RUNTIMES.items() if path.name.lower().endswith(end))


def card_of_file(path: Path) -> Card:
    """Describe a model file by what can be seen of it.

    Raises
    ------
    MissingExtraError
        If what executes it is not installed.
    ModelError
        If it cannot be loaded, or leaves open how it is to be used; the message lists what a
        card must say.
    """
    kind = runtime_of_file(path)
    runtime = load_runtime(kind, path)
    try:
        spec = _input(runtime.inputs)
        answer = _answer(_trials(runtime, spec))
        spec = _normalised(spec, runtime.inputs[0], answer)
    except _UnclearError as error:
        raise _error(path, runtime, str(error)) from error
    finally:
        runtime.close()
    logger.warning("model file '%s' has no card; assumed: %s.", path.name, _said(spec, answer))
    name = re.sub(r"[^a-z0-9._-]+", "-", path.name.lower()).lstrip("._-") or "model"
    return Card(
        name=name,
        description="A model file without a card",
        runtime=kind,
        file=FileSpec(name=name),
        input=spec,
        output=OutputSpec(
            name=answer.name, layout=answer.layout, reading=answer.reading, classes=answer.classes
        ),
    )


def _input(inputs: tuple[TensorInfo, ...]) -> InputSpec:
    """Find size and axes of the one input, a picture of three channels."""
    if len(inputs) != 1:
        message = f"it has {len(inputs)} inputs, and which is the picture is not clear"
        raise _UnclearError(message)
    info = inputs[0]
    layouts = [
        layout
        for layout, axis in ((TensorLayout.NHWC, 3), (TensorLayout.NCHW, 1))
        if len(info.shape) == 4 and info.shape[axis] == 3
    ]
    if len(layouts) != 1 or info.shape[0] not in (None, 1):
        message = "its input is not one picture of three channels"
        raise _UnclearError(message)
    rows, columns = info.shape[1:3] if layouts[0] is TensorLayout.NHWC else info.shape[2:4]
    if rows is not None and columns is not None:
        return InputSpec(name=info.name, size=(columns, rows), layout=layouts[0])
    if info.dtype != np.uint8:
        message = "it takes pictures of any size, and which one it was made for is not clear"
        raise _UnclearError(message)
    return InputSpec(name=info.name, longest=_DEEPLAB_LONGEST, layout=layouts[0])


def _trials(runtime: Runtime, spec: InputSpec) -> list[Outputs]:
    """Run a model on black, on white and on noise."""
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
        del outputs  # views, which a runtime may not run with
    return trials


def _answer(trials: list[Outputs]) -> _Answer:
    """Find what the outputs mean."""
    found = [_reading(name, [trial[name] for trial in trials]) for name in trials[0]]
    answers = [answer for answer in found if answer is not None]
    labels = [answer for answer in answers if answer.reading is Reading.LABELS]
    # Exports of DeepLab give probabilities beside the labels, which tell how many classes.
    if len(labels) == 1 and len(answers) == 2:
        other = next(answer for answer in answers if answer is not labels[0])
        answers = [labels[0]._replace(classes=other.classes or labels[0].classes)]
    if len(answers) != 1 or len(found) > 2:
        message = f"which of its {len(found)} outputs is a matte is not clear"
        raise _UnclearError(message)
    if answers[0].reading.has_classes and len(found) == 1 and len(answers[0].classes) == 2:
        message = "its two channels do not say how its input is normalised"
        raise _UnclearError(message)
    return answers[0]


def _reading(name: str, values: list[NDArray[Any]]) -> _Answer | None:
    """Tell what one output means, None if it is nothing known."""
    whole = values[0].dtype.kind in "iu"
    for layout, channels in _channels(values[0].shape).items():
        if whole and channels == 1 and max(int(value.max()) for value in values) < len(PASCAL_VOC):
            return _Answer(name, layout, Reading.LABELS, PASCAL_VOC)
        if not whole and channels == 1:
            return _Answer(name, layout, _of_one(values))
        if not whole and channels in _CLASSES:
            return _Answer(name, layout, _of_several(values, layout), _CLASSES[channels])
    return None


def _channels(shape: tuple[int, ...]) -> dict[TensorLayout, int]:
    """Tell how many channels an output has, by what its axes may be."""
    if len(shape) == 3 and shape[0] == 1:
        return {TensorLayout.NHWC: 1}
    if len(shape) == 4 and shape[0] == 1:
        return {TensorLayout.NHWC: shape[3], TensorLayout.NCHW: shape[1]}
    return {}


def _of_several(values: list[NDArray[Any]], layout: TensorLayout) -> Reading:
    """Tell whether channels have gone through a softmax."""
    sums = [value.sum(axis=3 if layout is TensorLayout.NHWC else 1) for value in values]
    is_softmax = all(np.allclose(total, 1, atol=0.01) for total in sums)
    return Reading.PROBABILITIES if is_softmax else Reading.LOGITS


def _of_one(values: list[NDArray[Any]]) -> Reading:
    """Tell whether one channel has gone through a sigmoid."""
    low, high = min(value.min() for value in values), max(value.max() for value in values)
    inside = low >= -_TOLERANCE and high <= 1 + _TOLERANCE
    return Reading.COVERAGE if inside else Reading.LOGIT


def _normalised(spec: InputSpec, info: TensorInfo, answer: _Answer) -> InputSpec:
    """Add the usual normalisation: samples as they are, -1 to 1 for DeepLab, else 0 to 1."""
    if info.dtype.kind == "u":
        return spec.model_copy(update={"std": _ONE})
    if answer.reading.has_classes:
        return spec.model_copy(update={"mean": _MIDDLE, "std": _MIDDLE})
    return spec


def _said(spec: InputSpec, answer: _Answer) -> str:
    """Put into words what was assumed."""
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


def _error(path: Path, runtime: Runtime, reason: str) -> ModelError:
    message = (
        f"model file '{path}' leaves open how it is to be used: {reason}. It takes "
        f"{_list(runtime.inputs)}, and answers {_list(runtime.outputs)}. Write a card (.toml) that "
        f"says {_FIELDS}."
    )
    return ModelError(message, path)


def _list(tensors: tuple[TensorInfo, ...]) -> str:
    return ", ".join(
        f"'{info.name}' ({info.dtype} {'x'.join(str(n or '?') for n in info.shape) or 'scalar'})"
        for info in tensors
    )
