"""What the tests share: media made on the spot, and a watch on threads."""

from __future__ import annotations

import os
import signal
import struct
import sys
import tempfile
import threading
import time
import zlib
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import cv2
import numpy as np
import pytest
import requests
from host_device import HostDevice, WatchedDevice, WatchedGpu, compiler
from hypothesis import HealthCheck, settings
from model_server import ModelServer, adapter_to

from greenroom.engine import device_selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    MakeVideo = Callable[..., Path]
    MakePicture = Callable[..., Path]

# The machine may be busy.
settings.register_profile(
    "greenroom",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("greenroom")

DEADLINE_S: Final = 10.0

# What belongs to whoever runs the tests, and would change what greenroom and other programs do in
# them and in the commands that they start: proxies, terminals, models, a session of their own.
_THEIRS: Final = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy"),
    *(
        "COLUMNS",
        "LINES",
        "NO_COLOR",
        "FORCE_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "TTY_COMPATIBLE",
    ),
    *("SDL_VIDEODRIVER", "PYTHONWARNINGS", "OPENCV_LOG_LEVEL", "OPENCV_VIDEOIO_DEBUG"),
    *("OPENCV_FFMPEG_CAPTURE_OPTIONS", "OPENCV_IO_MAX_IMAGE_PIXELS", "SSLKEYLOGFILE"),
)
_DESCRIPTORS: Final = 1024
_FOLDERS: Final = ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests an environment in which no greenroom runs and nothing is set up."""
    for name in _THEIRS:
        for spelling in (name, name.upper()):
            os.environ.pop(spelling, None)
    _allow_descriptors()
    # pip, which some tests start, goes on to ask where its user says.
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    pip = Path(folder, "pip", "pip.conf")
    if pip.is_file():
        os.environ.setdefault("PIP_CONFIG_FILE", str(pip))
    own = tempfile.TemporaryDirectory(prefix="greenroom-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(own.cleanup)
    for name in _FOLDERS:
        os.environ[name] = str(Path(own.name, name))


def _allow_descriptors() -> None:
    """Have as many files open as tests of many connections need: macOS begins with 256."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.fixture
def device() -> Iterator[WatchedDevice]:
    """Return a device: the host, or the GPU with ``GREENROOM_TEST_DEVICE=cuda``.

    On the host it is checked that kernels wrote nowhere else in the end.
    """
    if os.environ.get("GREENROOM_TEST_DEVICE") == "cuda":
        yield WatchedGpu()
        return
    if compiler() is None:
        pytest.skip("the kernels need a compiler of C++ to run on the host")
    made = HostDevice()
    yield made
    made.check_margins()


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[HostDevice]]:
    """Have a GPU that has proved itself, which is the host; return the devices that are made.

    Only engines use it, not models.
    """
    if compiler() is None:
        pytest.skip("the kernels need a compiler of C++ to run on the host")
    made: list[HostDevice] = []

    def make() -> HostDevice:
        made.append(HostDevice())
        return made[-1]

    monkeypatch.setattr(device_selection, "has_driver", lambda: True)
    monkeypatch.setattr(device_selection, "has_cupy", lambda: True)
    monkeypatch.setattr(device_selection, "CupyDevice", make)
    monkeypatch.setattr(device_selection, "prove", lambda _: None)
    device_selection.forget_proof()
    yield made
    device_selection.forget_proof()


@pytest.fixture(autouse=True)
def _no_models_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have greenroom find no other models than a test says; those that tests look for stay."""
    monkeypatch.delenv("GREENROOM_MODELS_DIR", raising=False)


# A shell starts what runs in its background with Ctrl-C ignored, and whoever is started by that
# ignores it too: the commands whose end by Ctrl-C is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator of the same random numbers in every run."""
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def portrait() -> Plane:
    """Return NASA's portrait of Eileen Collins, 512x512 RGB, public domain."""
    data = pytest.importorskip("skimage.data", reason="the portrait comes with scikit-image")
    return np.asarray(data.astronaut(), np.uint8)


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Fail a test after which there are more threads than before it."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + DEADLINE_S
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < end, f"threads are left: {left}"
        for thread in left:
            thread.join(timeout=0.1)


@pytest.fixture
def make_picture(tmp_path: Path) -> MakePicture:
    """Return a function that writes (H, W[, 3 or 4]) RGB or RGBA samples as a picture."""

    def make(array: Plane, name: str = "picture.png", orientation: int | None = None) -> Path:
        codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
        if array.ndim == 3:
            array = cv2.cvtColor(array, codes[array.shape[2]]).astype(np.uint8)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        best = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_WEBP_QUALITY, 101]
        done, data = cv2.imencode(path.suffix, array, best)
        assert done
        path.write_bytes(with_orientation(data.tobytes(), orientation))
        return path

    return make


def with_orientation(jpeg: bytes, orientation: int | None) -> bytes:
    """Put an EXIF segment that has nothing but an orientation into a JPEG file.

    TIFF 6.0 in the APP1 segment of Exif 2.3: one directory with the one entry 0x0112.
    """
    if orientation is None:
        return jpeg
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """Return a function that writes (H, W, 3) RGB pictures as a video or GIF.

    ``times`` are presentation times in units of ``time_base``; ``last`` is how long the
    last picture is shown.
    """

    def make(
        pictures: Sequence[Plane],
        times: Sequence[int] | None = None,
        name: str = "video.mkv",
        *,
        time_base: Fraction = Fraction(1, 1000),
        last: int = 100,
    ) -> Path:
        path = tmp_path / name
        times = [100 * number for number in range(len(pictures))] if times is None else times
        if path.suffix == ".gif":
            path.write_bytes(gif(pictures, [*times, times[-1] + last], time_base))
            return path
        height, width = pictures[0].shape[:2]
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=Fraction(1000), options={"g": "1"})
            stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
            stream.codec_context.time_base = time_base
            for number, (picture, pts) in enumerate(zip(pictures, times, strict=True)):
                frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
                    threads=1, format="bgr0"
                )
                frame.pts, frame.time_base = pts, time_base
                following = times[number + 1] if number + 1 < len(times) else pts + last
                frame.duration = following - pts
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


def gif(pictures: Sequence[Plane], times: Sequence[int], time_base: Fraction) -> bytes:
    """Write flat pictures as an animated GIF89a: one colour each, uncompressed codes."""
    height, width = pictures[0].shape[:2]
    parts = [b"GIF89a", struct.pack("<HHBBB", width, height, 0, 0, 0)]
    for number, picture in enumerate(pictures):
        hundredths = int((times[number + 1] - times[number]) * time_base * 100)
        parts.append(b"\x21\xf9\x04" + struct.pack("<BHB", 4, hundredths, 0) + b"\0")
        parts.append(b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0x80))
        colour = bytes(picture[0, 0])
        parts.append(colour + b"\0\0\0")
        parts.append(_lzw(width * height))
    return b"".join([*parts, b"\x3b"])


def _lzw(count: int) -> bytes:
    """Encode ``count`` times colour 0 in three-bit codes: it clears before codes grow."""
    codes = [code for _ in range(count) for code in (4, 0)] + [5]
    bits = sum(code << (3 * place) for place, code in enumerate(codes))
    data = bits.to_bytes(len(codes) * 3 // 8 + 1, "little")
    blocks = [data[start : start + 255] for start in range(0, len(data), 255)]
    return b"\x02" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


@pytest.fixture
def huge_png(tmp_path: Path) -> Path:
    """Write a black PNG of 16385x1 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 16385, 1, 8, 0, 0, 0, 0)
    path = tmp_path / "huge.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(16386)))
        + chunk(b"IEND", b"")
    )
    return path


@pytest.fixture
def model_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """Serve models on this machine, reached as https://models.test."""
    with ModelServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(requests.adapters, "HTTPAdapter", adapter_to(running.url))
        yield running
        running.ended.set()
        running.both.abort()
        running.shutdown()
        thread.join()
