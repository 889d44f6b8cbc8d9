"""Model cards: everything that has to be known of a model, as data.

A card is a TOML file. Those of the package are in ``cards/``; users add their own. No code
belongs to a card: a feed-forward or recurrent network that one of the runtimes executes,
and whose output one of the readings below describes, is a new card and nothing else.
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
    """What a model was made for."""

    PERSON = "person"
    MULTI_CLASS = "multi-class"
    MATTING = "matting"


class TensorLayout(StrEnum):
    """The order of a tensor's axes; N, the batch, is always 1."""

    NHWC = "NHWC"
    NCHW = "NCHW"


class Aspect(StrEnum):
    """How a picture of one shape is given to a network of another."""

    STRETCH = "stretch"
    PAD = "pad"


class Reading(StrEnum):
    """What an output means.

    ``coverage``: 0 to 1, after a sigmoid or by a matting network. ``logit``: before a
    sigmoid. ``probabilities``: a softmax over channels. ``logits``: before a softmax.
    ``labels``: the number of a class for each sample.
    """

    COVERAGE = "coverage"
    LOGIT = "logit"
    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    LABELS = "labels"

    @property
    def has_classes(self) -> bool:
        """Whether one of several classes is chosen."""
        return self not in (Reading.COVERAGE, Reading.LOGIT)


class FileSpec(_CardModel):
    """Where weights are, and how to know that they are the right ones.

    Attributes
    ----------
    name : str
        What the file is called in a store of models.
    url : str, optional
        Where it can be downloaded, HTTPS only.
    size : int, optional
        Bytes.
    hash : str
        ``sha256:`` and hexadecimal digits, or sha384, sha512, md5; empty where none is
        documented.
    embedded : bool
        Whether it comes with the package.
    member : str, optional
        Of an archive: how the name of the file inside ends.
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
    """How a picture is given to the network.

    Attributes
    ----------
    name : str
        The tensor; empty for the first.
    size : (int, int), optional
        Width and height.
    aspect : Aspect
        With a size: whether the picture is stretched to it, or keeps its proportions and
        has black around it.
    longest : int, optional
        Instead of a size: the longer side, with the picture's proportions kept.
    multiple : int
        With ``longest``: width and height are rounded to multiples of this.
    layout : TensorLayout
        Order of the axes.
    order : str
        Order of the channels, RGB or BGR.
    mean, std : three floats
        A sample of 0 to 255 becomes ``(sample - mean) / std``, channels in ``order``.
    states : dict of str to str
        For recurrent networks: each state's input and the output that it is next time.
    ratio : str, optional
        The input that says by how much a matting network reduces the picture inside.
    ratio_longest : int
        The longer side that this reduction leads to.
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
    """What the network answers.

    Attributes
    ----------
    name : str
        The tensor; empty for the first.
    layout : TensorLayout
        Order of the axes; not needed where there is one channel.
    reading : Reading
        What it means.
    classes : list of str
        Names of the channels or labels, in order. ``background`` is never kept.
    keep : list of str
        The classes that are foreground unless the user names others.
    gain : float
        Of logits: how steeply coverage rises with the distance between classes.
    foreground : str, optional
        The output that is the person's own colour, RGB in 0..1.
    threshold : float
        The answer that stands for half coverage, where that is not 0.5; not for labels.
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


class ChooseSpec(_CardModel):
    """One model for wide pictures, another for the rest.

    Attributes
    ----------
    wide, otherwise : str
        Names of the models.
    wide_from : float
        Width by height from which a picture is wide.
    """

    wide: str
    otherwise: str
    wide_from: Annotated[float, Field(gt=0)]


class Card(_CardModel):
    """A model.

    Attributes
    ----------
    name, description, family : str
        What it is called, what it is in one line, and which models it belongs to.
    task : Task
        What it was made for.
    license : str
        SPDX identifier of the weights' licence.
    license_url : str
        Where that licence is said.
    homepage : str
        Where the model comes from.
    paper : str
        Where it was published.
    runtime : str
        What executes it: ``litert``, ``onnx``, ``tensorflow``, or ``chroma`` for none.
    file : FileSpec, optional
        The weights.
    input : InputSpec, optional
        How a picture is given to it.
    output : OutputSpec
        What it answers.
    choose : ChooseSpec, optional
        Instead of weights: other models, by the picture's shape.
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
    choose: ChooseSpec | None = None
    _folder: Path | None = PrivateAttr(None)

    @property
    def folder(self) -> Path | None:
        """The folder that it was read from; None if it was not read from a file."""
        return self._folder

    @model_validator(mode="after")
    def _check(self) -> Self:
        network = self.choose is None and self.runtime != "chroma"
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
            If it cannot be read or is not a card, naming the field and its line.
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
            raise ModelError(_sentence(error, path, text), path) from None
        card._folder = path.parent.absolute()
        return card


def _sentence(error: ValidationError, path: Path, text: str) -> str:
    """Say what is wrong with a card, and in which line."""
    errors: list[Any] = list(error.errors())
    # A field that is misspelt is unknown and missing; the former is what helps.
    first = min(errors, key=lambda one: one["type"] != "extra_forbidden")
    names = [str(part) for part in first["loc"] if isinstance(part, str)]
    line = _line_of(names, text)
    where = f" line {line}," if line else ""
    field = f" field '{'.'.join(names)}':" if names else ""
    reason = {"extra_forbidden": "unknown field", "missing": "it is missing"}.get(first["type"])
    reason = reason or first["msg"].removeprefix("Value error, ")
    return f"model card '{path}':{where}{field} {reason[0].lower()}{reason[1:]}."


def _line_of(names: list[str], text: str) -> int | None:
    """Find the line of a field, or of the table that it should be in."""
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
