"""Join the pieces that gpu_bundle.py made, install them offline, and run the check on a GPU.

python3 start.py [--into FOLDER] [ARGUMENTS OF gpu_check.py]

It needs Python alone, not even pip. The exit status is that of the check, or 3 if it does not get
that far: a piece is missing or damaged, or the Python is not the one that the wheels are for.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
_READ_BYTES: Final = 1 << 20
_FAILED: Final = 3


class BundleError(Exception):
    """The bundle cannot be used here; the message says why."""


def main() -> int:
    """Do all of it; return the exit status."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--into", type=Path, default=Path("greenroom-gpu"))
    arguments, others = parser.parse_known_args()
    into = arguments.into.absolute()
    try:
        unpack(HERE, into)
        check_machine(into)
        python = install(into)
    except (BundleError, OSError) as error:
        print(f"the bundle cannot be used: {error}", file=sys.stderr)
        return _FAILED
    tree = into / "greenroom"
    environment = {"GREENROOM_MODELS_DIR": str(into / "shared" / "models"), **os.environ}
    command = [str(python), "scripts/gpu_check.py", *others]
    return subprocess.run(command, cwd=tree, env=environment, check=False).returncode


def unpack(pieces: Path, into: Path) -> None:
    """Check all pieces, and unpack what they are together.

    Raises
    ------
    BundleError
        If one is missing or damaged.
    """
    lines = (pieces / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    named = [line.split() for line in lines]
    into.mkdir(parents=True, exist_ok=True)
    joined = into / "bundle.tar"
    with joined.open("wb") as whole:
        for expected, name in named:
            path = pieces / name
            if not path.is_file():
                message = f"'{name}' is missing in '{pieces}'. Copy it there."
                raise BundleError(message)
            found = hashlib.sha256()
            with path.open("rb") as piece:
                while read := piece.read(_READ_BYTES):
                    found.update(read)
                    whole.write(read)
            if found.hexdigest() != expected:
                message = f"'{name}' is damaged. Copy it again."
                raise BundleError(message)
    with tarfile.open(joined) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(into, filter="data")
        else:  # hashes were checked
            archive.extractall(into)  # noqa: S202
    joined.unlink()


def check_machine(into: Path) -> None:
    """Raise `BundleError` unless the wheels are for this Python and processor."""
    wanted = (into / "machine.txt").read_text(encoding="utf-8").strip()
    found = f"{sys.version_info.major}.{sys.version_info.minor} {platform.machine()}"
    if found != wanted:
        message = f"its wheels are for Python {wanted}, and this is {found}. Run that Python."
        raise BundleError(message)


def install(into: Path) -> Path:
    """Install everything into an environment of its own, and return its Python.

    Raises
    ------
    BundleError
        If pip fails; it has said why.
    """
    environment, wheels = into / "venv", into / "wheels"
    python = environment / "bin" / "python"
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(environment)], check=False
    )
    pip = next(wheels.glob("pip-*.whl"), None)
    if made.returncode or pip is None:
        message = "an environment cannot be made" if made.returncode else "it has no pip"
        raise BundleError(message)
    command = [str(python), str(pip / "pip"), "--disable-pip-version-check", "--isolated"]
    command += ["install", "--quiet", "--no-index", "--find-links", str(wheels)]
    command += ["--requirement", str(into / "requirements.txt")]
    if subprocess.run(command, check=False).returncode:
        message = "pip could not install it; see above"
        raise BundleError(message)
    return python


if __name__ == "__main__":
    sys.exit(main())
