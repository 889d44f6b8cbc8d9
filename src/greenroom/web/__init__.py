"""The page: controls a live session from a browser on the same machine."""
