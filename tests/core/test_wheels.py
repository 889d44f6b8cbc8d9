"""The wheels that `make wheels` makes on this machine for all others, as far as they run here."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import arm64
import core_fuzz
import numpy as np
import pytest
from core_cases import CASES
from test_build import ROOT, check_conversion, copy_tree

import build_core

if TYPE_CHECKING:
    from arm64 import Arm64

# zig makes what it needs of every system's libraries first: in all some minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROUNDS: Final = 20


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources in which the wheels were made."""
    tree = copy_tree(tmp_path_factory.mktemp("wheels") / "tree", models=True)
    for name in ("Makefile", "build_wheels.py"):
        shutil.copy(ROOT / name, tree)
    make = ["make", "wheels", f"PYTHON={sys.executable}"]
    result = subprocess.run(make, cwd=tree, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return tree


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Arm64:
    """Return an emulated 64-bit ARM."""
    try:
        return arm64.unpack(tmp_path_factory.mktemp("arm64"))
    except arm64.Arm64Error as error:
        pytest.skip(f"no 64-bit ARM here: {error}")


def wheel_for(tree: Path, name: str) -> Path:
    """Return the wheel for a platform."""
    return next((tree / "dist").glob(f"greenroom-*-py3-none-{name}.whl"))


def test_every_platform_has_a_wheel_with_its_libraries_alone(tree: Path) -> None:
    """Each has the builds of its own kind of machine, and none of another."""
    endings = {"manylinux": ".so", "macosx": ".dylib", "win": ".dll"}
    for name, zig in build_core.PLATFORMS.items():
        with zipfile.ZipFile(wheel_for(tree, name)) as wheel:
            found = {Path(path).name for path in wheel.namelist() if "/core_" in path}
        builds = ["avx2", "baseline"] if zig.startswith("x86_64") else ["baseline"]
        assert found == {f"core_{build}{endings[name.split('_')[0]]}" for build in builds}


def test_the_source_tree_keeps_the_libraries_of_this_machine(tree: Path) -> None:
    """What is made for others never gets where greenroom would load it from."""
    paths = sorted((tree / build_core.FOLDER).glob("core_*"))
    assert paths
    for path in paths:
        assert path.read_bytes() == (ROOT / build_core.FOLDER / path.name).read_bytes()


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="needs Linux on x86-64"
)
def test_the_wheel_for_linux_converts_a_picture(tree: Path, tmp_path: Path) -> None:
    """Installed on its own, zig's build of the core puts a background behind a person."""
    check_conversion(wheel_for(tree, "manylinux_2_17_x86_64"), tmp_path)


def test_the_wheel_for_arm_computes_what_this_machine_does(
    tree: Path, machine: Arm64, tmp_path: Path
) -> None:
    """Every function of the core has the same results on 64-bit ARM, to rounding."""
    packages = "ai-edge-litert av numpy opencv-python-headless pillow platformdirs pydantic"
    machine.install(*(arm64.same_version(name) for name in packages.split()))
    machine.install("--no-deps", wheel_for(tree, "manylinux_2_17_aarch64"))
    for name in ("core_cases.py", "core_fuzz.py"):
        shutil.copy(Path(__file__).with_name(name), tmp_path)
    path = tmp_path / "results.npz"
    script = tmp_path / "core_fuzz.py"
    result = machine.run(script, "--rounds", str(ROUNDS), "--save", path)
    assert result.returncode == 0, result.stderr
    mine = core_fuzz.results(CASES, ROUNDS)
    with np.load(path) as theirs:
        assert mine.keys() == set(theirs)
        faults = {key: core_fuzz.difference(value, theirs[key]) for key, value in mine.items()}
    assert not {key: fault for key, fault in faults.items() if fault}
