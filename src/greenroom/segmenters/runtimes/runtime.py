"""The runtime contract, and the errors that all runtimes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from greenroom.errors import MissingExtraError, ModelError, ModelOutputError
from greenroom.segmenters.runtimes.states import HostStates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.cuda import Array, Device, DeviceArray
    from greenroom.segmenters.runtimes.states import States

    Fill = Callable[[NDArray[Any]], None]
    FillThere = Callable[[Array], None]

__all__ = [
    "Example",
    "Fill",
    "FillThere",
    "Row",
    "Runtime",
    "TensorInfo",
    "Trial",
    "check_file",
    "first_states",
    "load_error",
    "missing_extra_error",
    "run_error",
    "select_outputs",
]

# First bytes of files that are often saved in place of a model.
_WEB_PAGE: Final = (b"<!doctype", b"<html", b"<?xml")
_LFS_POINTER: Final = b"version https://git-lfs"


class TensorInfo(NamedTuple):
    """An input or output of a model; variable lengths are None."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


class Trial(NamedTuple):
    """Arguments of `Runtime.run` to try a model with."""

    picture: str
    shape: tuple[int, ...]
    fill: Fill
    others: Mapping[str, NDArray[Any]]


class Row(NamedTuple):
    """One stream's part of a batch.

    Attributes
    ----------
    picture : (1, ...) array
        Its input, of NumPy's or a device's. Read only.
    values : mapping
        Its states by input, with 1 as the first length. Read only.
    states : callable, optional
        Returns its states for a runtime that does not take rows: `Runtime.new_states`.
    there : States, optional
        Its states on a device, with a picture there.
    """

    picture: Any
    values: Mapping[str, NDArray[Any]]
    states: Callable[[], States] | None = None
    there: Any = None


if TYPE_CHECKING:
    Example = Callable[[Sequence[TensorInfo]], Trial]


class Runtime(ABC):
    """Contract of runtimes: one loaded model, used by one thread at a time.

    Attributes
    ----------
    name : str
        Library and version.
    device : str
        Device in use.
    threads : int
        Number of threads.
    path : Path
        The model file.
    inputs, outputs : tuple of TensorInfo
        Inputs of the model, and its outputs that are computed.
    states : mapping of str to str
        For recurrent models: each state's input, and the output that feeds it in the next run.
    takes_rows : bool
        Whether `run_rows` takes several pictures at once, not as by default.
    gathers_on : Device or None
        The device that gathers rows for `run_gathered`; None, as by default, if it cannot.
    """

    takes_rows: bool = False
    gathers_on: Device | None = None
    name: str
    device: str
    threads: int
    path: Path
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    states: Mapping[str, str]

    @abstractmethod
    def run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Fill,
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
    ) -> Mapping[str, NDArray[Any]]:
        """Run the model once.

        Parameters
        ----------
        picture : str
            Name of the input that ``fill`` writes.
        shape : tuple of int
            Its shape, which may vary between calls if the model allows it.
        fill : callable
            Called with the input's memory, of that shape and the input's type.
        others : mapping
            The further inputs, by name. Read only.
        states : States, optional
            Of a recurrent model's stream, from `new_states`: read, and replaced by those of this
            run. After a failure they are to be reset.

        Returns
        -------
        mapping
            The outputs by name, but perhaps not those that feed states: read-only views, valid
            until the next call; not to be kept.

        Raises
        ------
        ModelOutputError
            If the model fails.
        """

    def run_on(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: FillThere,
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
        *,
        device: Device | None,  # noqa: ARG002 - none by default
    ) -> Mapping[str, Array]:
        """Run the model on a picture on a device, without transfers if the model is there, too.

        As `run`, but then ``fill`` is called with an array of that device, whose kernels may
        write it without being waited for, and the outputs are such arrays: later kernels may read
        them, until the next call. Otherwise, as by default, both are NumPy's.
        """
        return self.run(picture, shape, fill, others, states)

    def run_rows(
        self, picture: str, rows: Sequence[Row], others: Mapping[str, NDArray[Any]]
    ) -> list[dict[str, NDArray[Any]]]:
        """Run the model on pictures of several streams, with a batch of 1 each.

        Parameters
        ----------
        picture : str
            Name of the input.
        rows : sequence of Row
            All of one size. One if `takes_rows` is false.
        others : mapping
            The further inputs, the same for all. Read only.

        Returns
        -------
        list of mappings
            The outputs of each row, as if it were alone: in new memory, those that feed its
            ``values`` included.

        Raises
        ------
        ModelOutputError
            If the model fails.
        """
        answers = []
        for row in rows:
            states = None if row.states is None else row.states()
            fill = partial(_copy, row.picture)
            outputs = self.run(picture, row.picture.shape, fill, others, states)
            answers.append({name: np.array(values) for name, values in outputs.items()})
        return answers

    def run_gathered(
        self,
        given: Mapping[str, Sequence[DeviceArray]],
        others: Mapping[str, NDArray[Any]],
    ) -> dict[str, DeviceArray]:
        """Run the model on rows in the memory of `gathers_on`, which kernels have written.

        Parameters
        ----------
        given : mapping of sequences of (1, ...) arrays
            The rows of the picture and of each state, by input. Read only.
        others : mapping
            The further inputs. Read only.

        Returns
        -------
        mapping of arrays
            The outputs of all rows, in new memory, as arrays of `gathers_on`; ready to be read.

        Raises
        ------
        ModelOutputError
            If the model fails.
        """
        raise NotImplementedError

    def new_states(self) -> States:
        """Return first states for a stream of a recurrent model."""
        return HostStates(self.states, first_states(self.states, self.inputs))

    @abstractmethod
    def close(self) -> None:
        """Release the model."""


def _copy(values: NDArray[Any], tensor: NDArray[Any]) -> None:
    tensor[...] = values


def first_states(names: Mapping[str, str], inputs: Sequence[TensorInfo]) -> dict[str, NDArray[Any]]:
    """Return zeros for the states' inputs; a variable length starts as 1."""
    return {
        info.name: np.zeros([length or 1 for length in info.shape], info.dtype)
        for info in inputs
        if info.name in names
    }


def check_file(path: Path) -> None:
    """Raise `ModelError` for a missing or empty file, a web page, or a Git LFS pointer."""
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
    """Return the error for a file that a library cannot load."""
    message = (
        f"model file '{path}' cannot be loaded by {library}: {_one_line(reason)}. It may be "
        f"damaged or cut off, or be made for something else."
    )
    return ModelError(message, path)


def run_error(path: Path, reason: object) -> ModelOutputError:
    """Return the error for a model that failed while running."""
    return ModelOutputError(f"model '{path.name}' failed: {_one_line(reason)}", path)


def missing_extra_error(library: str, extra: str, error: ImportError) -> MissingExtraError:
    """Return the error for a library that is not installed or broken."""
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
    """Return the outputs with the given names, or all outputs without names.

    Raises
    ------
    ModelError
        If the model lacks a name.
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
