"""Paths that users give: expanded, and checked before they are opened."""

from __future__ import annotations

from pathlib import Path

__all__ = ["file_url", "is_folder", "path_exists", "unreadable_reason", "user_path"]


def user_path(name: str) -> Path:
    """Return the path of a name, with ``~`` and ``~user`` expanded."""
    path = Path(name)
    try:
        return path.expanduser()
    except RuntimeError:  # no such user: the name is a file's
        return path


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; False if it is invalid, such as too long."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def path_exists(path: Path) -> bool:
    """Whether a path exists; False if it is invalid, such as too long."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def unreadable_reason(path: Path) -> str | None:
    """Return the reason why a path is not a readable, non-empty file, or None."""
    try:
        if path.is_dir():
            return "it is a folder, where a file was expected"
        if not path.exists():
            return "there is no such file"
        if path.is_file():  # opening a named pipe would consume it
            if path.stat().st_size == 0:
                return "the file is empty"
            with path.open("rb"):
                pass
    except OSError as error:
        return str(error.strerror).lower()
    except ValueError:  # raised by Python itself
        return "there is a null character in its name"
    return None


def file_url(path: str | Path) -> str:
    """Return a ``file:`` URL, so that FFmpeg does not take a name for a protocol or pattern."""
    return f"file:{path}"
