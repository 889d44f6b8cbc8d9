"""What lies in memory before it is written shows in no picture."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

CODE = """
import hashlib
import numpy as np
from greenroom import VirtualBackground
from greenroom.sources.demo_source import DemoSource
from greenroom.sources.demo_portrait import draw_portrait

digest = hashlib.sha256()
with VirtualBackground(background="beach", model="selfie-landscape") as engine:
    for number, frame in zip(range(8), DemoSource(*draw_portrait(), (640, 360))):
        digest.update(b"".join(map(np.ascontiguousarray, engine.process(frame).planes)))
        if number % 3 == 0:
            digest.update(engine.matte)
print(digest.hexdigest())
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="fills new memory by a variable of the C library"
)
def test_pictures_do_not_depend_on_what_new_memory_holds() -> None:
    """Frames and mattes are the same to the bit, with whatever memory is filled that is given."""
    # With nothing, 0x7f and 0x5a: no number, and huge ones.
    with ThreadPoolExecutor() as pool:
        digests = set(pool.map(digest_with, ("0", "128", "165")))
    assert len(digests) == 1


def digest_with(filling: str) -> str:
    """Return the digest of all pictures where new memory is filled with something."""
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "MALLOC_PERTURB_": filling},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
