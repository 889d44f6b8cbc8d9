"""Files of converted models: made once, whole or not there.

A file's name has the hash of the TFLite file and the version of the converter. At its end a hash
of what comes before is added as metadata, which ONNX keeps apart: a file that was damaged later is
made again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from greenroom.errors import ModelError
from greenroom.media.file_writing import write_atomically
from greenroom.segmenters.conversion.converter import convert

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["converted_file", "existing_conversion"]

# Of the converter: to be raised with every change of what it writes.
_VERSION: Final = 1
# Bytes that a protobuf parser adds to the model before them: an entry "sha256" with 64 digits in
# the model's metadata, its field 14.
_SEAL: Final = b"\x72\x4a\x0a\x06sha256\x12\x40"
_DIGITS: Final = 64


def converted_file(source: Path, folder: Path) -> Path:
    """Return the ONNX file of a TFLite model; it is made unless it is there and undamaged.

    Several processes may do so at once.

    Parameters
    ----------
    source : Path
        The TFLite file.
    folder : Path
        Folder of the ONNX file; made if it is missing.

    Raises
    ------
    MissingExtraError, ModelError
        As in `convert`; also if the TFLite file cannot be read.
    OSError
        If the ONNX file cannot be written.
    """
    data = _read(source)
    path = _path(source, data, folder)
    if not _is_whole(path):
        model = convert(data, source)
        seal = hashlib.sha256(model).hexdigest().encode()
        write_atomically(path, model + _SEAL + seal, private=False)
    return path


def existing_conversion(source: Path, folder: Path) -> Path | None:
    """Return the ONNX file of a TFLite model if it is there and undamaged.

    Raises
    ------
    ModelError
        If the TFLite file cannot be read.
    """
    path = _path(source, _read(source), folder)
    return path if _is_whole(path) else None


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        message = f"model file '{source}' cannot be read: {str(error.strerror).lower()}."
        raise ModelError(message, source) from error


def _path(source: Path, data: bytes, folder: Path) -> Path:
    digest = hashlib.sha256(data).hexdigest()
    return folder / f"{source.stem}-{digest[:16]}-v{_VERSION}.onnx"


def _is_whole(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    model, seal = content[: -len(_SEAL) - _DIGITS], content[-len(_SEAL) - _DIGITS :]
    return seal == _SEAL + hashlib.sha256(model).hexdigest().encode()
