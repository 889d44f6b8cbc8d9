"""What a runtime is: something that executes one model file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from greenroom.errors import MissingExtraError, ModelError, ModelOutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Fill = Callable[[NDArray[Any]], None]

__all__ = [
    "Example",
    "Fill",
    "Runtime",
    "TensorInfo",
    "check_file",
    "load_error",
    "missing_extra_error",
    "run_error",
    "select_outputs",
]

# How files begin that are often saved in a model's place.
_WEB_PAGE: Final = (b"<!doctype", b"<html", b"<?xml")
_LFS_POINTER: Final = b"version https://git-lfs"


class TensorInfo(NamedTuple):
    """An input or output of a model; a length that may vary is None."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


if TYPE_CHECKING:
    # Makes inputs to try a model with, from what it says of them.
    Example = Callable[[Sequence[TensorInfo]], Mapping[str, NDArray[Any]]]


class Runtime(Protocol):
    """Executes one model, on one thread at a time."""

    @property
    def name(self) -> str:
        """Library and version."""

    @property
    def device(self) -> str:
        """Device that executes."""

    @property
    def threads(self) -> int:
        """Threads that it may use."""

    @property
    def path(self) -> Path:
        """Where the weights were read."""

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """What it takes."""

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """What it answers."""

    def run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Fill,
        others: Mapping[str, NDArray[Any]],
    ) -> Mapping[str, NDArray[Any]]:
        """Execute the model once.

        Parameters
        ----------
        picture : str
            The input that ``fill`` writes.
        shape : tuple of int
            Its shape, which may change from call to call where the model allows it.
        fill : callable
            Called with the input's own memory, of that shape and the input's type.
        others : mapping
            The further inputs, by name. Read only.

        Returns
        -------
        mapping
            The outputs by name: views, valid until the next call, not to be written to, and
            not to be kept.

        Raises
        ------
        ModelOutputError
            If the model fails.
        """

    def close(self) -> None:
        """Release the model."""


def check_file(path: Path) -> None:
    """Raise `ModelError` if a file is plainly no model: missing, empty, or a web page."""
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip().lower()
    except OSError as error:
        message = f"model file '{path}' cannot be read: {str(error.strerror).lower()}."
        raise ModelError(message, path) from error
    if not start:
        reason = "it is empty. Get it again."
    elif start.startswith(_WEB_PAGE):
        reason = "it is a web page, saved in place of the model. Download the file itself."
    elif start.startswith(_LFS_POINTER):
        reason = "it is a pointer of Git LFS. Get the file itself with git lfs pull."
    else:
        return
    message = f"model file '{path}' is no model: {reason}"
    raise ModelError(message, path)


def load_error(path: Path, library: str, reason: object) -> ModelError:
    """Say that a library does not take a file, in its own words."""
    message = (
        f"model file '{path}' cannot be loaded by {library}: {_one_line(reason)}. It may be "
        f"damaged or cut off, or be made for something else."
    )
    return ModelError(message, path)


def run_error(path: Path, reason: object) -> ModelOutputError:
    """Say that a model failed while it ran, in the library's own words."""
    return ModelOutputError(f"model '{path.name}' failed: {_one_line(reason)}", path)


def missing_extra_error(library: str, extra: str, error: ImportError) -> MissingExtraError:
    """Say what has to be installed."""
    reason = "is not installed"
    if not isinstance(error, ModuleNotFoundError):
        reason = f"cannot be imported ({_one_line(error)})"
    return MissingExtraError(
        f"this model needs {library}, which {reason}. Install it with "
        f"pip install 'greenroom[{extra}]'."
    )


def select_outputs(
    path: Path, outputs: Sequence[TensorInfo], names: Sequence[str]
) -> tuple[TensorInfo, ...]:
    """Return the outputs of some names, or all without names.

    Raises
    ------
    ModelError
        If the model has no output of a name.
    """
    by_name = {info.name: info for info in outputs}
    missing = [name for name in names if name not in by_name]
    if missing:
        message = (
            f"model file '{path}' has no output '{missing[0]}': its outputs are "
            f"{', '.join(by_name) or 'none'}. Is it the file that the card describes?"
        )
        raise ModelError(message, path)
    return tuple(by_name[name] for name in names) if names else tuple(outputs)


def _one_line(reason: object) -> str:
    text = " ".join(str(reason).split()).rstrip(". ")
    return text[:300] or type(reason).__name__
