"""Reading of frozen graphs from archives, in memory; nothing is unpacked to disk."""

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
# Name of the graph in DeepLab's releases and similar exports.
_GRAPH: Final = "frozen_inference_graph"
# Protocol buffers hold graphs up to 2 GiB; known ones have up to 0.5 GiB.
_MAX_GRAPH_BYTES: Final = 1 << 30
# Limits of an archive's content, against decompression bombs.
_MAX_TOTAL_BYTES: Final = 4 << 30
_MAX_MEMBERS: Final = 10_000


def read_graph(path: Path, member: str | None = None) -> bytes:
    """Read a frozen graph out of a ``.pb`` file or an archive.

    Parameters
    ----------
    path : Path
        The file; an archive if it has one of the `ARCHIVE_SUFFIXES`.
    member : str, optional
        Suffix of the graph's name; by default a ``.pb`` with ``frozen_inference_graph`` in its
        name.

    Raises
    ------
    ModelError
        If it cannot be read, has no graph, or is larger than any graph.
    """
    try:
        if path.name.lower().endswith(ARCHIVE_SUFFIXES):
            return _from_archive(path, member)
        if path.stat().st_size > _MAX_GRAPH_BYTES:
            raise _archive_error(
                path, f"it has more than {_MAX_GRAPH_BYTES:,} bytes, more than a graph may"
            )
        return path.read_bytes()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        reason = f"it is no tar archive, or cut off ({error})"
        raise _archive_error(path, reason) from error
    except OSError as error:  # includes gzip's errors
        raise _archive_error(path, f"it cannot be read ({error.strerror or error})") from error


def _from_archive(path: Path, member: str | None) -> bytes:
    total = 0
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
    with tarfile.open(path, "r:gz" if compressed else "r:") as archive:
        for count, entry in enumerate(archive, 1):
            total += entry.size
            _check_entry(path, entry, count, total)
            if not entry.isfile() or not _is_graph(entry.name, member):
                continue
            if entry.size > _MAX_GRAPH_BYTES:
                raise _archive_error(
                    path, f"'{entry.name}' has more than {_MAX_GRAPH_BYTES:,} bytes"
                )
            content = archive.extractfile(entry)
            if content is not None:
                return content.read()
    raise _archive_error(path, f"it has no file whose name ends in '{member or _GRAPH + '.pb'}'")


def _check_entry(path: Path, entry: tarfile.TarInfo, count: int, total: int) -> None:
    """Raise for archives with escaping paths or excessive content."""
    name = PurePosixPath(entry.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise _archive_error(path, f"the name '{entry.name}' in it leads out of its folder")
    if count > _MAX_MEMBERS or total > _MAX_TOTAL_BYTES:
        raise _archive_error(path, "it holds far more than a model")


def _is_graph(name: str, member: str | None) -> bool:
    last = PurePosixPath(name).name
    if last.startswith("._"):  # macOS metadata
        return False
    return name.endswith(member) if member else _GRAPH in last and last.endswith(".pb")


def _archive_error(path: Path, reason: str) -> ModelError:
    message = (
        f"model file '{path}' cannot be used: {reason}. Expected a frozen graph (.pb), or an "
        f"archive with one, such as DeepLab's releases."
    )
    return ModelError(message, path)
