"""Weights: where they are found, and every way in which a download fails."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from model_server import CONTENT, HOST, ModelServer, adapter_to

from greenroom.errors import ModelError, SettingsError
from greenroom.segmenters.card import Card
from greenroom.segmenters.catalogue import card_named, cards
from greenroom.segmenters.store import MODELS_DIR_VARIABLE, Place, Store, download
from greenroom.segmenters.store.licences import concern

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ROOT = Path(__file__).parents[2]
# Read before tests are kept from it.
KNOWN = Path(os.environ.get(MODELS_DIR_VARIABLE, ROOT.parent / "shared" / "models"))
HASH = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store with an empty cache."""
    monkeypatch.delenv(MODELS_DIR_VARIABLE, raising=False)
    return Store(cache_dir=tmp_path / "cache")


def values(path: str = "model", **changes: Any) -> dict[str, Any]:
    """Return what a card says whose weights are at a path of the server."""
    file = {"name": "m.onnx", "url": f"{HOST}/{path}", "size": len(CONTENT), "hash": HASH}
    file |= {key: value for key, value in changes.items() if key in ("size", "hash")}
    return {
        "name": "tried",
        "description": "A model to try",
        "license": changes.get("license", "MIT"),
        "runtime": "onnx",
        "file": file,
        "input": {"size": (8, 8)},
    }


def card(path: str = "model", **changes: Any) -> Card:
    """Return a card whose weights are at a path of the server."""
    return Card(**values(path, **changes))


def written(folder: Path) -> set[str]:
    """Name every file under a folder."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


class TestPlaces:
    """Search for weights."""

    def test_order(self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beside a user's card, then in the models folder, then in the cache."""
        source = tmp_path / "own" / "tried.toml"
        folders = [tmp_path / "own", tmp_path / "models", tmp_path / "cache" / "tried"]
        for folder in folders:
            folder.mkdir(parents=True)
            (folder / "m.onnx").write_bytes(CONTENT)
        source.write_text(
            f"""name = "tried"\ndescription = "d"\nruntime = "onnx"
            file = {{ name = "m.onnx", hash = "{HASH}" }}\ninput = {{ size = [8, 8] }}\n"""
        )
        tried = Card.read(source)
        monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path / "models"))
        both = Store(cache_dir=tmp_path / "cache")
        for folder in folders:
            assert both.find(tried) == folder / "m.onnx"
            (folder / "m.onnx").unlink()
        assert both.find(tried) is None
        assert store.find(tried) is None

    def test_embedded(self, store: Store, tmp_path: Path) -> None:
        """The embedded models are found, are what their cards say, and leave no trace."""
        for name in ("selfie-general", "selfie-landscape"):
            embedded = card_named(name)
            found = store.locate(embedded)
            assert found is not None
            assert found[0] is Place.EMBEDDED
            assert store.get(embedded) == found[1]
            assert embedded.file is not None
            assert found[1].stat().st_size == embedded.file.size
        assert written(tmp_path) == set()

    def test_embedded_that_is_missing(self, store: Store) -> None:
        """A broken installation says which file is missing, and downloads nothing."""
        general = card_named("selfie-general")
        assert general.file is not None
        gone = general.model_copy(
            update={"file": general.file.model_copy(update={"name": "nowhere.tflite"})}
        )
        with pytest.raises(ModelError, match=r"nowhere\.tflite.*Install greenroom again"):
            store.get(gone)

    def test_models_folder_that_is_missing(self, tmp_path: Path) -> None:
        """A models folder that is not there is a wrong setting."""
        with pytest.raises(SettingsError, match="--models-dir") as caught:
            Store(tmp_path / "none")
        assert caught.value.name == "models_dir"

    def test_model_without_weights(self, store: Store) -> None:
        """The chroma key has no weights to find or get."""
        assert store.find(card_named("chroma")) is None
        with pytest.raises(ModelError, match="no weights"):
            store.get(card_named("chroma"))

    def test_no_address(self, store: Store) -> None:
        """Weights that are nowhere, and whose card has no address, are asked of the user."""
        own = values()
        del own["file"]["url"]
        with pytest.raises(ModelError, match=r"'m\.onnx' beside the card"):
            store.get(Card(**own))

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (CONTENT[:-1], "102,400 bytes, but has 102,399"),
            (CONTENT[::-1], f"should have {HASH}, but has sha256:"),
        ],
    )
    def test_wrong_file(self, tmp_path: Path, content: bytes, words: str) -> None:
        """A file with another size or hash is an error and not skipped."""
        (tmp_path / "m.onnx").write_bytes(content)
        with pytest.raises(ModelError, match=words) as caught:
            Store(tmp_path, tmp_path / "cache").find(card())
        assert caught.value.path == str(tmp_path / "m.onnx")

    def test_file_that_is_gone(self, store: Store, tmp_path: Path) -> None:
        """A file that cannot be read is named."""
        for look in (store.check, store.verify):
            with pytest.raises(ModelError, match=r"gone' cannot be read: no such file"):
                look(card(), tmp_path / "gone")

    def test_folder_that_cannot_be_removed(self, store: Store, tmp_path: Path) -> None:
        """Files outside the store stay, and are reported."""
        (tmp_path / "cache" / "tried" / "folder").mkdir(parents=True)
        with pytest.raises(ModelError, match="tried' cannot be removed: "):
            store.remove(card())

    def test_hash_is_remembered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A large file is read once, and again when its time changes."""
        monkeypatch.setattr("greenroom.segmenters.store.weights_store._MIN_RECORDED_BYTES", 1)
        path = tmp_path / "m.onnx"
        path.write_bytes(CONTENT)
        os.utime(path, ns=(0, 1_000_000_000))
        assert Store(tmp_path, tmp_path / "cache").find(card()) == path
        path.write_bytes(CONTENT[::-1])
        os.utime(path, ns=(0, 1_000_000_000))
        again = Store(tmp_path, tmp_path / "cache")
        assert again.find(card()) == path
        with pytest.raises(ModelError):
            again.verify(card(), path)
        os.utime(path, ns=(0, 2_000_000_000))
        with pytest.raises(ModelError):
            again.find(card())


class TestDownload:
    """A server that does what it should."""

    @pytest.mark.parametrize("path", ["model", "unannounced", "chunks", "moved"])
    def test_file_comes_once(
        self, store: Store, model_server: ModelServer, tmp_path: Path, path: str
    ) -> None:
        """It is checked, put into the cache under its name, and found there from then on."""
        got = store.get(card(path))
        assert got.read_bytes() == CONTENT
        assert got == tmp_path / "cache" / "tried" / "m.onnx"
        assert written(tmp_path) == {"m.onnx"}
        asked = len(model_server.asked)
        assert store.get(card(path)) == got
        assert len(model_server.asked) == asked

    def test_progress(self, store: Store, model_server: ModelServer) -> None:
        """Progress counts bytes up to the size that the server tells."""
        steps: list[tuple[int, int | None]] = []
        store.get(card(size=None), progress=lambda *step: steps.append(step))
        assert model_server.asked == ["/model"]
        assert [done for done, _ in steps] == sorted({done for done, _ in steps})
        assert steps[-1] == (len(CONTENT), len(CONTENT))

    def test_it_is_announced(
        self, store: Store, model_server: ModelServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Before anything is asked for: what, from where, how large, under which licence."""
        said: list[tuple[str, int]] = []
        store.get(card(), on_start=lambda text: said.append((text, len(model_server.asked))))
        ((text, asked),) = said
        assert asked == 0
        for word in ("tried", f"{HOST}/model", "0.1 MB", "MIT"):
            assert word in text
        store.remove(card())
        with caplog.at_level(logging.WARNING, "greenroom"):
            store.get(card())
        assert text in caplog.text

    def test_proxy(
        self, store: Store, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The proxy that the environment names is asked."""
        monkeypatch.setenv("http_proxy", model_server.url)
        store.get(card())
        assert model_server.asked == [f"{model_server.url}/model"]

    def test_two_processes_at_once(self, model_server: ModelServer, tmp_path: Path) -> None:
        """Two processes that download the same file both end well, with one whole file."""
        code = (
            "import json, sys; sys.path.insert(0, sys.argv[1])\n"
            "from model_server import get_in_this_process\n"
            "get_in_this_process(sys.argv[2], json.loads(sys.argv[3]), sys.argv[4])\n"
        )
        given = [model_server.url, json.dumps(values("together")), str(tmp_path)]
        command = [sys.executable, "-c", code, str(ROOT / "tests"), *given]
        running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
        for process in running:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors.decode()
        assert model_server.asked == ["/together", "/together"]
        assert written(tmp_path) == {"m.onnx"}
        assert (tmp_path / "tried" / "m.onnx").read_bytes() == CONTENT

    def test_what_a_killed_process_left(
        self, store: Store, model_server: ModelServer, tmp_path: Path
    ) -> None:
        """An old temporary file is removed, a young one may be in use."""
        folder = tmp_path / "cache" / "tried"
        folder.mkdir(parents=True)
        for name in (".m.onnx.old.part", ".m.onnx.new.part"):
            (folder / name).touch()
        os.utime(folder / ".m.onnx.old.part", (0, 0))
        store.get(card())
        assert model_server.asked == ["/model"]
        assert written(tmp_path) == {"m.onnx", ".m.onnx.new.part"}


class TestFailures:
    """A network, a server or a disk that does not."""

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("nothing", "the server answered 404 Not Found"),
            ("other", f"should have {HASH}, but has sha256:"),
            ("long", "102,400 bytes, but has more"),
            ("cut", "the connection was cut"),
            ("cut_chunks", "the connection was cut"),
            ("cut_unannounced", "only 30,000 of 102,400 bytes came"),
            ("hang_up", "cannot be downloaded: remote end closed connection"),
            ("page", "the server sent a web page instead of the file"),
            ("hidden_page", "the server sent a web page instead of the file"),
            ("pointer", "the server sent a Git LFS pointer instead of the file"),
            ("downgraded", "an address that is not HTTPS"),
        ],
    )
    def test_server(
        self, store: Store, model_server: ModelServer, tmp_path: Path, path: str, words: str
    ) -> None:
        """One sentence says what happened; nothing is left, and the next try may succeed."""
        with pytest.raises(ModelError) as caught:
            store.get(card(path))
        assert words in str(caught.value)
        assert f"{HOST}/{path}" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert model_server.asked == [f"/{path}"]
        assert written(tmp_path) == set()
        assert store.get(card()).read_bytes() == CONTENT

    def test_announced_size(self, store: Store, model_server: ModelServer, tmp_path: Path) -> None:
        """A file of another size is refused before it is read."""
        steps: list[int] = []
        with pytest.raises(ModelError, match="5 bytes, but has 102,400"):
            store.get(card(size=5), progress=lambda done, _: steps.append(done))
        assert model_server.asked == ["/model"]
        assert steps == []
        assert written(tmp_path) == set()

    @pytest.mark.parametrize("path", ["silent", "stalled", "trickle"])
    def test_slow_server(
        self,
        store: Store,
        model_server: ModelServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        path: str,
    ) -> None:
        """A server that says nothing, stops, or sends a byte now and then is given up."""
        monkeypatch.setattr(download, "_STALL_S", 0.2)
        with pytest.raises(ModelError, match="too slow or silent"):
            store.get(card(path))
        assert model_server.asked == [f"/{path}"]
        assert written(tmp_path) == set()

    def test_interrupt(self, store: Store, model_server: ModelServer, tmp_path: Path) -> None:
        """Ctrl-C in the middle leaves nothing."""

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.get(card(), progress=interrupt)
        assert model_server.asked == ["/model"]
        assert written(tmp_path) == set()

    def test_no_server(self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that is not there is one sentence too."""
        with ModelServer() as closed:
            url = closed.url
        monkeypatch.setattr(requests.adapters, "HTTPAdapter", adapter_to(url))
        with pytest.raises(ModelError, match="cannot be downloaded: connection refused"):
            store.get(card())
        assert written(tmp_path) == set()

    def test_full_disk(self, store: Store, model_server: ModelServer, tmp_path: Path) -> None:
        """A file for which there is no room is not left half-written."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            with pytest.raises(ModelError, match="cannot be written: file too large"):
                store.get(card())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert model_server.asked == ["/model"]
        assert written(tmp_path) == set()

    def test_cache_that_cannot_be_made(self, model_server: ModelServer, tmp_path: Path) -> None:
        """A cache that cannot be written to is named, and nothing is asked of the server."""
        (tmp_path / "file").touch()
        broken = Store(cache_dir=tmp_path / "file" / "cache")
        with pytest.raises(ModelError, match=r"m\.onnx' cannot be written: not a directory"):
            broken.get(card())
        assert model_server.asked == []

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
    def test_read_only_cache(self, store: Store, model_server: ModelServer, tmp_path: Path) -> None:
        """A read-only cache is named; what is in it is used."""
        got = store.get(card())
        with read_only(got.parent):
            assert store.get(card()) == got
        store.remove(card())
        (tmp_path / "cache").mkdir(exist_ok=True)
        with read_only(tmp_path / "cache"), pytest.raises(ModelError, match="permission denied"):
            store.get(card())
        assert model_server.asked == ["/model"]

    def test_read_only_file_system(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file system that is read-only for everybody is the same."""

        def refuse(*_: object) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr("tempfile.mkstemp", refuse)
        with pytest.raises(ModelError, match="cannot be written: read-only file system"):
            store.get(card())
        assert written(tmp_path) == set()


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write to a folder for a while."""
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


class TestConsent:
    """Licences that ask for something, and files that nobody vouches for."""

    @pytest.mark.parametrize("licence", ["GPL-3.0-only", "CC-BY-NC-SA-4.0", "unknown"])
    def test_licence_is_accepted_once(
        self, store: Store, model_server: ModelServer, tmp_path: Path, licence: str
    ) -> None:
        """It is named before the first download, and not asked for again."""
        with pytest.raises(ModelError, match=rf"{licence}.*--accept-license"):
            store.get(card(license=licence))
        assert model_server.asked == []
        assert written(tmp_path) == set()
        got = store.get(card(license=licence), accept_license=True)
        got.unlink()
        assert store.get(card(license=licence)) == got
        got.unlink()
        with pytest.raises(ModelError, match="AGPL"):
            store.get(card(license="AGPL-3.0-only"))

    @pytest.mark.parametrize(
        ("licence", "expected"),
        [
            ("MIT", None),
            ("Apache-2.0 AND (MIT OR BSD-3-Clause)", None),
            ("MIT AND GPL-2.0-or-later", "copyleft"),
            ("LGPL-3.0-only", "copyleft"),
            ("MPL-2.0", "copyleft"),
            ("CC-BY-SA-4.0", "copyleft"),
            ("CC-BY-NC-4.0", "non-commercial"),
            ("CC-BY-NC", "non-commercial"),
            ("CC-BY-ND-4.0", "not known to be permissive"),
            ("proprietary", "not known to be permissive"),
            ("", "not known to be permissive"),
        ],
    )
    def test_licences(self, licence: str, expected: str | None) -> None:
        """Only licences that are known to be permissive pass without a question."""
        assert concern(licence) == expected

    def test_file_without_a_hash(
        self, store: Store, model_server: ModelServer, tmp_path: Path
    ) -> None:
        """It is taken if it is trusted, and has to be the same from then on."""
        with pytest.raises(ModelError, match="greenroom models get tried --trust"):
            store.get(card(hash=""))
        assert model_server.asked == []
        got = store.get(card(hash=""), trust=True)
        assert store.expected_hash(card(hash="")) == HASH
        assert store.get(card(hash="")) == got
        got.write_bytes(CONTENT[::-1])
        with pytest.raises(ModelError, match="when it was first trusted"):
            store.find(card(hash=""))
        got.unlink()
        with pytest.raises(ModelError, match="when it was first trusted"):
            store.get(card("other", hash=""), trust=True)
        store.remove(card(hash=""))
        assert written(tmp_path) == set()
        assert store.get(card("other", hash=""), trust=True).read_bytes() == CONTENT[::-1]

    def test_hash_that_cannot_be_remembered(
        self,
        store: Store,
        model_server: ModelServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A trusted file whose hash cannot be written down is not kept."""

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("greenroom.segmenters.store.records.Record.write", refuse)
        with pytest.raises(ModelError, match=r"cannot be remembered.*no space left"):
            store.get(card(hash=""), trust=True)
        assert model_server.asked == ["/model"]
        assert written(tmp_path) == set()

    def test_unknown_file_in_the_cache(self, store: Store, tmp_path: Path) -> None:
        """A file in the cache that nothing vouches for is not used."""
        (tmp_path / "cache" / "tried").mkdir(parents=True)
        (tmp_path / "cache" / "tried" / "m.onnx").write_bytes(b"put there by somebody")
        assert store.find(card(hash="", size=None)) is None

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"pinned": 3}'])
    def test_record_that_is_damaged(
        self, store: Store, model_server: ModelServer, tmp_path: Path, text: str
    ) -> None:
        """A damaged record is as none: what it vouched for is not trusted any more."""
        store.get(card(hash=""), trust=True)
        (tmp_path / "cache" / "tried" / "record.json").write_text(text)
        assert store.find(card(hash="")) is None
        assert model_server.asked == ["/model"]


def test_models_that_are_here() -> None:
    """The files of a models folder are what the package's cards say."""
    if not KNOWN.is_dir():
        pytest.skip(f"there is no folder '{KNOWN}' with models; {MODELS_DIR_VARIABLE} names one")
    store = Store(KNOWN)
    for tried in cards().values():
        if found := store.locate(tried):
            store.verify(tried, found[1])
