"""Pack the check on a GPU for a machine that has Python, a GPU's driver, and no network.

python scripts/gpu_bundle.py FOLDER [--wheels FOLDER] [--data FOLDER] [--without-libraries]

Into FOLDER go pieces of less than 55 MiB and `start.py`, to be copied to that machine. There

python3 start.py [ARGUMENTS OF gpu_check.py]

joins and checks them, installs everything offline, and runs the check. The machine needs the
Python version and the kind of processor that this script ran with.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
START: Final = ROOT / "scripts" / "gpu_start.py"
MIB: Final = 1 << 20
# Pieces are sent by ways that take 55 MiB.
PIECE_BYTES: Final = 54 * MIB
_READ_BYTES: Final = MIB
# What the check reads of the working tree, beside the package itself; not what git ignores.
TREE: Final = ("benchmarks", "scripts", "tests", "pyproject.toml")
EXTRAS: Final = "cuda,demo,hosted"
TOOLS: Final = (
    *("hypothesis", "pytest", "pytest-randomly", "pytest-socket", "pytest-timeout", "scipy"),
    # Where the machine's Python has no pip, as on Debian, this one is run from its wheel.
    "pip",
)
# NVIDIA's sanitizer; and what ONNX Runtime's networks need, 1 GB.
SANITIZER: Final = "nvidia-cuda-sanitizer-api>=13,<14"
LIBRARIES: Final = ("onnxruntime-gpu[cuda,cudnn]",)
# Files of the data folder that are packed.
DATA: Final = ("data/clips/*", "models/*.onnx", "models/selfie_*.tflite")


def main() -> int:
    """Pack everything; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wheels", type=Path, action="append", default=[])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--without-libraries", action="store_true")
    arguments = parser.parse_args()
    tools = (*TOOLS, SANITIZER, *(() if arguments.without_libraries else LIBRARIES))
    with tempfile.TemporaryDirectory(prefix="greenroom-gpu-") as folder:
        wheels = Path(folder, "wheels")
        try:
            requirements = collect(wheels, tools, arguments.wheels)
        except subprocess.CalledProcessError as error:
            print(f"the wheels cannot be had: pip ended with {error.returncode}", file=sys.stderr)
            return 1
        pieces = pack(arguments.folder, wheels, requirements, arguments.data)
    size = sum(piece.stat().st_size for piece in pieces)
    print(f"{len(pieces)} pieces of {size / MIB:.0f} MiB together, and start.py, in ", end="")
    print(f"'{arguments.folder}'; copy them to the machine, and run python3 start.py there")
    return 0


def collect(wheels: Path, tools: Iterable[str], links: Iterable[Path]) -> list[str]:
    """Build greenroom's wheel, get all others, and return what is to be installed.

    Parameters
    ----------
    wheels : Path
        Where they go.
    tools : iterable of str
        Requirements besides greenroom's own.
    links : iterable of Path
        Folders with wheels, which are looked at, too.

    Raises
    ------
    CalledProcessError
        If pip fails; it has said why.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)]
    subprocess.run(build, check=True)
    (made,) = wheels.glob("greenroom-*.whl")
    version = made.name.split("-")[1]
    found = [option for folder in (wheels, *links) for option in ("--find-links", str(folder))]
    wanted = [f"greenroom[{EXTRAS}]=={version}", *tools]
    get = [*pip, "download", "--quiet", "--only-binary", ":all:", "--dest", str(wheels), *found]
    subprocess.run([*get, *wanted], check=True)
    return wanted


def pack(folder: Path, wheels: Path, requirements: Iterable[str], data: Path) -> list[Path]:
    """Write pieces, their hashes and `start.py` into a folder; return the pieces.

    Parameters
    ----------
    folder : Path
        Made if it is not there; pieces of an earlier bundle in it are removed.
    wheels : Path
        All that is to be installed.
    requirements : iterable of str
        What pip is asked for.
    data : Path
        Folder whose clips and models are packed; nothing is where it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("bundle.tar.*"):
        old.unlink()
    with tempfile.TemporaryFile() as whole:
        with tarfile.open(fileobj=whole, mode="w") as archive:
            for name, path in _files(wheels, data):
                archive.add(path, name)
            _add_text(archive, "requirements.txt", "\n".join(requirements) + "\n")
            _add_text(archive, "machine.txt", _machine())
        whole.seek(0)
        pieces = list(_split(whole, folder))
    shutil.copyfile(START, folder / "start.py")
    return pieces


def _files(wheels: Path, data: Path) -> Iterator[tuple[str, Path]]:
    """Yield names in the archive, and files."""
    for wheel in sorted(wheels.glob("*.whl")):
        yield f"wheels/{wheel.name}", wheel
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *TREE]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            yield f"greenroom/{name}", ROOT / name
    for pattern in DATA:
        for path in sorted(data.glob(pattern)):
            yield f"shared/{path.relative_to(data).as_posix()}", path


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        archive.add(file.name, name)


def _machine() -> str:
    """Return the Python version and the kind of processor that the wheels are for."""
    return f"{sys.version_info.major}.{sys.version_info.minor} {platform.machine()}\n"


def _split(whole: BinaryIO, folder: Path) -> Iterator[Path]:
    """Write a file as pieces, and their hashes as `sha256sum` does."""
    sums = []
    for number in range(sys.maxsize):
        piece = folder / f"bundle.tar.{number:03}"
        found = hashlib.sha256()
        with piece.open("wb") as target:
            while target.tell() < PIECE_BYTES:
                read = whole.read(min(_READ_BYTES, PIECE_BYTES - target.tell()))
                if not read:
                    break
                target.write(read)
                found.update(read)
            size = target.tell()
        if not size:
            piece.unlink()
            break
        sums.append(f"{found.hexdigest()}  {piece.name}\n")
        yield piece
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="ascii")


if __name__ == "__main__":
    sys.exit(main())
