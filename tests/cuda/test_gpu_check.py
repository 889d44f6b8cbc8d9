"""The check on a GPU, as far as it goes without one."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scripts_loaded import ROOT, script

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from host_device import WatchedDevice


def test_times_and_differences(device: WatchedDevice, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has a line for each engine, and a device that is right is found to be so."""
    gpu = script("benchmarks/gpu.py")
    frames = gpu.clip("320x180", 3)
    assert frames[0].size == (320, 180)
    assert gpu.compare("selfie", frames, lambda: device)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[2].strip() for line in lines] == [
        *("processor", "engine", "its stages", "model, too"),
    ]
    assert "upload" in lines[2]
    assert "cannot run" in lines[3]


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


def test_pictures_on_clips(device: WatchedDevice) -> None:
    """Pictures and mattes of clips are compared with the processor's."""
    frames = script("benchmarks/gpu.py").clip("320x180", 3)
    clips = script("benchmarks/gpu_clips.py")
    assert max(clips.levels(frames, "selfie", device)) <= clips.MOST_LEVELS


def test_metrics_are_alike() -> None:
    """Metrics may differ by one percent, or by half of the last digit that is printed."""
    clips = script("benchmarks/gpu_clips.py")
    expected = {"iou": 0.9, "mad": 20.0, "leak": 0.001, "dtssd": math.nan}
    found = {"iou": 0.892, "mad": 20.3, "leak": 0.005, "dtssd": math.nan}
    same = {"iou": True, "mad": False, "leak": True, "dtssd": True}
    assert clips.alike(expected, found) == same
    assert not clips.alike({"dtssd": 1.0}, {"dtssd": math.nan})["dtssd"]


def test_what_is_to_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every measure has its line beside the figure asked, and says where it ran."""
    pictures = script("benchmarks/gpu.py").clip("320x180", 2)
    targets = script("benchmarks/gpu_targets.py")
    monkeypatch.setattr(targets, "clip", lambda *_: pictures)
    monkeypatch.setattr(targets, "_WARM_UP", 1)
    monkeypatch.setattr(targets, "DEVICE", "cpu")
    small = "320x180"
    fast = targets.Target("one", "ms", lambda: targets.one_stream("selfie", small, 2), 1e4)
    slow = targets.Target("all", "frames/s", lambda: targets.many_streams("selfie", small, 2, 0.2))
    slow = replace(slow, least=1e6)
    line = fast.line()
    assert line.startswith("| one, ms | ")
    assert "| ≤ 10000 | yes | selfie-" in line
    assert "| ≥ 1e+06 | no | selfie-" in slow.line()
    missing = targets.Target("gone", "ms", lambda: targets.one_stream("no-such", small, 2), 1.0)
    assert "| not measured: " in missing.line()
    speed, ran_on = targets.conversion("selfie", small, 4)
    assert speed > 0
    assert ran_on.endswith("; the rest on cpu")
    assert 0 < targets.cpu_time("selfie", small, 2)[0] < 1000


def test_parts_fit_into_five_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the sanitizer and clips at hand nothing is left out; otherwise it is told what is."""
    check = script("scripts/gpu_check.py")
    sanitizer = tmp_path / "compute-sanitizer"
    sanitizer.write_text("")
    sanitizer.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    parts = check.parts("selfie", "rvm", tmp_path)
    names = [part.name for part in parts]
    assert names == ["tests", "sanitizer", "times", "clips", "to reach"]
    assert parts[1].command[0] == str(sanitizer)
    assert sum(part.timeout_s for part in parts) < 300
    assert not capsys.readouterr().err
    monkeypatch.setattr(check, "find_sanitizer", lambda: None)
    left = check.parts("selfie", "rvm", tmp_path / "gone")
    assert [part.name for part in left] == ["tests", "times", "to reach"]
    assert capsys.readouterr().err.count("that part is left out") == 2


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
