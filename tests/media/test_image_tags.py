"""What goes along with a picture: date and resolution, and the place only when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pillow_heif
import pytest
from PIL import Image

from greenroom.errors import IncompleteError
from greenroom.files.convert import convert, extract_matte
from greenroom.media.image_tags import read_tags

if TYPE_CHECKING:
    from pathlib import Path

DATE: Final = "2024:07:01 12:30:00"
SECRETS: Final = (b"SN-12345", b"maker", b"Jane", b"<x:xmpmeta", b"thumbnail", b"comment of mine")
GPS: Final = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """Write a JPEG as phones do: turned, with a date, a place, and much else."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F], exif[0x013B] = "maker", "Jane"
    exif[0x011A] = exif[0x011B] = 300.0
    exif[0x0128], exif[0x0132] = 2, DATE
    exif.get_ifd(0x8769).update(
        {0x9003: DATE, 0x9011: "+02:00", 0xA431: "SN-12345", 0x927C: b"maker's note"}
    )
    exif.get_ifd(0x8825).update(GPS)
    path = tmp_path / "photo.jpg"
    data = exif.tobytes() + b"a thumbnail of the room"
    options: dict[str, Any] = {
        "comment": b"comment of mine",
        "xmp": b"<x:xmpmeta>52.52 N</x:xmpmeta>",
    }
    Image.new("RGB", (48, 64), (90, 120, 150)).save(path, exif=data, dpi=(300, 300), **options)
    return path


def assert_kept(path: Path, *, with_place: bool) -> None:
    """Check what a picture says beside its pixels."""
    with Image.open(path) as image:
        exif = image.getexif()
        assert image.size == (64, 48)
        if path.suffix != ".webp":  # which has the resolution in its EXIF alone
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert (float(exif[0x011A]), exif[0x0128], exif[0x0132]) == (300, 2, DATE)
    assert exif.get(0x0112, 1) == 1
    assert dict(exif.get_ifd(0x8769)) == {0x9003: DATE, 0x9011: "+02:00"}
    assert dict(exif.get_ifd(0x8825)) == (GPS if with_place else {})
    assert set(exif) <= {0x011A, 0x011B, 0x0128, 0x0132, 0x8769, 0x8825}
    data = path.read_bytes()
    assert not [secret for secret in SECRETS if secret in data]


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("with_place", [False, True])
def test_photograph(photograph: Path, tmp_path: Path, kind: str, *, with_place: bool) -> None:
    """Date and resolution go along, and nothing else but the place if it is asked for."""
    target = tmp_path / f"out.{kind}"
    convert(photograph, target, background="color:teal", keep_location=with_place)
    assert_kept(target, with_place=with_place)


def test_folder(photograph: Path, tmp_path: Path) -> None:
    """Each picture of a folder keeps its own, also beside one that has none or is damaged."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    Image.new("RGB", (64, 48)).save(folder / "a.png")
    photograph.rename(folder / "b.jpg")
    with Image.open(folder / "b.jpg") as image:
        exif = image.getexif()
        exif[0x0132] = "2001:01:01 00:00:00"
        heic = pillow_heif.from_pillow(image.copy())
        heic.save(folder / "c.heic", exif=exif.tobytes())
    (folder / "aa.jpg").write_bytes((folder / "b.jpg").read_bytes()[:900])
    with pytest.raises(IncompleteError):
        convert(folder, out, background="color:teal")
    assert read_tags(out / "a.png", with_location=True).options == {}
    assert_kept(out / "b.jpg", with_place=False)
    with Image.open(out / "c.jpg") as image:
        assert image.getexif()[0x0132] == "2001:01:01 00:00:00"


def test_transparent_and_matte(photograph: Path, tmp_path: Path) -> None:
    """A cut-out keeps its tags, with alpha; a matte, which is no photograph, has none."""
    convert(photograph, tmp_path / "out.png", background="transparent")
    assert_kept(tmp_path / "out.png", with_place=False)
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "RGBA"
    extract_matte(photograph, tmp_path / "matte.png")
    assert read_tags(tmp_path / "matte.png", with_location=True).options == {}


def test_damaged(tmp_path: Path) -> None:
    """Tags that are damaged are left out, and the picture is converted."""
    path = tmp_path / "odd.jpg"
    Image.new("RGB", (64, 48)).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x1a" + bytes(20))
    convert(path, tmp_path / "out.jpg", background="color:teal")
    assert (tmp_path / "out.jpg").exists()
