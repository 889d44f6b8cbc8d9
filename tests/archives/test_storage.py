"""One suite over every kind of storage: paths, and fsspec's addresses, S3 among them."""

from __future__ import annotations

import importlib
import uuid
from typing import TYPE_CHECKING

import pytest

from greenroom.archives.storage import RemoteStorage, below, join, storage_of
from greenroom.archives.tasks import Fault, fault_of
from greenroom.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from greenroom.archives.storage import Storage


def _ignore(_: int) -> None:
    """Take a number of bytes."""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a bucket of a server of S3 on this machine."""
    server = pytest.importorskip("moto.server", reason="moto is an S3 for tests: pip install it")
    s3fs = pytest.importorskip("s3fs", reason="fsspec's S3: pip install s3fs")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    config = importlib.import_module("fsspec.config")
    monkeypatch.setitem(config.conf, "s3", {"endpoint_url": f"http://{host}:{port}"})
    s3fs.S3FileSystem.clear_instance_cache()
    storage_of("s3://talks")
    importlib.import_module("fsspec").filesystem("s3", use_listings_cache=False).mkdir("talks")
    yield "s3://talks"
    s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


@pytest.fixture(params=["path", "local", "memory", "s3"])
def top(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a folder of a kind of storage."""
    if request.param == "path":
        return str(tmp_path)
    pytest.importorskip("fsspec", reason="addresses need fsspec")
    if request.param == "s3":
        return str(request.getfixturevalue("s3"))
    return f"local://{tmp_path}" if request.param == "local" else f"memory://{uuid.uuid4()}"


@pytest.fixture
def put(top: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bytes], str]:
    """Return a function that delivers a file."""

    def deliver(name: str, content: bytes) -> str:
        path = tmp_path_factory.mktemp("made") / "made"
        path.write_bytes(content)
        storage, target = storage_of(top), join(top, name)
        storage.make_folder(target.rpartition("/")[0])
        entry = storage.deliver(path, target, _ignore)
        assert entry.size == len(content)
        return target

    return deliver


_ASYNCIO = pytest.mark.allow_hosts(["127.0.0.1"])


@_ASYNCIO
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_files_come_and_go(top: str, put: Callable[[str, bytes], str], tmp_path: Path) -> None:
    """What is delivered is there, can be found, fetched, moved and removed."""
    storage: Storage = storage_of(top)
    one, two = put("a/one.mp4", b"one"), put("a/b/two.mp4", b"two")
    put("a/.hidden/three.mp4", b"three")
    assert storage.is_folder(join(top, "a"))
    assert not storage.is_folder(one)
    found = [below(entry.name, top) for entry in storage.entries(join(top, "a"))]
    assert sorted(found) == ["a/b/two.mp4", "a/one.mp4"]
    assert len(list(storage.entries(join(top, "a"), hidden=True))) == 3
    (matched,) = storage.matching(join(top, "**/two.*"))
    assert below(matched.name, top) == "a/b/two.mp4"
    assert storage.read(two) == b"two"
    before = storage.entry(one)
    assert before is not None
    assert before == storage.entry(one)
    fetched = storage.fetch(one, tmp_path, _ignore)
    assert fetched.read_bytes() == b"one"
    storage.move(one, two)
    assert storage.entry(one) is None
    assert storage.read(two) == b"one"
    put("a/one.mp4", b"other")
    after = storage.entry(one)
    assert after is not None
    assert after.fingerprint != before.fingerprint
    storage.remove(one)
    storage.remove(one)
    assert storage.entry(one) is None
    with pytest.raises(FileNotFoundError):
        storage.read(one)


def test_whatever_a_storage_raises_may_pass() -> None:
    """What libraries below it raise is an error of the system, so that it is tried again."""
    pytest.importorskip("fsspec", reason="addresses need fsspec")
    storage = RemoteStorage("memory")

    class NoCredentialsError(Exception):
        """As botocore raises it."""

    class Broken:
        """A file system whose library fails."""

        def cat_file(self, name: str) -> bytes:
            raise NoCredentialsError if name.endswith("two") else RuntimeError(name)

    storage._files = Broken()  # noqa: SLF001 - stands for a library
    with pytest.raises(OSError, match="RuntimeError: memory://one") as failed:
        storage.read("memory://one")
    assert fault_of(failed.value) is Fault.PASSING
    with pytest.raises(PermissionError, match="NoCredentialsError") as failed:
        storage.read("memory://two")
    assert fault_of(failed.value) is Fault.DENIED


def test_addresses_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names what to install."""
    pytest.importorskip("fsspec", reason="addresses need fsspec")
    with pytest.raises(SettingsError, match="xyz"):
        storage_of("xyz://bucket")
    imported = importlib.import_module

    def without(name: str) -> object:
        if name == "fsspec":
            raise ImportError(name)
        return imported(name)

    monkeypatch.setattr("importlib.import_module", without)
    with pytest.raises(MissingExtraError, match=r"greenroom\[archives\]"):
        storage_of("s3://bucket")
