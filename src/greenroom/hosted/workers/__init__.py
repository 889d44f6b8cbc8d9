"""Several processes that have sessions, behind one that answers HTTP and places them."""

from greenroom.hosted.workers.serving import serve_with_workers

__all__ = ["serve_with_workers"]
