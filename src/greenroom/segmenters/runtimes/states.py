"""Recurrent states of one stream between runs of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["HostStates", "States"]


class States(ABC):
    """Recurrent states of one stream: zeros at first, then the last run's outputs.

    A runtime makes them (`Runtime.new_states`) and keeps them where it runs; only it reads them.
    """

    @abstractmethod
    def reset(self) -> None:
        """Return to zeros."""

    @classmethod
    def checked(cls, states: States | None) -> Self | None:
        """Return the states; raise `TypeError` for those of another kind of runtime."""
        if states is None or isinstance(states, cls):
            return states
        message = f"{type(states).__name__} were made by another runtime"
        raise TypeError(message)


class HostStates(States):
    """States as NumPy arrays, for runtimes whose outputs last until the next run only.

    Parameters
    ----------
    names : mapping of str to str
        Each state's input, and the output that feeds it in the next run.
    first : mapping
        The first states, by input. Not changed.

    Attributes
    ----------
    values : dict
        The states now, by input.
    """

    def __init__(self, names: Mapping[str, str], first: Mapping[str, NDArray[Any]]) -> None:
        self._names = names
        self._first = first
        self.values: dict[str, NDArray[Any]] = dict(first)

    def take(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Copy the outputs that become states."""
        for name, output in self._names.items():
            values, kept = outputs[output], self.values[name]
            if kept is self._first[name] or kept.shape != values.shape:
                self.values[name] = np.array(values)
            else:
                kept[...] = values

    def reset(self) -> None:
        """See `States.reset`."""
        self.values = dict(self._first)
