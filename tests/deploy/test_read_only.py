"""The service as container and unit run it: nothing can be written, the user has no rights."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

pytest.importorskip("aiortc", reason="the extra 'hosted' is not installed")

from hosted.client import Client, PersonTrack, until
from hosted.service import asynchronous
from hosted.workers.served import served

ROOT = Path(__file__).parents[2]
NOBODY = 65534
SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
for path in {hidden}; do
    mkdir -p "/mnt$path"
    mount --bind "$path" "/mnt$path"
done
for folder in {closed}; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
for path in {hidden}; do
    mkdir -p "$path"
    mount --bind "/mnt$path" "$path"
done
umount --recursive --lazy /mnt
while read -r _ folder _; do
    case "$folder" in /tmp|/proc*|/dev*|/sys*) ;; *) mount -o remount,bind,ro "$folder" ;; esac
done </proc/self/mounts
cd /
exec setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs --bounding-set=-all \\
    env -i PATH=/usr/bin HOME=/nonexistent PYTHONDONTWRITEBYTECODE=1 "$@"
"""


def may_mount() -> bool:
    """Whether file systems can be mounted where nobody else sees them."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    command = ["unshare", "--mount", "mount", "--make-rprivate", "/"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def is_closed(folder: Path) -> bool:
    """Whether others may not enter a folder."""
    return not folder.stat().st_mode & 0o001


def script() -> str:
    """Return what makes everything read-only; Python and the package stay readable for all."""
    needed = [Path(sys.base_prefix), Path(sys.prefix), ROOT]
    hidden = [path for path in needed if any(map(is_closed, path.parents))]
    hidden += [path for path in needed if path.is_relative_to("/tmp") and path not in hidden]  # noqa: S108
    closed = {
        next(one for one in reversed(path.parents) if is_closed(one))
        for path in hidden
        if any(map(is_closed, path.parents))
    }
    return SCRIPT.format(
        hidden=" ".join(f"'{path}'" for path in hidden),
        closed=" ".join(f"'{path}'" for path in closed),
        user=NOBODY,
    )


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.skipif(not may_mount(), reason="needs root, to mount file systems of its own")
@asynchronous
async def test_nothing_is_written_but_uploads() -> None:
    """It starts, a call works, and an upload is kept in /tmp for its session."""
    within = ["unshare", "--mount", "sh", "-c", script(), "sh"]
    with served("--workers=2", "--max-sessions=2", within=within) as service:
        process = Path(f"/proc/{service.process.pid}")
        assert_has_no_rights(process)
        async with (
            httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=30) as http,
            Client(http, PersonTrack()) as client,
        ):
            assert (await client.connect()).status_code == 201
            await until(lambda: client.count > 10, "frames")
            file = io.BytesIO()
            Image.effect_noise((320, 240), 90).save(file, "PNG")
            path = f"{client.location}/backgrounds?name=a.png"
            assert (await http.post(path, content=file.getvalue())).status_code == 201
            uploads = entries(process / "root" / "tmp")
            assert uploads
            assert (await http.delete(client.location)).status_code == 200
            assert not set(uploads) & set(entries(process / "root" / "tmp"))
        assert service.end() == 0


def assert_has_no_rights(process: Path) -> None:
    """Fail if a process has a privilege, or is another user's."""
    status = (process / "status").read_text()
    assert f"Uid:\t{NOBODY}\t{NOBODY}" in status
    assert "CapBnd:\t0000000000000000" in status


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder."""
    return list(folder.iterdir())
