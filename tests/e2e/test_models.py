"""``greenroom models``, as a whole command."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from model_server import CONTENT, HOST, ModelServer

from e2e.conftest import write_clip
from greenroom.segmenters.catalogue import card_named
from greenroom.segmenters.conversion import converted_file
from greenroom.segmenters.store import MODELS_DIR_VARIABLE, Store, cache_folder

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.conftest import Result, Run

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

HASH = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
CARD = f"""name = "mine"
description = "A model of my own"
license = "MIT"
runtime = "onnx"

[file]
name = "mine.onnx"
url = "{HOST}/model"
hash = "{HASH}"

[input]
size = [8, 8]
"""
NO_HASH = CARD.replace(f'hash = "{HASH}"\n', "")
NO_ADDRESS = NO_HASH.replace(f'url = "{HOST}/model"\n', "")


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:  # noqa: ARG001 - goes after run's cache
    """Return the folder of the user's cards; the cache is beside it."""
    monkeypatch.delenv(MODELS_DIR_VARIABLE, raising=False)
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: tmp_path / "config")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
    return tmp_path / "config" / "models"


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """Return where the weights of the card go when they are downloaded."""
    return tmp_path / "cache" / "models" / "mine" / "mine.onnx"


class _Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


def card(folder: Path, text: str = CARD, name: str = "mine.toml") -> Path:
    """Write a card."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def sentence(result: Result, status: int) -> str:
    """Return what a command said that ended with one sentence of error."""
    assert result.status == status, result
    assert result.out == ""
    (line,) = result.err.splitlines()
    assert line.startswith("greenroom: error: ")
    return line


def listed(run: Run, *arguments: object) -> dict[str, dict[str, Any]]:
    """Return what is listed as JSON, by name."""
    return {row["name"]: row for row in json.loads(run("models", "list", "--json", *arguments).out)}


class TestList:
    """What there is."""

    def test_table(self, run: Run) -> None:
        """Every model has its task, licence, size, place and runtime."""
        result = run("models", "list")
        assert (result.status, result.err) == (0, "")
        rows = {line.split()[0]: line for line in result.out.splitlines()}
        assert len(rows) == 1 + 16
        for word in ("matting", "GPL-3.0-only", "15.0 MB", "not here", "onnx"):
            assert word in rows["rvm-mobilenetv3"]
        assert "embedded" in rows["selfie"]
        assert "needs none" in rows["chroma"]
        assert "unknown" in rows["deeplabv3-xception"]

    def test_places(self, run: Run, own: Path, tmp_path: Path) -> None:
        """The list tells where weights are, without a look at what they are."""
        card(own)
        assert listed(run)["mine"]["where"] == "not here"
        (own / "mine.onnx").touch()
        assert listed(run)["mine"]["where"] == "own"
        (tmp_path / "sinet_320.onnx").touch()
        assert listed(run)["sinet"]["where"] == "not here"
        assert listed(run, "--models-dir", tmp_path)["sinet"]["where"] == "models folder"

    def test_broken_card(self, run: Run, own: Path) -> None:
        """A broken card is warned about, and the others are listed."""
        card(own, "name = 3", "broken.toml")
        result = run("models", "list")
        assert result.status == 0
        assert len(result.out.splitlines()) == 1 + 16
        assert result.err.startswith("greenroom: warning: ")
        assert "broken.toml" in result.err
        assert "line 1" in sentence(run("models", "info", "broken"), 1)
        assert run("models", "info", "sinet").err == ""

    def test_models_folder_that_is_missing(self, run: Run) -> None:
        """A models folder that is not there is wrong usage."""
        assert "'none' is not there" in sentence(run("models", "list", "--models-dir", "none"), 2)


class TestInfo:
    """What is known of one model."""

    def test_text(self, run: Run) -> None:
        """Everything that the card says which is of use to a person."""
        out = run("models", "info", "deeplabv3").out
        for word in ("2.8 MB", "Apache-2.0", "person", "tvmonitor", "arxiv.org", "sha256:68a539"):
            assert word in out

    def test_json(self, run: Run, tmp_path: Path) -> None:
        """A card is described by its path too, and a choice by its parts."""
        card(tmp_path)
        found = json.loads(run("models", "info", "mine.toml", "--json").out)
        assert found["hash"] == HASH
        assert found["path"] is None
        (tmp_path / "mine.onnx").touch()
        found = json.loads(run("models", "info", "mine.toml", "--json").out)
        assert found["path"] == str(tmp_path / "mine.onnx")
        found = json.loads(run("models", "info", "selfie", "--json").out)
        assert found["chooses"] == ["selfie-general", "selfie-landscape"]
        found = json.loads(run("models", "info", "selfie-duo", "--json").out)
        assert found["members"] == ["selfie", "selfie-multiclass"]
        assert (found["license"], found["where"]) == ("Apache-2.0", "not here")

    def test_on_gpu(self, run: Run) -> None:
        """What runs a model on NVIDIA's GPUs is told, and the file that was made for them."""
        pytest.importorskip("onnx", reason="onnx, of the extra dev, converts")

        def found(name: str) -> tuple[str | None, str | None]:
            row = json.loads(run("models", "info", name, "--json").out)
            return row["on_nvidia"], row["converted"]

        assert found("sinet") == ("onnx", None)
        assert found("chroma") == (None, None)
        assert found("selfie") == found("selfie-general") == ("onnx, converted", None)
        given = card_named("selfie-general")
        source = Store().find(given)
        assert source is not None
        path = str(converted_file(source, cache_folder(given)))
        assert found("selfie-general") == ("onnx, converted", path)
        assert path in run("models", "info", "selfie-general").out
        assert run("models", "remove", "selfie-general").out == f"removed {path}\n"
        assert found("selfie-general") == ("onnx, converted", None)

    def test_unknown_name(self, run: Run) -> None:
        """The nearest name is suggested."""
        text = sentence(run("models", "info", "selfi-general"), 2)
        assert "did you mean 'selfie-general'?" in text
        assert "cannot be read" in sentence(run("models", "info", "no.toml"), 1)


class TestGet:
    """Downloads."""

    def test_it_is_said_and_done(
        self, run: Run, own: Path, cached: Path, model_server: ModelServer
    ) -> None:
        """Standard error says what comes; standard output has the path, and no more."""
        card(own)
        result = run("models", "get", "mine")
        assert result.status == 0
        assert result.out == f"{cached}\n"
        assert f"downloading model 'mine', size unknown, from {HOST}/model" in result.err
        assert "licence MIT" in result.err
        assert len(result.err.splitlines()) == 1
        again = run("models", "get", "mine", "--json")
        assert (json.loads(again.out), again.err) == ({"name": "mine", "path": str(cached)}, "")
        assert model_server.asked == ["/model"]
        assert listed(run)["mine"]["where"] == "cache"

    def test_choice(self, run: Run) -> None:
        """A model that chooses between two gets both."""
        lines = run("models", "get", "selfie").out.splitlines()
        assert [line.rsplit("/", 1)[1] for line in lines] == [
            "selfie_general.tflite",
            "selfie_landscape.tflite",
        ]

    def test_progress(
        self, run: Run, own: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A terminal shows how many bytes there are."""
        terminal = _Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        card(own)
        assert run("models", "get", "mine").status == 0
        assert model_server.asked == ["/model"]
        assert "102.4/102.4 kB" in terminal.getvalue()

    def test_failure(self, run: Run, own: Path, cached: Path, model_server: ModelServer) -> None:
        """A download that fails ends with status 1, and nothing is left."""
        card(own, CARD.replace('/model"', '/page"'))
        result = run("models", "get", "mine")
        assert result.status == 1
        assert "sent a web page" in result.err.splitlines()[1]
        assert model_server.asked == ["/page"]
        assert list(cached.parent.iterdir()) == []

    def test_licence(self, run: Run, own: Path, model_server: ModelServer) -> None:
        """A copyleft licence is named, and accepted with a flag."""
        card(own, CARD.replace("MIT", "GPL-3.0-only"))
        text = sentence(run("models", "get", "mine"), 1)
        assert "copyleft: GPL-3.0-only" in text
        assert "--accept-license" in text
        assert model_server.asked == []
        assert run("models", "get", "mine", "--accept-license").status == 0

    def test_trust(self, run: Run, own: Path, cached: Path, model_server: ModelServer) -> None:
        """Without a hash a file is taken only if it is trusted, and then pinned."""
        card(own, NO_HASH)
        assert "--trust" in sentence(run("models", "get", "mine"), 1)
        assert model_server.asked == []
        assert run("models", "get", "mine", "--trust").status == 0
        assert json.loads(run("models", "info", "mine", "--json").out)["hash"] == HASH
        assert run("models", "verify", "mine").status == 0
        cached.write_bytes(CONTENT[::-1])
        assert run("models", "verify", "mine").status == 1


class TestUse:
    """Commands that use a model whose weights are not here."""

    def test_it_is_downloaded_once_and_said(
        self, run: Run, own: Path, cached: Path, model_server: ModelServer
    ) -> None:
        """It is fetched before anything is done; here it then turns out to be no model."""
        card(own)
        first, second = (run("bench", "--model", "mine", "--frames", "1") for _ in range(2))
        assert first.status == second.status == 1
        said, *errors = first.err.splitlines()
        assert "downloading model 'mine'" in said
        assert errors == second.err.splitlines()
        assert "cannot be loaded" in errors[0]
        assert model_server.asked == ["/model"]
        assert cached.is_file()

    @pytest.mark.parametrize("command", ["convert", "matte"])
    def test_licence_comes_first(
        self, run: Run, own: Path, tmp_path: Path, model_server: ModelServer, command: str
    ) -> None:
        """A copyleft licence is named, and nothing is fetched or written without a yes."""
        card(own, CARD.replace('"MIT"', '"GPL-3.0-only"'))
        write_clip(tmp_path / "in.mp4", (96, 64), 2)
        result = run(command, "in.mp4", "out.mp4", "--model", "mine")
        assert result.status == 1
        assert "GPL-3.0-only" in result.err
        assert "--accept-license" in result.err
        assert model_server.asked == []
        assert not (tmp_path / "out.mp4").exists()


class TestOwn:
    """Models that a user adds."""

    def test_added_and_removed(self, run: Run, own: Path, tmp_path: Path) -> None:
        """A card and its weights are copied, pinned, named from then on, and removed."""
        source = card(tmp_path, NO_ADDRESS)
        weights = tmp_path / "weights.bin"
        weights.write_bytes(CONTENT)
        result = run("models", "add", source, weights, "--json")
        made = [str(own / "mine.onnx"), str(own / "mine.toml")]
        assert json.loads(result.out) == {"added": made}
        assert json.loads(run("models", "info", "mine", "--json").out)["hash"] == HASH
        assert run("models", "get", "mine").out == f"{own / 'mine.onnx'}\n"
        assert run("models", "verify", "mine").out.split()[1] == "ok"
        assert "--overwrite" in sentence(run("models", "add", source, weights), 1)
        weights.write_bytes(CONTENT[::-1])
        assert run("models", "add", source, weights, "--overwrite").status == 0
        assert run("models", "verify", "mine").status == 0
        assert run("models", "remove", "mine").status == 0
        assert list(own.iterdir()) == []
        assert "unknown model 'mine'" in sentence(run("models", "info", "mine"), 2)
        assert weights.is_file()

    def test_weights_beside_the_card(self, run: Run, own: Path, tmp_path: Path) -> None:
        """Weights that are beside the card need not be named."""
        source = card(tmp_path, NO_ADDRESS)
        assert "not beside it" in sentence(run("models", "add", source), 1)
        (tmp_path / "mine.onnx").write_bytes(CONTENT)
        assert run("models", "add", source).status == 0
        assert (own / "mine.onnx").read_bytes() == CONTENT

    def test_card_alone(self, run: Run, own: Path, tmp_path: Path) -> None:
        """A card with an address is enough: its weights are downloaded when they are needed."""
        assert run("models", "add", card(tmp_path)).out == f"added {own / 'mine.toml'}\n"
        assert [path.name for path in own.iterdir()] == ["mine.toml"]

    @pytest.mark.parametrize(
        ("text", "end"),
        [
            (CARD.replace("mine", "sinet"), (2, "is a model of greenroom")),
            (CARD.replace("runtime", "runtine"), (1, "line 4, field 'runtine': unknown field")),
            (CARD.replace('"mine"', '"other"'), (2, "has a file 'mine.onnx' too")),
        ],
    )
    def test_refused_cards(
        self, run: Run, own: Path, tmp_path: Path, text: str, end: tuple[int, str]
    ) -> None:
        """A name that is taken or a wrong card changes nothing."""
        run("models", "add", card(tmp_path))
        assert end[1] in sentence(run("models", "add", card(tmp_path, text)), end[0])
        assert [path.name for path in own.iterdir()] == ["mine.toml"]

    def test_refused_weights(self, run: Run, own: Path, tmp_path: Path) -> None:
        """Weights that are not what the card says are not copied."""
        (tmp_path / "bad.onnx").write_bytes(b"something else")
        source = card(tmp_path)
        assert "it should have sha256" in sentence(run("models", "add", source, "bad.onnx"), 1)
        assert "no such file" in sentence(run("models", "add", source, "none.onnx"), 1)
        assert not own.exists()

    def test_weights_of_a_model_without_any(self, run: Run, tmp_path: Path) -> None:
        """A model that needs no weights takes none."""
        source = card(tmp_path, 'name = "key"\ndescription = "d"\nruntime = "chroma"\n')
        assert "Leave them out" in sentence(run("models", "add", source, source), 2)
        assert run("models", "add", source).status == 0
        assert listed(run)["key"]["where"] == "needs none"

    def test_folder_that_cannot_be_written(self, run: Run, own: Path, tmp_path: Path) -> None:
        """A configuration folder that cannot be made is named."""
        own.parent.touch()
        text = sentence(run("models", "add", card(tmp_path)), 1)
        assert f"cannot be copied to '{own / 'mine.toml'}': " in text

    def test_card_that_cannot_be_removed(
        self, run: Run, own: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A card that the system does not let go is named."""
        path = card(own)

        def refuse(*_: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr("pathlib.Path.unlink", refuse)
        text = sentence(run("models", "remove", "mine"), 1)
        monkeypatch.undo()
        assert f"'{path}' cannot be removed: permission denied." in text

    def test_downloads_are_removed(
        self, run: Run, own: Path, cached: Path, model_server: ModelServer
    ) -> None:
        """Removing a model of one's own removes its download too."""
        card(own)
        run("models", "get", "mine")
        assert model_server.asked == ["/model"]
        assert str(cached) in run("models", "remove", "mine").out
        assert not cached.parent.exists()

    def test_broken_cards_are_removed(self, run: Run, own: Path) -> None:
        """A card that cannot be read can be removed."""
        path = card(own, "name = 3")
        assert run("models", "remove", "mine").out == f"removed {path}\n"

    @pytest.mark.parametrize(
        ("name", "status", "words"),
        [
            ("selfie-general", 1, "a part of greenroom"),
            ("selfie", 1, "a part of greenroom"),
            ("modnet", 1, "nothing of it was downloaded"),
            ("nothing", 2, "unknown model 'nothing'"),
        ],
    )
    def test_what_cannot_be_removed(self, run: Run, name: str, status: int, words: str) -> None:
        """Only what is the user's own or was downloaded is removed."""
        assert words in sentence(run("models", "remove", name), status)

    def test_models_folder_is_left_alone(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files in the models folder are the user's."""
        (tmp_path / "sinet_320.onnx").touch()
        monkeypatch.setenv(MODELS_DIR_VARIABLE, str(tmp_path))
        assert "remove it there" in sentence(run("models", "remove", "sinet"), 1)
        assert (tmp_path / "sinet_320.onnx").is_file()


class TestVerify:
    """Hashes of what is here."""

    def test_all(self, run: Run, own: Path) -> None:
        """What is here is checked, and the rest is left out."""
        card(own)
        (own / "mine.onnx").write_bytes(CONTENT)
        result = run("models", "verify", "--json")
        assert result.status == 0
        assert {one["name"]: one["status"] for one in json.loads(result.out)} == {
            "mine": "ok",
            "selfie-general": "ok",
            "selfie-landscape": "ok",
        }

    def test_wrong(self, run: Run, own: Path) -> None:
        """A wrong file is named, and the status is 1; others can be checked by name."""
        card(own)
        (own / "mine.onnx").write_bytes(CONTENT[::-1])
        result = run("models", "verify")
        assert result.status == 1
        assert len(result.out.splitlines()) == 3
        (line,) = result.err.splitlines()
        assert "it should have sha256" in line
        assert run("models", "verify", "selfie").status == 0
        assert sentence(run("models", "get", "mine"), 1).endswith(line.removeprefix("greenroom: "))

    def test_without_a_hash(self, run: Run, own: Path) -> None:
        """A file that nothing vouches for is said to be such."""
        card(own, NO_ADDRESS)
        (own / "mine.onnx").write_bytes(CONTENT)
        assert "no hash" in run("models", "verify", "mine").out


def test_help_names_every_command(run: Run) -> None:
    """The help of the group has all of its commands."""
    out = run("models", "--help").out
    for name in ("list", "info", "get", "add", "remove", "verify"):
        assert name in out
    assert "models" in run("--help").out
