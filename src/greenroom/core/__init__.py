"""The core: loops over samples in C, called through ctypes.

The sources are beside this file; the build hook compiles them into shared libraries, one for the
baseline of the processor family and, on x86-64, one for AVX2 with FMA. The faster one that the
processor can run is loaded on first use. Calls release the GIL; nothing is kept between them, so
that any number of threads may call at the same time.

The core does not check its arguments: wrappers of a `function` check shapes and types with `plane`,
`planes` and `contiguous` first.
"""

from __future__ import annotations

from greenroom.core.arrays import address, contiguous, plane, planes
from greenroom.core.library import VARIANTS, function, variant

__all__ = ["VARIANTS", "address", "contiguous", "function", "plane", "planes", "variant"]
