"""Threads that are left behind in native code do not change how the process ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Threads that never come back to the interpreter for long, as when previews are encoded.
LEFT_BEHIND = """
import sys
import threading
import cv2
import numpy as np
import greenroom.cli.app
from greenroom.cli import main

def encode():
    while True:
        cv2.imencode(".jpg", picture)
        begun.release()

def app(prog_name):
    for _ in range(2):
        threading.Thread(target=encode, daemon=True).start()
    for _ in range(2):
        begun.acquire()
    print("done")
    raise SystemExit({status})

begun = threading.Semaphore(0)
picture = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
sys.modules["greenroom.cli.app"].app = app
main()
"""


@pytest.mark.parametrize("status", [0, 130])
def test_the_status_is_the_command_s(status: int) -> None:
    """What was printed is seen, and nothing ends the process by a signal."""
    ended = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND.format(status=status)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "done\n", "")


def test_ctrl_c_while_it_is_loaded() -> None:
    """Before any command has begun it is a word and the usual status, too."""
    loading = """
import builtins
from greenroom.cli import main

def load(name, *rest):
    if name == "greenroom.cli.app":
        raise KeyboardInterrupt
    return found(name, *rest)

found, builtins.__import__ = builtins.__import__, load
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", loading], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (130, "greenroom: interrupted\n")
