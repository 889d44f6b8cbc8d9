"""Backgrounds of hosted sessions: what a client may name, and its uploads."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from greenroom.errors import BackgroundError, SettingsError
from greenroom.hosted import backgrounds, segmenter_loans
from greenroom.hosted.backgrounds import OperatorBackgrounds, Uploads
from greenroom.specs import BUILTIN
from greenroom.testing import PersonSegmenter
from hosted.client import Client, PersonTrack, until
from hosted.service import asynchronous, serving

if TYPE_CHECKING:
    from hosted.service import Service


def picture(colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """Return a PNG of one colour."""
    samples = np.full((90, 160, 3), colour[::-1], np.uint8)
    return bytes(cv2.imencode(".png", samples)[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an operator's folder with one picture and something else."""
    made = tmp_path / "operator"
    made.mkdir()
    (made / "Our_logo.png").write_bytes(picture())
    (made / "notes.txt").write_text("secret", encoding="utf-8")
    return made


@pytest.mark.parametrize(
    "background",
    [
        *("none", "transparent", "grayscale", "color", "blur:", "pixelate:", "color:", ":", ""),
        *("/etc/passwd", "../x.png", "~/x.png", "x.png", ".", "/", "file:///etc/passwd"),
        *("http://127.0.0.1/x.png", "rtsp://127.0.0.1/", "concat:a|b", "picture:0", "Beach"),
        *("picture:../../x", "beach\0", "beach ", 7, None, ["beach"], {"a": 1}),
    ],
)
def test_nothing_of_the_server_can_be_named(background: object, folder: Path) -> None:
    """Neither paths nor addresses, nor words that show the room, are taken."""
    uploads = Uploads(OperatorBackgrounds(folder))
    with pytest.raises(SettingsError, match="expected blur") as refused:
        uploads.resolve({"background": background})
    assert refused.value.name == "background"


def test_words_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words, strengths and colours are; a built-in one is never a file of the server's folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beach").mkdir()
    uploads = Uploads(OperatorBackgrounds())
    for word in ("blur", "blur:0.6", "pixelate", "color:#204060", "color:teal"):
        assert uploads.resolve({"background": word}) == {"background": word}
        assert uploads.shown(word) == word
    for word in BUILTIN:
        path = uploads.resolve({"background": word})["background"]
        assert Path(path).is_absolute()
        assert uploads.shown(path) == word
    assert uploads.shown("/srv/room.png") == "operator"
    assert uploads.resolve({"mirror": True}) == {"mirror": True}


def test_operators_pictures(folder: Path) -> None:
    """They follow the built-in ones, by a name to display and an id that says no path."""
    shared = OperatorBackgrounds(folder)
    own = shared.choices[len(BUILTIN) :]
    assert [choice.name for choice in own] == ["Our logo"]
    told = own[0].told("/thumbnail")
    assert str(folder) not in str(told)
    assert shared.thumbnail(own[0].id)[:2] == b"\xff\xd8"
    uploads = Uploads(shared)
    resolved = uploads.resolve({"background": own[0].background})["background"]
    assert resolved == str((folder / "Our_logo.png").resolve())
    with pytest.raises(BackgroundError, match="cannot be read"):
        OperatorBackgrounds(folder / "none")


def test_uploads_end_with_the_session(tmp_path: Path) -> None:
    """They lie in a private folder, are limited in number, and are deleted at the end."""
    uploads = Uploads(OperatorBackgrounds())
    for _ in range(8):
        file, path = uploads.open_upload()
        with file:
            file.write(picture())
        choice = uploads.add(path, "../../my room.png")
    assert choice.name == "my room"
    assert choice.path.parent.stat().st_mode & 0o077 == 0
    with pytest.raises(BackgroundError, match="8 uploads"):
        uploads.open_upload()
    other = Uploads(OperatorBackgrounds())
    with pytest.raises(SettingsError):
        other.resolve({"background": choice.background})
    uploads.close()
    assert not choice.path.parent.exists()
    with pytest.raises(BackgroundError, match="has ended"):
        uploads.open_upload()
    assert tmp_path.exists()


@asynchronous
async def test_thumbnails_are_documented_as_pictures() -> None:
    """The description of the interface says JPEG, not JSON."""
    async with serving() as service:
        paths = (await service.http.get("/openapi.json")).json()["paths"]
        thumbnails = [path for path in paths if path.endswith("/thumbnail")]
        assert len(thumbnails) == 2
        for path in thumbnails:
            assert [*paths[path]["get"]["responses"]["200"]["content"]] == ["image/jpeg"]


def test_uploads_under_way_count() -> None:
    """Uploads that never end are no more than those that a session may keep."""
    uploads = Uploads(OperatorBackgrounds())
    paths = []
    for _ in range(8):
        file, path = uploads.open_upload()
        file.close()
        paths.append(path)
    with pytest.raises(BackgroundError, match="8 uploads"):
        uploads.open_upload()
    uploads.end_upload(paths[0])
    file, path = uploads.open_upload()
    file.close()
    uploads.close()
    uploads.end_upload(path)
    assert not path.parent.exists()


def test_no_room_for_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full or read-only disk is told in words; nothing of the upload stays counted."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    uploads = Uploads(OperatorBackgrounds())
    with monkeypatch.context() as patched:
        patched.setattr(backgrounds, "new_file", full)
        for _ in range(9):
            with pytest.raises(BackgroundError, match="cannot be kept: No space left"):
                uploads.open_upload()
    with monkeypatch.context() as patched:
        patched.setattr("tempfile.mkdtemp", full)
        with pytest.raises(BackgroundError, match="cannot be kept: No space left"):
            Uploads(OperatorBackgrounds()).open_upload()
    uploads.open_upload()[0].close()
    uploads.close()


@pytest.mark.allow_hosts(["127.0.0.1"])
@asynchronous
async def test_uploads_are_converted_two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large pictures that come at once are not all in memory at once."""
    monkeypatch.setattr(segmenter_loans, "create_segmenter", lambda *_: PersonSegmenter())
    counts, lock, running = [], threading.Lock(), 0

    def make(upload: Path, target: Path, _name: str) -> Path:
        nonlocal running
        with lock:
            running += 1
            counts.append(running)
        time.sleep(0.05)
        with lock:
            running -= 1
        return upload.rename(target.with_suffix(".png"))

    monkeypatch.setattr(backgrounds, "make_background", make)
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect()
        posts = [
            service.http.post(f"{client.location}/backgrounds", content=picture()) for _ in range(8)
        ]
        answers = await asyncio.gather(*posts)
        assert {answer.status_code for answer in answers} == {201}
        assert max(counts) == 2


@pytest.mark.allow_hosts(["127.0.0.1"])
@asynchronous
async def test_upload_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's picture is put behind by the value that it was told, and no error leaks a path."""
    monkeypatch.setattr(segmenter_loans, "create_segmenter", lambda *_: PersonSegmenter())
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect()
        await until(lambda: client.count > 5, "frames")
        told = await _uploaded(service, client)
        client.send(settings={"background": told["background"]})
        await until(lambda: len(client.told("settings")) > 1, "the answer")
        assert client.told("settings")[-1]["background"] == told["background"]
        await until(lambda: client.frames[-1][1].to_rgb()[:20, :20, 0].mean() > 150, "the picture")
        thumbnail = await service.http.get(told["thumbnail"])
        assert thumbnail.headers["content-type"] == "image/jpeg"
        assert (await service.http.get("/backgrounds/none/thumbnail")).status_code == 404
        listed = (await service.http.get("/backgrounds")).json()
        assert [one["background"] for one in listed] == list(BUILTIN)
        assert client.room_pixels == 0


async def _uploaded(service: Service, client: Client) -> dict[str, str]:
    address = f"{client.location}/backgrounds"
    for wrong in (b"", b"<svg></svg>", b"\x89PNG\r\n\x1a\n" + b"x" * 100):
        refused = await service.http.post(address, content=wrong, params={"name": "x.png"})
        assert refused.status_code == 422
        assert "/tmp" not in refused.text  # noqa: S108
    response = await service.http.post(address, content=picture(), params={"name": "Room.png"})
    assert response.status_code == 201
    told: dict[str, str] = response.json()
    return told
