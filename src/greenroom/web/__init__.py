"""The page: steers a live session from a browser on the same machine."""

from greenroom.web.gallery import Gallery
from greenroom.web.page import LivePreview, LivePreviews, LiveSession
from greenroom.web.server import PageServer

__all__ = ["Gallery", "LivePreview", "LivePreviews", "LiveSession", "PageServer"]
