"""The check on a GPU, as far as it goes without one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest
    from host_device import WatchedDevice

ROOT = Path(__file__).parents[2]


def script(name: str) -> Any:
    """Return a script as a module."""
    path = ROOT / name
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[path.stem] = module
    found.loader.exec_module(module)
    return module


def test_times_and_differences(device: WatchedDevice, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has a line for each engine, and a device that is right is found to be so."""
    gpu = script("benchmarks/gpu.py")
    frames = gpu.clip("320x180", 3)
    assert frames[0].size == (320, 180)
    assert gpu.compare("selfie", frames, lambda: device)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[2].strip() for line in lines] == [
        *("processor", "model", "engine", "its stages"),
    ]
    assert "upload" in lines[-1]


def test_a_device_that_is_wrong_is_found(
    device: WatchedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel with another result is a difference."""
    gpu = script("benchmarks/gpu.py")
    launch = device.launch

    def wrong(name: str, extent: tuple[int, ...], *arguments: Any) -> None:
        if name == "fill_plane":
            return
        if name == "upsample":
            launch("fill_plane", extent, 9, *arguments[3:])
        else:
            launch(name, extent, *arguments)

    monkeypatch.setattr(device, "launch", wrong)
    assert not gpu.compare("selfie", gpu.clip("320x180", 2), lambda: device)


def test_without_a_gpu_nothing_is_passed() -> None:
    """Where there is no GPU or no CuPy, the check says so, and fails."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/gpu_check.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no GPU to check" in done.stderr
