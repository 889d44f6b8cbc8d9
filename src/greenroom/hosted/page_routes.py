"""The page's files, which need no token: they hold no data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from greenroom.web.page_files import file_routes, page_files

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["page_routes"]

# Of the local page, whose looks this one has.
_SHARED: Final = ("style.css", "dom.js", "icon.svg")


def page_routes() -> APIRouter:
    """Make the routes ``/`` and ``/static/...``."""
    local = page_files("greenroom.web")
    return file_routes({name: local[name] for name in _SHARED} | page_files("greenroom.hosted"))
