"""Mistakes are told before runtimes are imported and models loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

# Runs every command of a list in one process; says how each ended, and what it had loaded by then.
_PROGRAM: Final = """
import io, json, socket, sys, time
from contextlib import redirect_stderr
from greenroom.cli.app import app

busy = socket.create_server(("127.0.0.1", 0))
port = str(busy.getsockname()[1])
for line in json.load(sys.stdin):
    said, began_s = io.StringIO(), time.process_time()
    status = None
    with redirect_stderr(said):
        try:
            app([port if word == 'PORT' else word for word in line])
        except SystemExit as end:
            status = end.code
    names = ("ai_edge_litert", "onnxruntime", "fastapi", "greenroom.web.server")
    heavy = [name for name in names if name in sys.modules]
    cpu_s = time.process_time() - began_s
    print(json.dumps([status, said.getvalue(), heavy, cpu_s]), flush=True)
"""
_NULL: Final = ("--to", "null", "--source", "clip.png")
_LONG: Final = 300 * "x"
# What is typed, and words of what is said.
_MISTAKES: Final = {
    "a source that is not there": (("run", "--source", "no.mp4"), "neither a file nor a camera"),
    "a source that is broken": (("run", "--source", "bad.mp4"), "bad.mp4"),
    "a background that is not there": (("run", *_NULL, "--background", "no.png"), "'no.png'"),
    "a background that is broken": (("run", *_NULL, "--background", "bad.png"), "'bad.png'"),
    "a folder without pictures": (("run", *_NULL, "--background", "empty"), "without pictures"),
    "a strength": (("run", *_NULL, "--background", "blur:2"), "blur:2"),
    "a colour": (("run", *_NULL, "--background", "color:gren"), "gren"),
    "a model": (("run", *_NULL, "--model", "selfi"), "did you mean"),
    "a model file": (("run", *_NULL, "--model", "no.tflite"), "no.tflite"),
    "a device": (("run", *_NULL, "--device", "directml"), "cannot run model"),
    "a sink": (("run", "--source", "clip.png", "--to", "camra"), "camra"),
    "a folder of a recording": (("run", "--source", "clip.png", "--to", "file:no/a.mp4"), "'no'"),
    "a port": (("run", "--source", "clip.png", "--to", "page", "--port", "PORT"), "in use"),
    "an input": (("convert", "no.mp4", "out.mp4"), "'no.mp4'"),
    "an input of too long a name": (("convert", f"{_LONG}.mp4", "out.mp4"), "name too long"),
    "pictures of too long a name": (("convert", f"{_LONG}/%d.png", "out.mp4"), "no file fits"),
    "an output of too long a name": (("convert", "clip.png", f"{_LONG}.png"), "name too long"),
    "a folder of too long a name": (
        ("convert", "clip.png", "--out-dir", _LONG),
        "there is no folder",
    ),
    "one of several of too long a name": (
        ("convert", f"{_LONG}.mp4", "--out-dir", "empty"),
        "name too long",
    ),
    "a name too long for anything": (("run", _LONG), "takes no name"),
    "an input that is broken": (("convert", "bad.mp4", "out.mp4"), "'bad.mp4'"),
    "a folder of an output": (("convert", "clip.png", "no/out.png"), "no folder 'no'"),
    "an output that is there": (("convert", "clip.png", "bad.png"), "there already"),
    "a kind of output": (("convert", "clip.png", "out.txt"), "unknown extension"),
    "a background of a file": (
        ("convert", "clip.png", "out.png", "--background", "no.png"),
        "'no.png'",
    ),
    "an input of a matte": (("matte", "no.png", "out.png"), "'no.png'"),
    "a background of a measurement": (("bench", "--background", "no.png"), "'no.png'"),
    "a model of a measurement": (("bench", "--model", "selfi"), "did you mean"),
    "a dataset": (("eval", "empty"), "cannot be evaluated"),
    "one of several models": (("eval", "data", "--model", "selfie,selfi"), "did you mean"),
    "a report that is there": (("eval", "data", "--out", "old"), "there already"),
    "a room that is not there": (("plate", "record", "no.mp4", "out.png"), "'no.mp4'"),
    "a plate that is no PNG": (("plate", "record", "clip.png", "out.jpg"), "expected the name"),
    "a folder of a demonstration": (("demo", "--out", "bad.png"), "cannot be made"),
}


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """Make every mistake, one after the other, and return how each ended."""
    folder = tmp_path_factory.mktemp("mistakes")
    _write_files(folder)
    before = {path.name for path in folder.rglob("*")}
    homes = dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"), str(folder / "home"))
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps([line for line, _ in _MISTAKES.values()]),
        cwd=folder,
        env={**os.environ, **homes},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert {path.name for path in folder.rglob("*")} == before
    answers = map(json.loads, result.stdout.splitlines())
    return dict(zip(_MISTAKES, answers, strict=True))


def _write_files(folder: Path) -> None:
    """Write what is there, and what is broken."""
    for name in ("home", "empty", "out", "old", "data/image", "data/mask"):
        (folder / name).mkdir(parents=True)
    for name in ("clip.png", "data/image/1.png", "data/mask/1.png"):
        assert cv2.imwrite(str(folder / name), np.full((48, 64, 3), 90, np.uint8))
    for name in ("bad.png", "bad.mp4", "old/report.json"):
        (folder / name).write_bytes(b"no picture\n" * 99)


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_is_told_at_once(ends: dict[str, list[object]], mistake: str) -> None:
    """A mistake is one sentence, before anything heavy is loaded."""
    status, said, heavy, _ = ends[mistake]
    assert _MISTAKES[mistake][1] in str(said)
    assert str(said).startswith("greenroom: error: ")
    assert len(str(said).splitlines()) == 1
    assert status in (1, 2)
    assert heavy == []
