"""The bundle for a GPU without a network: packed, sent in pieces, joined, installed and run."""

from __future__ import annotations

import ensurepip
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from scripts_loaded import ROOT, script

# A greenroom on a machine without a GPU, as far as the check looks before it says so.
MODULES = {
    "greenroom/__init__.py": "",
    "greenroom/engine/__init__.py": "",
    "greenroom/errors.py": (
        "class DeviceError(Exception): pass\nclass MissingExtraError(Exception): pass\n"
    ),
    "greenroom/cuda.py": (
        "from greenroom.errors import DeviceError\n"
        "def CupyDevice(): raise DeviceError('no device is detected')\n"
    ),
    "greenroom/engine/device_selection.py": "def reason_against_gpu(): return ''\n",
    "greenroom-9.dist-info/METADATA": "Metadata-Version: 2.1\nName: greenroom\nVersion: 9\n",
    "greenroom-9.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    "greenroom-9.dist-info/RECORD": "",
}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a small bundle in pieces of 600,000 bytes."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no working tree, as in a bundle")
    packer = script("scripts/gpu_bundle.py")
    monkeypatch.setattr(packer, "PIECE_BYTES", 600_000)
    monkeypatch.setattr(packer, "TREE", ("scripts/gpu_check.py",))
    wheels, data = tmp_path / "wheels", tmp_path / "data" / "data" / "clips"
    wheels.mkdir()
    data.mkdir(parents=True)
    (data / "one.mp4").write_bytes(os.urandom(700_000))
    with zipfile.ZipFile(wheels / "greenroom-9-py3-none-any.whl", "w") as wheel:
        for name, text in MODULES.items():
            wheel.writestr(name, text)
    pip = next(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"), None)
    if pip is None:
        pytest.skip("this Python has no pip of its own")
    shutil.copy(pip, wheels)
    folder = tmp_path / "sent"
    pieces = packer.pack(folder, wheels, ["greenroom==9"], tmp_path / "data")
    assert len(pieces) > 2
    assert all(piece.stat().st_size <= 600_000 for piece in pieces)
    return folder


def start(folder: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """Run the bundle's script as on another machine."""
    command = [sys.executable, str(folder / "start.py"), "--into", str(into)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_installs_and_runs_the_check(bundle: Path, tmp_path: Path) -> None:
    """The pieces become an environment, and the check says that there is no GPU."""
    done = start(bundle, tmp_path / "there")
    assert done.returncode == 2, done.stderr
    assert "there is no GPU to check: no device is detected" in done.stderr
    assert "Traceback" not in done.stderr
    clip = tmp_path / "there" / "shared" / "data" / "clips" / "one.mp4"
    assert clip.read_bytes() == (tmp_path / "data" / "data" / "clips" / "one.mp4").read_bytes()


@pytest.mark.parametrize("fault", ["missing", "damaged", "other Python"])
def test_what_cannot_be_used_is_told(
    bundle: Path,
    tmp_path: Path,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A piece that is not there or not whole, or another Python, ends before anything is run."""
    starter: Any = script("scripts/gpu_start.py")
    monkeypatch.setattr(starter, "HERE", bundle)
    monkeypatch.setattr(sys, "argv", ["start.py", "--into", str(tmp_path / "there")])
    piece = bundle / "bundle.tar.001"
    words = {"missing": "is missing", "damaged": "is damaged", "other Python": "Run that Python"}
    if fault == "missing":
        piece.unlink()
    elif fault == "damaged":
        piece.write_bytes(piece.read_bytes()[:-1] + b"?")
    else:
        monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert starter.main() == 3
    assert words[fault] in capsys.readouterr().err
