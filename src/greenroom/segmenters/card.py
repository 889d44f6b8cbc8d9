"""Model cards: descriptions of models as data.

A card is a TOML file. Those of the package are in ``cards/``; users add their own. A new
feed-forward or recurrent network for one of the runtimes, with an output of one of the kinds in
`Reading`, needs a card and no code.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from greenroom.errors import ModelError
from greenroom.media.toml_text import decode_toml, parse_toml

__all__ = [
    "Aspect",
    "Card",
    "ChooseSpec",
    "FileSpec",
    "FusionSpec",
    "GpuSpec",
    "InputSpec",
    "OutputSpec",
    "Reading",
    "Task",
    "TensorLayout",
]

_NAME: Final = r"[a-z0-9][a-z0-9._-]*"
_LINK: Final = r"^(https://\S+)?$"
_HASHES: Final = {"sha256": 64, "sha384": 96, "sha512": 128, "md5": 32}


class _CardModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Task(StrEnum):
    """Purpose of a model."""

    PERSON = "person"
    MULTI_CLASS = "multi-class"
    MATTING = "matting"


class TensorLayout(StrEnum):
    """Order of a tensor's axes; N, the batch, is always 1."""

    NHWC = "NHWC"
    NCHW = "NCHW"


class Aspect(StrEnum):
    """Fitting of a picture to a network's input of another aspect ratio."""

    STRETCH = "stretch"
    PAD = "pad"


class Reading(StrEnum):
    """Kind of values in an output.

    ``coverage``: 0 to 1, after a sigmoid or from a matting network. ``logit``: before a sigmoid.
    ``probabilities``: after a softmax over channels. ``logits``: before a softmax. ``labels``: a
    class number for each sample.
    """

    COVERAGE = "coverage"
    LOGIT = "logit"
    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    LABELS = "labels"

    @property
    def has_classes(self) -> bool:
        """Whether it distinguishes classes."""
        return self not in (Reading.COVERAGE, Reading.LOGIT)


class FileSpec(_CardModel):
    """A file of weights, its source, and its hash.

    Attributes
    ----------
    name : str
        File name in a store of models.
    url : str, optional
        Address for download, HTTPS only.
    size : int, optional
        Bytes.
    hash : str
        ``sha256:`` and hexadecimal digits, or sha384, sha512, md5; empty where none is
        documented.
    embedded : bool
        Whether it is part of the package.
    member : str, optional
        Suffix of the file's name inside an archive.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    url: Annotated[str | None, Field(pattern=r"^https://")] = None
    size: Annotated[int | None, Field(gt=0)] = None
    hash: str = ""
    embedded: bool = False
    member: str | None = None

    @model_validator(mode="after")
    def _check_hash(self) -> Self:
        kind, _, digits = self.hash.partition(":")
        if self.hash and not re.fullmatch(f"[0-9a-f]{{{_HASHES.get(kind, 0)}}}", digits or "-"):
            message = f"hash: expected one of {', '.join(_HASHES)}, a colon and hexadecimal digits"
            raise ValueError(message)
        return self


Triple = tuple[float, float, float]


class InputSpec(_CardModel):
    """Input of a network: size, layout and normalisation.

    Attributes
    ----------
    name : str
        The tensor; empty for the first.
    size : (int, int), optional
        Width and height.
    aspect : Aspect
        With ``size``: stretch the picture, or pad it with black.
    longest : int, optional
        Instead of ``size``: length of the longer side; the aspect ratio is kept.
    multiple : int
        With ``longest``: width and height are rounded to multiples of this.
    layout : TensorLayout
        Order of the axes.
    order : str
        Order of the channels, RGB or BGR.
    mean, std : three floats
        A sample of 0 to 255 becomes ``(sample - mean) / std``, channels in ``order``.
    states : dict of str to str
        For recurrent networks: each state's input, and the output that feeds it in the next run.
    ratio : str, optional
        Input for the factor by which a matting network downsamples the picture internally.
    ratio_longest : int
        Longer side after this downsampling.
    """

    name: str = ""
    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None
    aspect: Aspect = Aspect.STRETCH
    longest: Annotated[int | None, Field(gt=0)] = None
    multiple: Annotated[int, Field(gt=0)] = 1
    layout: TensorLayout = TensorLayout.NHWC
    order: Annotated[str, Field(pattern="^(RGB|BGR)$")] = "RGB"
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (255.0, 255.0, 255.0)
    states: dict[str, str] = {}
    ratio: str | None = None
    ratio_longest: Annotated[int, Field(gt=0)] = 512

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.size is None) == (self.longest is None):
            message = "expected either size or longest"
            raise ValueError(message)
        if 0 in self.std:
            message = "std: expected no zero"
            raise ValueError(message)
        return self


class OutputSpec(_CardModel):
    """Output of a network: layout and meaning.

    Attributes
    ----------
    name : str
        The tensor; empty for the first.
    layout : TensorLayout
        Order of the axes; not needed where there is one channel.
    reading : Reading
        Kind of its values.
    classes : list of str
        Names of the channels or labels, in order. ``background`` is never kept.
    keep : list of str
        Classes of the foreground unless the user selects others.
    gain : float
        For logits: steepness of the sigmoid over the margin between classes.
    foreground : str, optional
        Output with the foreground colour, RGB in 0..1.
    threshold : float
        Value that means half coverage; not for labels.
    """

    name: str = ""
    layout: TensorLayout = TensorLayout.NHWC
    reading: Reading = Reading.COVERAGE
    classes: tuple[str, ...] = ()
    keep: tuple[str, ...] = ("person",)
    gain: Annotated[float, Field(gt=0)] = 1.0
    foreground: str | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.reading.has_classes and len(self.classes) < 2:
            message = f"classes: expected the names of all classes for reading '{self.reading}'"
            raise ValueError(message)
        missing = [name for name in self.keep if self.classes and name not in self.classes]
        if missing:
            message = f"keep: '{missing[0]}' is not one of the classes"
            raise ValueError(message)
        return self


class GpuSpec(_CardModel):
    """What a model may use on NVIDIA's GPUs. Each is used only if its answers agree on loading.

    Attributes
    ----------
    half : bool
        Half precision: its mattes are as good with it.
    graph : bool
        CUDA graphs: it has no control flow, and equal inputs' sizes give equal outputs' sizes.
    """

    half: bool = False
    graph: bool = False


class ChooseSpec(_CardModel):
    """Choice of a model by aspect ratio.

    Attributes
    ----------
    wide, otherwise : str
        Names of the models for wide pictures and for all others.
    wide_from : float
        Aspect ratio (width / height) from which a picture counts as wide.
    """

    wide: str
    otherwise: str
    wide_from: Annotated[float, Field(gt=0)]


class FusionSpec(_CardModel):
    """Fusion of the answers of two models, see `greenroom.segmenters.fusion`.

    Attributes
    ----------
    weights : (float, float)
        Weight of each member's log odds.
    bias : float
        Log odds that are added.
    """

    weights: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
    bias: float = 0.0


class Card(_CardModel):
    """Description of a model.

    Attributes
    ----------
    name, description, family : str
        Name, one-line description, and family of models.
    task : Task
        Its purpose.
    license : str
        SPDX identifier of the weights' licence.
    license_url : str
        Address of the licence.
    homepage : str
        Address of the project.
    paper : str
        Address of the publication.
    runtime : str
        Runtime: ``litert``, ``onnx``, ``tensorflow``, or ``chroma`` for none.
    file : FileSpec, optional
        The weights.
    input : InputSpec, optional
        Its input.
    output : OutputSpec
        Its output.
    gpu : GpuSpec
        What it may use on NVIDIA's GPUs.
    choose : ChooseSpec, optional
        Instead of weights: other models by aspect ratio.
    members : (str, str), optional
        Instead of weights: two models that both look at every frame. The second looks at the
        square around the part of the frame that the first looks at.
    fusion : FusionSpec, optional
        With ``members``: fusion of their answers.
    """

    name: Annotated[str, Field(pattern=f"^{_NAME}$")]
    description: Annotated[str, Field(min_length=1)]
    family: str = ""
    task: Task = Task.PERSON
    license: Annotated[str, Field(min_length=1)] = "unknown"
    license_url: Annotated[str, Field(pattern=_LINK)] = ""
    homepage: Annotated[str, Field(pattern=_LINK)] = ""
    paper: Annotated[str, Field(pattern=_LINK)] = ""
    runtime: Annotated[str, Field(pattern="^(litert|onnx|tensorflow|chroma)$")]
    file: FileSpec | None = None
    input: InputSpec | None = None
    output: OutputSpec = OutputSpec()
    gpu: GpuSpec = GpuSpec()
    choose: ChooseSpec | None = None
    members: tuple[str, str] | None = None
    fusion: FusionSpec | None = None
    _folder: Path | None = PrivateAttr(None)

    @property
    def folder(self) -> Path | None:
        """Folder of the card's file; None if it was not read from a file."""
        return self._folder

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.members is None) != (self.fusion is None):
            message = f"expected {'members' if self.members is None else 'fusion'}"
            raise ValueError(message)
        own = [name for name in ("file", "input", "choose") if getattr(self, name) is not None]
        if self.members is not None and own:
            message = f"{own[0]}: not with members, each of which has its own card"
            raise ValueError(message)
        network = self.choose is None and self.members is None and self.runtime != "chroma"
        if network and (self.file is None or self.input is None):
            message = f"expected {'file' if self.file is None else 'input'}"
            raise ValueError(message)
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a card.

        Raises
        ------
        ModelError
            If it cannot be read or is not a card; the message names the field and its line.
        """
        try:
            text = decode_toml(path.read_bytes())
            values = parse_toml(text)
        except OSError as error:
            message = f"model card '{path}' cannot be read: {str(error.strerror).lower()}."
            raise ModelError(message, path) from error
        except ValueError as error:
            message = f"model card '{path}' is not valid TOML: {error}."
            raise ModelError(message, path) from error
        try:
            card = cls(**values)
        except ValidationError as error:
            raise ModelError(_validation_message(error, path, text), path) from None
        card._folder = path.parent.absolute()
        return card


def _validation_message(error: ValidationError, path: Path, text: str) -> str:
    """Return a message about the first invalid field, with its line."""
    errors: list[Any] = list(error.errors())
    # A misspelt field is both unknown and missing; report it as unknown.
    first = min(errors, key=lambda one: one["type"] != "extra_forbidden")
    names = [str(part) for part in first["loc"] if isinstance(part, str)]
    line = _line_of(names, text)
    where = f" line {line}," if line else ""
    field = f" field '{'.'.join(names)}':" if names else ""
    reason = {"extra_forbidden": "unknown field", "missing": "it is missing"}.get(first["type"])
    reason = reason or first["msg"].removeprefix("Value error, ")
    return f"model card '{path}':{where}{field} {reason[0].lower()}{reason[1:]}."


def _line_of(names: list[str], text: str) -> int | None:
    """Return the line of a field, or of the table that should contain it."""
    table: list[str] = []
    found = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\]]+)\]", line):
            table = [part.strip() for part in header[1].split(".")]
            if table == names[: len(table)]:
                found = number
        elif (key := re.match(r"\s*([A-Za-z0-9_-]+)\s*=", line)) and [*table, key[1]] == names[
            : len(table) + 1
        ]:
            return number
    return found
