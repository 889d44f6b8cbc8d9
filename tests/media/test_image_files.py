"""Picture files of every kind: their colours, which way up they are, what is wrong with them."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pillow_heif
import pytest
from image_profiles import INKS, cmyk_profile, lab_to_srgb, rgb_profile, to_srgb
from PIL import Image, ImageCms

from greenroom.backgrounds import Scene, create_background
from greenroom.effects import create_overlay
from greenroom.errors import GreenroomError
from greenroom.matting.plate_picture import decode_plate
from greenroom.media.frame import Frame
from greenroom.media.image_files import decode_picture, decode_with_alpha, is_picture
from greenroom.media.layout import Layout
from greenroom.media.source_info import SourceInfo
from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.sources import create_source
from greenroom.web.uploads import make_background

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

MOST: Final = 2**14
KINDS: Final = ("png", "jpg", "webp", "bmp", "tiff", "gif", "heic", "avif")


def photo(width: int = 96, height: int = 64) -> Plane:
    """Return smooth colours, which lossy codecs keep."""
    across, down = np.linspace(0, 1, width)[None], np.linspace(0, 1, height)[:, None]
    parts = (40 + 180 * across + 0 * down, 200 - 150 * down + 0 * across, 60 + 120 * across * down)
    return np.dstack(parts).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    """Save a picture, by name; HEIC by its own library, as nothing is registered in Pillow."""
    if path.suffix == ".heic":
        pillow_heif.from_pillow(image).save(path, **options)
    else:
        image.save(path, **options)
    return path


def read(path: Path) -> Plane:
    """Return the samples of a picture as greenroom reads it."""
    return decode_picture(path, MOST).to_rgb()


def error_of(path: Path, expected: Any) -> float:
    """Return the mean difference in levels."""
    return float(np.abs(read(path).astype(float) - expected).mean())


class TestProfiles:
    """Colour profiles."""

    @pytest.fixture
    def screenshot(self, tmp_path: Path) -> Path:
        """Write a PNG with a colour profile, as macOS makes them."""
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        (tmp_path / "f").mkdir()
        return saved(tmp_path / "f" / "icc.png", Image.fromarray(photo()), icc_profile=profile)

    def test_everywhere(self, screenshot: Path, tmp_path: Path) -> None:
        """A PNG with a profile is input, background, slide, overlay and upload, and stays alive."""
        layout = Layout(96, 64, "gbrp")
        for _ in range(3):
            (frame,) = create_source(screenshot, Settings())
            np.testing.assert_array_equal(frame.to_rgb(), photo())
            for place in (screenshot, screenshot.parent):
                background = create_background(Settings(background=str(place)))
                assert isinstance(background, Scene)
                assert background.at(layout, 0.0).size == (96, 64)
            assert create_overlay(str(screenshot)) is not None
            assert make_background(screenshot, tmp_path / "kept", "icc").exists()
            gc.collect()

    def test_command(self, screenshot: Path) -> None:
        """The command ends with status 0, whatever the garbage collector reaches at its end."""
        target = screenshot.with_name("out.png")
        arguments = ("convert", screenshot, target, "--background", screenshot)
        result = subprocess.run([sys.executable, "-m", "greenroom", *arguments], check=False)
        assert result.returncode == 0
        assert target.exists()

    @pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tiff", "heic", "avif"])
    def test_display_p3(self, tmp_path: Path, kind: str) -> None:
        """Display P3 becomes sRGB, as its definition says, in every kind that carries profiles."""
        options = {} if kind in ("png", "tiff") else {"quality": 95}
        image = Image.fromarray(photo())
        bare = saved(tmp_path / f"bare.{kind}", image, **options)
        path = saved(tmp_path / f"p3.{kind}", image, icc_profile=rgb_profile(), **options)
        expected = to_srgb(read(bare))
        assert np.abs(expected - read(bare)).mean() > 3
        assert error_of(path, expected) < 0.6

    def test_primaries_by_number(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A HEIC that only names Display P3 is converted; one of a high dynamic range warns."""
        image = pillow_heif.from_pillow(Image.fromarray(photo()))
        numbers = {"quality": 95, "matrix_coefficients": 6, "full_range_flag": 1}
        for name, primaries, transfer in (("bare", 1, 13), ("p3", 12, 13), ("pq", 9, 16)):
            numbers |= {"color_primaries": primaries, "transfer_characteristics": transfer}
            image.save(tmp_path / f"{name}.heic", **numbers)
        bare = read(tmp_path / "bare.heic")
        assert error_of(tmp_path / "bare.heic", photo()) < 3
        assert error_of(tmp_path / "p3.heic", to_srgb(bare)) < 0.6
        assert not caplog.text
        assert error_of(tmp_path / "pq.heic", bare) < 1
        assert "high dynamic range" in caplog.text

    def test_gray_and_alpha(self, tmp_path: Path) -> None:
        """A profile applies to the colours and leaves alpha alone."""
        alpha = np.linspace(0, 255, 96).astype(np.uint8)[None].repeat(64, axis=0)
        image = Image.fromarray(np.dstack([photo(), alpha]))
        path = saved(tmp_path / "p3.png", image, icc_profile=rgb_profile())
        found = decode_with_alpha(path, MOST)
        np.testing.assert_array_equal(found[..., 3], alpha)
        assert np.abs(found[..., :3] - to_srgb(photo())).mean() < 0.6

    def test_inks(self, tmp_path: Path) -> None:
        """A CMYK JPEG has the colours of its profile's inks."""
        for amounts, lab in INKS.items():
            samples = np.full((32, 32, 4), np.array(amounts) * 255, np.uint8)
            image = Image.frombytes("CMYK", (32, 32), samples.tobytes())
            path = saved(tmp_path / "ink.jpg", image, icc_profile=cmyk_profile(), quality=95)
            np.testing.assert_allclose(read(path).mean((0, 1)), lab_to_srgb(lab), atol=4)

    def test_damaged(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A profile that is none is left out, with a warning; the picture is there."""
        path = saved(tmp_path / "odd.png", Image.fromarray(photo()), icc_profile=b"odd" * 99)
        np.testing.assert_array_equal(read(path), photo())
        assert "colour profile cannot be used" in caplog.text


class TestKinds:
    """Modes, depths and compressions."""

    @pytest.mark.parametrize("adobe", [True, False])
    def test_cmyk_without_a_profile(self, tmp_path: Path, *, adobe: bool) -> None:
        """Inverted CMYK, as Adobe began it, gives its colours, also where no marker says so."""
        image = Image.fromarray(photo()).convert("CMYK")
        path = saved(tmp_path / "cmyk.jpg", image, quality=95)
        if not adobe:
            data = path.read_bytes()
            marker = data.index(b"\xff\xee")
            length = 2 + int.from_bytes(data[marker + 2 : marker + 4])
            path.write_bytes(data[:marker] + data[marker + length :])
        assert error_of(path, np.asarray(image.convert("RGB"))) < 2

    @pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "PA"])
    @pytest.mark.parametrize("kind", ["png", "tiff"])
    def test_modes(self, tmp_path: Path, mode: str, kind: str) -> None:
        """Gray, one bit, palettes and alpha come out as Pillow shows them in front of black."""
        image = Image.fromarray(photo()).convert("RGBA")
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        if mode == "P":  # without alpha: a TIFF's palette has none
            image = image.convert("RGB")
        # PNG has PA as a palette with alpha for each entry.
        image = image.quantize(16) if mode == "PA" and kind == "png" else image.convert(mode)
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        black.alpha_composite(image.convert("RGBA"))
        expected = np.asarray(black.convert("RGB"))
        assert error_of(saved(tmp_path / f"a.{kind}", image), expected) < 0.6

    @pytest.mark.parametrize("kind", ["png", "tiff"])
    def test_16_bits_of_gray(self, tmp_path: Path, kind: str) -> None:
        """Gray of 16 bits is rounded to 8, not cut off at 255."""
        deep = np.linspace(0, 65535, 96 * 64).reshape(64, 96).astype(np.uint16)
        path = saved(tmp_path / f"deep.{kind}", Image.fromarray(deep))
        assert np.abs(read(path).astype(float) - deep[..., None] / 257).max() <= 0.5

    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    def test_tiff(self, tmp_path: Path, mode: str, compression: str) -> None:
        """TIFFs are read whatever compresses them, JPEG too, and only their first page."""
        image = Image.fromarray(photo()).convert(mode)
        more = [Image.new(mode, image.size)]
        options = {"quality": 95} if compression == "jpeg" else {}
        path = saved(
            tmp_path / "a.tiff",
            image,
            compression=compression,
            save_all=True,
            append_images=more,
            **options,
        )
        assert error_of(path, np.asarray(image.convert("RGB"))) < 2

    @pytest.mark.parametrize("kind", KINDS)
    def test_called_something_else(self, tmp_path: Path, kind: str) -> None:
        """A picture is told by its content: a HEIC that is called .jpg is read all the same."""
        path = saved(tmp_path / f"a.{kind}", Image.fromarray(photo()))
        for name in ("other.jpg", "other"):
            other = path.rename(tmp_path / name)
            assert error_of(other, photo()) < (12 if kind == "gif" else 6)
            assert is_picture(other) == (kind != "gif" or name == "other.jpg")
            assert make_background(other, tmp_path / f"kept{len(name)}", name).exists()
            path = other

    def test_several_pictures(self, tmp_path: Path) -> None:
        """Of a JPEG with another beside it, such as a gain map, the picture itself is read."""
        image = Image.fromarray(photo())
        gain_map = Image.new("L", (48, 32), 200)
        path = tmp_path / "a.jpg"
        image.save(path, "MPO", save_all=True, append_images=[gain_map], quality=95)
        assert error_of(path, photo()) < 3

    @pytest.mark.parametrize("bits", [8, 10])
    def test_tiled_heic(self, tmp_path: Path, bits: int) -> None:
        """A HEIC made of tiles, as phones write them, is read whole."""
        image = Image.fromarray(photo(1100, 700))
        path = tmp_path / "tiled.heic"
        if bits == 10:
            samples = np.asarray(image).astype(np.uint16) * 257
            file = pillow_heif.from_bytes("RGB;16", image.size, samples.tobytes())
            file.save(path, quality=90, tile_size=512)
        else:
            saved(path, image, quality=90, tile_size=512)
        assert path.read_bytes().count(b"grid") == 1
        found = read(path)
        assert found.shape == (700, 1100, 3)
        assert np.abs(found.astype(int) - photo(1100, 700)).mean() < 2


class TestOrientation:
    """Which way up."""

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tiff", "heic", "avif"])
    def test_exif(self, tmp_path: Path, kind: str, orientation: int) -> None:
        """Every orientation of EXIF is undone once, in every kind of file."""
        upright = Image.fromarray(photo())
        # What takes a picture to how it is stored, so that the orientation brings it back.
        ways = (
            *(None, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180),
            *(Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.TRANSPOSE),
            *(Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_270),
        )
        way = ways[orientation - 1]
        stored = upright if way is None else upright.transpose(way)
        exif = Image.Exif()
        exif[0x0112] = orientation
        options: dict[str, Any] = {"exif": exif.tobytes()}
        if kind == "tiff":
            options = {"tiffinfo": {0x0112: orientation}}
        path = saved(tmp_path / f"a.{kind}", stored, **options)
        assert read(path).shape == (64, 96, 3)
        assert error_of(path, photo()) < 3

    def test_damaged_exif(self, tmp_path: Path) -> None:
        """EXIF data that is none does not matter to the picture."""
        path = saved(tmp_path / "a.jpg", Image.fromarray(photo()), exif=b"Exif\0\0MM\0*\xff\xff")
        assert error_of(path, photo()) < 3


class TestDamage:
    """What cannot be read."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95])
    def test_cut_off(self, tmp_path: Path, kind: str, part: float) -> None:
        """A picture of which a part is missing is refused, not filled up."""
        noise = np.random.default_rng(6).integers(0, 256, (96, 128, 3), np.uint8)
        path = saved(tmp_path / f"cut.{kind}", Image.fromarray(noise))
        data = path.read_bytes()
        path.write_bytes(data[: max(12, int(part * len(data)))])
        with pytest.raises(ValueError, match=r"cut off|damaged|not a picture"):
            read(path)

    @pytest.mark.parametrize("kind", KINDS)
    def test_changed_bytes(self, tmp_path: Path, kind: str) -> None:
        """Whatever bytes are changed, a picture is read or refused with a reason."""
        rng = np.random.default_rng(7)
        exif = {} if kind in ("bmp", "gif", "tiff") else {"exif": Image.Exif().tobytes()}
        path = saved(tmp_path / f"odd.{kind}", Image.fromarray(photo(32, 24)), **exif)
        data = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(60):
            changed = data.copy()
            places = rng.integers(4, len(data) if rng.random() < 0.5 else 200, 3)
            changed[places % len(data)] = rng.integers(0, 256, 3)
            path.write_bytes(changed.tobytes())
            try:
                read(path)
            except ValueError as error:
                assert str(error)  # noqa: PT017 - either is right

    def test_too_many_pixels(self, tmp_path: Path) -> None:
        """A small file that would become gigabytes is refused by its header, without a warning."""
        data = io.BytesIO()
        Image.new("1", (20000, 20000)).save(data, "PNG")
        path = tmp_path / "bomb.png"
        path.write_bytes(data.getvalue())
        with pytest.raises(ValueError, match="20000x20000 pixels where at most 16384 a side"):
            read(path)
        with pytest.raises(ValueError, match="20000x20000 pixels where at most 268 million"):
            decode_picture(path, 2**15)

    @pytest.mark.parametrize(
        ("data", "name"),
        [
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a.png"),
            (b"8BPS\0\1" + bytes(99), "a.jpg"),
            (b"SIMPLE  =                    T", "a.tif"),
            (b"\0\0\0\x1cftypisom\0\0\0\0isomiso2", "a.heic"),
        ],
    )
    def test_kinds_that_are_not_read(self, tmp_path: Path, data: bytes, name: str) -> None:
        """PostScript, Photoshop, FITS and videos are no pictures, whatever they are called."""
        (tmp_path / name).write_bytes(data)
        with pytest.raises(GreenroomError, match="not a picture"):
            create_source(tmp_path / name, Settings()).__iter__().__next__()


@pytest.mark.parametrize(
    "name", ["x" * 300 + ".png", "x" * 300, "a\0b.png", "~nobody-of-this-name/a.png", "../" * 2000]
)
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    """A name that no file can have is an error as any other, wherever it is given."""

    def write() -> None:
        sink = create_sink(tmp_path / f"{name}.png", Settings(), SourceInfo("video"))
        sink.write(Frame.from_rgb(photo()))
        sink.close()

    uses: tuple[Callable[[], object], ...] = (
        lambda: create_source(name, Settings()),
        lambda: create_overlay(name),
        lambda: decode_plate(name),
        lambda: create_background(Settings(background=name)),
        write,
    )
    for use in uses:
        with pytest.raises(GreenroomError):
            use()
    assert list(tmp_path.iterdir()) == []


def test_no_plugin_is_registered() -> None:
    """Importing greenroom does not load Pillow's HEIF plugin, and registers nothing in Pillow."""
    code = (
        "import greenroom, greenroom.sources, greenroom.cli, sys; "
        "assert 'pillow_heif' not in sys.modules; "
        "from PIL import Image; Image.init(); assert 'HEIF' not in Image.OPEN"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
