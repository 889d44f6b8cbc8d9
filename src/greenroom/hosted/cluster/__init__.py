"""Several machines: Ray Serve runs processes that have sessions, and one in front places them."""

from greenroom.hosted.cluster.serving import serve_with_ray

__all__ = ["serve_with_ray"]
