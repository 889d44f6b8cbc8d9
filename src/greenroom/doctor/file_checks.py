"""Checks of disk space, the settings file, and a running greenroom."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from greenroom.desktop.instance import running
from greenroom.desktop.settings_file import ConfigFile, default_config_path
from greenroom.doctor.finding import CheckContext, Finding, Section
from greenroom.errors import GreenroomError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_config", "check_running", "check_space"]

_SECTION: Final = Section("Files")
# A model takes up to 180 MB, and a minute of 1080p video about 40 MB.
_LOW_BYTES: Final = 500 * 10**6
_FULL_BYTES: Final = 20 * 10**6


def check_space(_context: CheckContext) -> Iterator[Finding]:
    """Check the free space for models, backgrounds and recordings."""
    folders = {
        "cache": platformdirs.user_cache_path("greenroom", appauthor=False),
        "data": platformdirs.user_data_path("greenroom", appauthor=False),
        "this folder": Path.cwd(),
    }
    good = []
    for name, folder in folders.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if not os.access(there, os.W_OK):
            message = f"{folder} ({name}) cannot be written to"
            yield _SECTION.warning("space", message, f"ls -ld {there}")
        elif free < _LOW_BYTES:
            make = _SECTION.problem if free < _FULL_BYTES else _SECTION.warning
            yield make("space", f"{folder} ({name}) has only {_size(free)} left", f"df -h {there}")
        else:
            good.append(f"{_size(free)} for {name} ({folder})")
    if good:
        yield _SECTION.ok("space", ", ".join(good))


def check_config(context: CheckContext) -> Iterator[Finding]:
    """Read the settings file."""
    path = context.config or default_config_path()
    if context.config is None and not path.exists():
        yield _SECTION.ok("settings", f"no settings file; one would be {path}")
        return
    try:
        settings = ConfigFile(path, required=True).load()
    except GreenroomError as error:
        named = context.config is not None
        yield _SECTION.problem("settings", str(error), "greenroom run --help", blocks=named)
        return
    given = ", ".join(sorted(settings.model_fields_set)) or "nothing"
    yield _SECTION.ok("settings", f"{path} sets {given}")


def check_running(_context: CheckContext) -> Iterator[Finding]:
    """Report a running greenroom, without its page's token."""
    record = running()
    if record is None:
        yield _SECTION.ok("running", "greenroom is not running")
        return
    page = f", page {record.address}" if record.address else ""
    yield _SECTION.ok("running", f"greenroom runs: process {record.pid}{page}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
