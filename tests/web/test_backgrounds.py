"""The gallery over HTTP: what may be uploaded, under which name, and in which order."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import av
import cv2
import numpy as np
import pytest
from PIL import Image

from greenroom.backgrounds import create_background
from greenroom.media.animation import count_frames
from greenroom.media.colour import Colour
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.web.uploads import MAX_UPLOAD_BYTES
from web.conftest import PORT, TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.testclient import TestClient
    from starlette.types import ASGIApp

    from greenroom.web.gallery import Gallery
    from web.fake_session import FakeSession

pytestmark = [pytest.mark.usefixtures("no_thread_left")]

URL = "/api/backgrounds"
BLUE = np.full((90, 160, 3), (30, 60, 200), np.uint8)


def encoded(suffix: str, rgb: np.ndarray[Any, np.dtype[np.uint8]] = BLUE) -> bytes:
    """Return a picture as a file's bytes."""
    return cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def png_of(width: int, height: int) -> bytes:
    """Return a PNG that says it is so large, with a row of pixels in it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(3 * width + 1))
    chunks = (
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in (header, body, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def zipped() -> bytes:
    """Return a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("beach.png", encoded(".png"))
    return file.getvalue()


def left_over(gallery: Gallery) -> list[str]:
    """Return what lies in the gallery's folder besides what belongs there."""
    belongs = {"thumbnails", "index.json"}
    return [path.name for path in gallery.folder.iterdir() if path.name not in belongs]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".avif"])
def test_a_picture_becomes_a_background(client: TestClient, suffix: str) -> None:
    """Every usual kind of picture is taken, comes first, and can be shown."""
    answer = client.post(URL, params={"name": f"My_room{suffix}"}, content=encoded(suffix))

    assert answer.status_code == 201, answer.text
    item = answer.json()
    assert client.get(URL).json()[0] == item
    assert (item["name"], item["kind"], item["is_own"]) == ("My room", "picture", True)
    create_background(Settings(background=item["path"])).close()
    kept = cv2.imread(item["path"], cv2.IMREAD_COLOR_RGB)
    assert kept is not None
    assert abs(kept.astype(int) - BLUE).max() <= 6


def test_a_video_is_kept_without_its_sound_and_tags(
    client: TestClient, make_video: Callable[..., Path]
) -> None:
    """A moving background is kept as it is, and can be shown."""
    path = make_video([BLUE, 255 - BLUE], name="waves.mp4")
    item = client.post(URL, params={"name": "waves.mp4"}, content=path.read_bytes())

    assert item.status_code == 201, item.text
    assert item.json()["kind"] == "video"
    create_background(Settings(background=item.json()["path"])).close()
    assert client.get(item.json()["thumbnail"]).status_code == 200


def test_what_a_video_hides_stays_hidden(client: TestClient, tmp_path: Path) -> None:
    """Of an uploaded WebM with alpha, what has no coverage is black, and browsers know of it."""
    path = tmp_path / "hidden.webm"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libvpx-vp9", rate=25, options={"auto-alt-ref": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuva420p"
        frame = av.VideoFrame.from_ndarray(np.dstack([BLUE, BLUE[:, :, 0] * 0]), "rgba")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        target.mux([*stream.encode(frame.reformat(format="yuva420p")), *stream.encode(None)])
    item = client.post(URL, params={"name": "hidden.webm"}, content=path.read_bytes())

    assert item.status_code == 201, item.text
    layout = Layout(160, 90, "yuv420p", Colour())
    background = create_background(Settings(background=item.json()["path"]))
    assert background.cover(layout, 0.0).planes[0].max() <= 20
    background.close()
    with av.open(item.json()["path"]) as kept:
        tags = {name.lower(): value for name, value in kept.streams.video[0].metadata.items()}
    assert tags["alpha_mode"] == "1"


def test_a_gif_moves(client: TestClient, make_video: Callable[..., Path]) -> None:
    """A GIF is kept as a moving background."""
    path = make_video([BLUE, 255 - BLUE], name="waves.gif")
    item = client.post(URL, params={"name": "waves.gif"}, content=path.read_bytes())

    assert item.status_code == 201, item.text
    assert item.json()["kind"] == "video"
    create_background(Settings(background=item.json()["path"])).close()


@pytest.mark.parametrize("kind", ["webp", "png"])
def test_an_animation_moves(client: TestClient, kind: str) -> None:
    """An animated WebP or PNG is kept as a moving background, without what is beside it."""
    data = io.BytesIO()
    first, second = (Image.fromarray(rgb) for rgb in (BLUE, 255 - BLUE))
    exif = Image.Exif()
    exif[0x010F] = "maker of cameras"
    first.save(data, kind, save_all=True, append_images=[second], duration=200, exif=exif)
    item = client.post(URL, params={"name": f"waves.{kind}"}, content=data.getvalue()).json()

    assert item["kind"] == "video"
    kept = Path(item["path"])
    assert kept.stat().st_mode & 0o777 == 0o600
    assert count_frames(kept, 160) == 2
    assert b"maker of cameras" not in kept.read_bytes()
    create_background(Settings(background=item["path"])).close()
    assert client.get(item["thumbnail"]).status_code == 200


def test_an_animation_of_too_many_frames(client: TestClient, gallery: Gallery) -> None:
    """A small file that would become gigabytes of frames is refused before they are decoded."""
    data = io.BytesIO()
    first = Image.new("1", (3000, 2000))
    others = [Image.new("1", (3000, 2000), number % 2) for number in range(1, 20)]
    first.save(data, "PNG", save_all=True, append_images=others, duration=50)
    answer = client.post(URL, params={"name": "waves.png"}, content=data.getvalue())

    assert answer.status_code == 422
    assert "too many frames" in answer.json()["message"]
    assert left_over(gallery) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png_of(10000, 10000), "10000x10000 pixels"),
        (png_of(20000, 10), "too large"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "SVG"),
        (b'<?xml version="1.0"?>\n<svg viewBox="0 0 9 9"/>', "SVG"),
        (zipped(), "zip archive"),
        (b"just some words", "text"),
        (b"\x00\x01\x02\x03" * 99, "not known"),
        (b"", "empty"),
        (encoded(".jpg")[:300], "cannot be read"),
        (encoded(".png")[:30], "cannot be read"),
        (b"#EXTM3U\nhttp://127.0.0.1/x.ts\n", "text"),
        (b"\0\0\0\x1cftypavif" + bytes(99), "damaged"),
        (b"\0\0\0\x1cftypheic" + bytes(99), "damaged"),
        (b"\0\0\0\x1cftypisom" + bytes(99), "cannot be read"),
    ],
)
def test_what_is_no_background_is_refused(
    client: TestClient, gallery: Gallery, data: bytes, words: str
) -> None:
    """An upload is told by its content, limited before it is decoded, and leaves nothing."""
    answer = client.post(URL, params={"name": "beach.png"}, content=data)

    assert answer.status_code == 422
    assert words in answer.json()["message"]
    assert left_over(gallery) == []


def test_an_endless_upload_is_cut_off(app: ASGIApp, gallery: Gallery) -> None:
    """Two gigabytes that come in pieces are read up to the limit, and nothing of them stays."""
    # Starlette's client would collect them first, so the application is called as a server does.
    pieces = iter([encoded(".png"), *[bytes(2**20)] * 2**11])
    received = 0
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": URL,
        "root_path": "",
        "query_string": b"name=big.png",
        "headers": [
            (b"host", f"127.0.0.1:{PORT}".encode()),
            (b"authorization", f"Bearer {TOKEN}".encode()),
        ],
    }

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": next(pieces), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(app, scope, receive, send)

    assert sent[0]["status"] == 413
    assert b"50 MiB" in sent[1]["body"]
    assert received <= MAX_UPLOAD_BYTES // 2**20 + 1
    assert left_over(gallery) == []


def test_an_upload_that_says_it_is_too_large_is_not_read(client: TestClient) -> None:
    """What is announced as more than the limit is refused at once."""
    said = client.post(URL, content=b"", headers={"Content-Length": str(MAX_UPLOAD_BYTES + 1)})

    assert said.status_code == 413


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot"),
        ("/", "Unnamed"),
        ("..", "Unnamed"),
        ("a\x00b\x1b[31m.png", "ab[31m"),
        ("<img src=x>.png", "<img src=x>"),
        ("x" * 500 + ".png", "x" * 60),
    ],
)
def test_a_name_is_only_shown(client: TestClient, gallery: Gallery, name: str, shown: str) -> None:
    """Whatever a file is called, it lies in the gallery's folder under a random name."""
    item = client.post(URL, params={"name": name}, content=encoded(".png")).json()

    assert item["name"] == shown
    assert Path(item["path"]).parent == gallery.folder
    assert len(item["id"]) == 16
    assert set(item["id"]) <= set("0123456789abcdef")


def test_backgrounds_are_arranged_and_removed(client: TestClient, session: FakeSession) -> None:
    """The order is kept; what is in use, or greenroom's own, is not removed."""
    item = client.post(URL, params={"name": "a.png"}, content=encoded(".png")).json()
    ids = [other["id"] for other in client.get(URL).json()]

    arranged = client.put(f"{URL}/order", json=ids[::-1]).json()
    assert [other["id"] for other in arranged] == ids[::-1]
    assert client.put(f"{URL}/order", json=["nothing"]).status_code == 404
    assert client.put(f"{URL}/order", json={}).status_code == 422
    session.update(background=item["path"])
    assert client.delete(f"{URL}/{item['id']}").status_code == 409
    session.update(background="blur")
    assert client.delete(f"{URL}/{item['id']}").status_code == 200
    assert client.delete(f"{URL}/{item['id']}").status_code == 404
    assert not Path(item["path"]).exists()
    assert client.delete(f"{URL}/beach").status_code == 422
    assert client.get(f"{URL}/..%2Findex.json/thumbnail").status_code == 404
