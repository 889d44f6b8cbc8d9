"""``--list-classes``: the classes that ``--keep`` can name."""

from __future__ import annotations

import typer

from greenroom.errors import SettingsError
from greenroom.segmenters.creation import classes_of

__all__ = ["print_classes"]


def print_classes(model: str) -> None:
    """Print the classes that a model tells apart.

    Raises
    ------
    SettingsError
        If it tells none apart, or there is no such model.
    """
    classes = classes_of(model)
    if not classes:
        message = f"model '{model}' tells no classes apart. Try deeplabv3 or selfie-multiclass."
        raise SettingsError(message, "model")
    typer.echo("\n".join(classes))
