"""Frozen graphs inside archives, read in memory: nothing is ever unpacked to disk."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from greenroom.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ARCHIVE_SUFFIXES", "read_graph"]

ARCHIVE_SUFFIXES: Final = (".tar.gz", ".tgz", ".tar")

_GZIP: Final = b"\x1f\x8b"
# What DeepLab's releases, and the exports that follow them, call the graph.
_GRAPH: Final = "frozen_inference_graph"
# The largest graph that protocol buffers can hold is 2 GiB; known ones have up to 0.5.
_MOST_BYTES: Final = 1 << 30
# Of everything in an archive, so that one that only claims to be small cannot keep us busy.
_MOST_TOTAL: Final = 4 << 30
_MOST_MEMBERS: Final = 10_000


def read_graph(path: Path, member: str | None = None) -> bytes:
    """Read a frozen graph out of a ``.pb`` file or an archive.

    Parameters
    ----------
    path : Path
        The file; what ends in one of `ARCHIVE_SUFFIXES` is an archive.
    member : str, optional
        How the name of the graph inside ends; by default it has ``frozen_inference_graph``
        in its name and ends in ``.pb``.

    Raises
    ------
    ModelError
        If it cannot be read, has no graph, or is larger than any graph is.
    """
    try:
        if path.name.lower().endswith(ARCHIVE_SUFFIXES):
            return _from_archive(path, member)
        if path.stat().st_size > _MOST_BYTES:
            raise _error(path, f"it has more than {_MOST_BYTES:,} bytes, more than a graph may")
        return path.read_bytes()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        reason = f"it is no tar archive, or cut off ({error})"
        raise _error(path, reason) from error
    except OSError as error:  # gzip's own errors are of this kind too
        raise _error(path, f"it cannot be read ({error.strerror or error})") from error


def _from_archive(path: Path, member: str | None) -> bytes:
    total = 0
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
    with tarfile.open(path, "r:gz" if compressed else "r:") as archive:
        for count, entry in enumerate(archive, 1):
            total += entry.size
            _check(path, entry, count, total)
            if not entry.isfile() or not _is_graph(entry.name, member):
                continue
            if entry.size > _MOST_BYTES:
                raise _error(path, f"'{entry.name}' has more than {_MOST_BYTES:,} bytes")
            content = archive.extractfile(entry)
            if content is not None:
                return content.read()
    raise _error(path, f"it has no file whose name ends in '{member or _GRAPH + '.pb'}'")


def _check(path: Path, entry: tarfile.TarInfo, count: int, total: int) -> None:
    """Refuse an archive that nobody makes with good intentions."""
    name = PurePosixPath(entry.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise _error(path, f"the name '{entry.name}' in it leads out of its folder")
    if count > _MOST_MEMBERS or total > _MOST_TOTAL:
        raise _error(path, "it holds far more than a model")


def _is_graph(name: str, member: str | None) -> bool:
    last = PurePosixPath(name).name
    if last.startswith("._"):  # what macOS puts beside each file
        return False
    return name.endswith(member) if member else _GRAPH in last and last.endswith(".pb")


def _error(path: Path, reason: str) -> ModelError:
    message = (
        f"model file '{path}' cannot be used: {reason}. Expected a frozen graph (.pb), or an "
        f"archive with one, such as DeepLab's releases."
    )
    return ModelError(message, path)
