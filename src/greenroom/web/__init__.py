"""The page: steers a live session from a browser on the same machine."""
