"""Signals that come while a command ends because of another one."""

from __future__ import annotations

import subprocess
import sys

import pytest

INTERRUPTED = """
import os, signal, time
import typer
from greenroom.cli import options

app = typer.Typer()
said = options.say

def say(text):
    os.kill(os.getpid(), signal.{second})
    said(text)

@app.command()
@options.plain_command
def wait():
    os.kill(os.getpid(), signal.{first})
    time.sleep(30)

options.say = say
app()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes otherwise")
@pytest.mark.parametrize(
    ("first", "said", "status"), [("SIGINT", "interrupted", 130), ("SIGTERM", "terminated", 143)]
)
@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
def test_the_first_signal_counts(first: str, said: str, status: int, second: str) -> None:
    """One that follows, such as an impatient Ctrl-C, makes no traceback and no other status."""
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(first=first, second=second)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (status, f"greenroom: {said}\n")
