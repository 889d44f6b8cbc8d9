"""Cards say of their files what these say of themselves."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from greenroom.segmenters.catalogue import card_named

PACKAGE: Final = Path(__file__).parents[2] / "src/greenroom/segmenters/embedded"
SHARED: Final = Path(__file__).parents[3] / "shared/models"
METADATA: Final = "TFLITE_METADATA"
# Fields of the tables in TensorFlow Lite's schema and in that of its metadata, by their number.
BUFFERS, MODEL_METADATA, SUBGRAPHS, INPUTS, PROCESSES, OPTIONS = 4, 6, 3, 2, 4, 1


class Table:
    """A table of a FlatBuffer: what the format's documentation says, and no more."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    @classmethod
    def root(cls, data: bytes) -> Table:
        """Return the table that a buffer begins with."""
        return cls(data, int(struct.unpack_from("<I", data)[0]))

    def _follow(self, at: int) -> int:
        return at + int(struct.unpack_from("<I", self._data, at)[0])

    def _field(self, number: int) -> int:
        table = self._at - int(struct.unpack_from("<i", self._data, self._at)[0])
        offset = int(struct.unpack_from("<H", self._data, table + 4 + 2 * number)[0])
        return self._at + offset

    def _vector(self, number: int) -> tuple[int, int]:
        start = self._follow(self._field(number))
        return start + 4, int(struct.unpack_from("<I", self._data, start)[0])

    def table(self, number: int) -> Table:
        """Return a field that is a table."""
        return Table(self._data, self._follow(self._field(number)))

    def tables(self, number: int) -> list[Table]:
        """Return a field that is a list of tables."""
        start, count = self._vector(number)
        return [Table(self._data, self._follow(start + 4 * index)) for index in range(count)]

    def octets(self, number: int) -> bytes:
        """Return a field that is a text or bytes."""
        start, count = self._vector(number)
        return self._data[start : start + count]

    def floats(self, number: int) -> tuple[float, ...]:
        """Return a field that is a list of float32."""
        start, count = self._vector(number)
        return struct.unpack_from(f"<{count}f", self._data, start)

    def number(self, number: int) -> int:
        """Return a field that is a uint32."""
        return int(struct.unpack_from("<I", self._data, self._field(number))[0])


def normalization(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and deviation that a file's metadata asks for."""
    model = Table.root(path.read_bytes())
    entries = {entry.octets(0).decode(): entry for entry in model.tables(MODEL_METADATA)}
    buffer = model.tables(BUFFERS)[entries[METADATA].number(1)]
    image = Table.root(buffer.octets(0)).tables(SUBGRAPHS)[0].tables(INPUTS)[0]
    options = image.tables(PROCESSES)[0].table(OPTIONS)
    return options.floats(0), options.floats(1)


@pytest.mark.parametrize("name", ["selfie-general", "selfie-landscape", "selfie-multiclass"])
def test_normalization_is_the_file_s_own(name: str) -> None:
    """A model is fed as the metadata in its file says."""
    card = card_named(name)
    assert card.file is not None
    assert card.input is not None
    path = (PACKAGE if card.file.embedded else SHARED) / card.file.name
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    mean, std = normalization(path)
    np.testing.assert_array_equal(card.input.mean, mean * (3 // len(mean)))
    np.testing.assert_array_equal(card.input.std, std * (3 // len(std)))
