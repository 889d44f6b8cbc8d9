"""Threads that are left behind in native code do not change how the process ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Threads that never come back to the interpreter for long, as when previews are encoded.
LEFT_BEHIND = """
import threading
import cv2
import numpy as np
from greenroom import cli

def encode():
    while True:
        cv2.imencode(".jpg", picture)
        begun.release()

def app(prog_name):
    for _ in range(4):
        threading.Thread(target=encode, daemon=True).start()
    for _ in range(8):
        begun.acquire()
    print("done")
    raise SystemExit({status})

begun = threading.Semaphore(0)
picture = np.random.default_rng(0).integers(0, 255, (1440, 2560, 3), np.uint8)
cli.app = app
cli.main()
"""


@pytest.mark.parametrize("status", [0, 1, 130, None])
def test_the_status_is_the_command_s(status: int | None) -> None:
    """What was printed is seen, and nothing ends the process by a signal."""
    ended = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND.format(status=status)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (status or 0, "done\n", "")
