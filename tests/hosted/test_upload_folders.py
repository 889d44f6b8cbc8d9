"""Uploads of killed processes are deleted; those of living ones, and what is no folder, are not."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from greenroom.hosted.backgrounds import OperatorBackgrounds, Uploads
from greenroom.hosted.upload_folders import UploadFolder, delete_abandoned_uploads
from hosted.client import until
from hosted.service import asynchronous, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

UPLOADER = """
import sys
from greenroom.hosted.backgrounds import OperatorBackgrounds, Uploads
uploads = Uploads(OperatorBackgrounds())
file, path = uploads.open_upload()
file.write(b"room")
file.flush()
print(path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have temporary folders in one of the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("TEMP", str(tmp_path))
    return tmp_path


@contextmanager
def uploading() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a process that has an upload; yield it, and the file."""
    process = subprocess.Popen(
        [sys.executable, "-c", UPLOADER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process, ExitStack() as stack:
        stack.callback(process.kill)
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())


def test_uploads_of_a_killed_process(temporary: Path) -> None:
    """They are deleted once it has been killed, and while it lives they are not."""
    with uploading() as (process, path):
        delete_abandoned_uploads()
        assert path.read_bytes() == b"room"
        process.kill()
        process.wait()
        assert path.exists()
        delete_abandoned_uploads()
        assert [*temporary.iterdir()] == []


@asynchronous
async def test_the_next_service_deletes_them() -> None:
    """A service does that when it starts."""
    with uploading() as (process, path):
        process.kill()
        process.wait()
        assert path.exists()
        async with serving() as service:
            await service.sessions.prepare()
            await until(lambda: not path.parent.exists(), "the end of the upload")


def test_uploads_of_this_process_stay() -> None:
    """A session's uploads are there until it ends."""
    uploads = Uploads(OperatorBackgrounds())
    file, path = uploads.open_upload()
    file.close()
    delete_abandoned_uploads()
    assert path.exists()
    uploads.close()
    assert not path.parent.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions and links")
def test_what_others_could_have_made_stays(temporary: Path) -> None:
    """Links, folders that others may write to, and those without a lock are not touched."""
    target = temporary / "target"
    for folder in (target, temporary / "greenroom-uploads-open"):
        folder.mkdir()
        (folder / "lock").touch()
    (temporary / "greenroom-uploads-open").chmod(0o777)
    (temporary / "greenroom-uploads-link").symlink_to(target)
    (temporary / "greenroom-uploads-file").touch()
    (temporary / "greenroom-uploads-bare").mkdir(0o700)
    linked = temporary / "greenroom-uploads-linked"
    linked.mkdir(0o700)
    (linked / "lock").symlink_to(target / "lock")
    before = sorted(temporary.rglob("*"))
    delete_abandoned_uploads()
    assert sorted(temporary.rglob("*")) == before


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives folders away"
)
def test_folders_of_another_user_stay(temporary: Path) -> None:
    """Also where this process may delete them."""
    other = temporary / "greenroom-uploads-other"
    other.mkdir(0o700)
    (other / "lock").touch()
    os.chown(other, 12345, 12345)
    delete_abandoned_uploads()
    assert other.exists()


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only machine has none, and so no uploads."""

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none)
    delete_abandoned_uploads()
    with pytest.raises(FileNotFoundError):
        UploadFolder()
