"""TOML files as editors write them: settings, and cards of models."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import pytest

from greenroom.desktop.settings_file import ConfigFile
from greenroom.errors import ModelError, SettingsError
from greenroom.segmenters.card import Card
from greenroom.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = '# Für mich\nbackground = "color:teal"\nmirror = true\n'
CARD = 'name = "mine"\ndescription = "Mein Modell, für mich"\nruntime = "onnx"\n'
CARD += '[file]\nname = "mine.onnx"\n[input]\nsize = [320, 240]\n'


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_marks_and_line_ends(tmp_path: Path, mark: bytes, ends: str) -> None:
    """A byte-order mark and Windows' line ends say nothing."""
    path = tmp_path / "mine.toml"
    path.write_bytes(mark + SETTINGS.replace("\n", ends).encode())
    wanted = Settings(background="color:teal", mirror=True)
    assert Settings.from_toml(path) == wanted
    config = ConfigFile(path, required=True)
    assert config.load() == wanted
    config.save(wanted.changed(threads=2))
    assert Settings.from_toml(path) == wanted.changed(threads=2)
    assert "# Für mich" in path.read_text("utf-8")
    assert config.backup is None
    path.write_bytes(mark + CARD.replace("\n", ends).encode())
    assert Card.read(path).description == "Mein Modell, für mich"


@pytest.mark.parametrize(
    ("mark", "encoding", "words"),
    [
        (codecs.BOM_UTF16_LE, "utf-16-le", "it is UTF-16"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "it is UTF-16"),
        (codecs.BOM_UTF32_LE, "utf-32-le", "it is UTF-32"),
        (b"", "latin-1", "line 1 has a letter that is not UTF-8"),
    ],
)
def test_other_encodings(tmp_path: Path, mark: bytes, encoding: str, words: str) -> None:
    """What is not UTF-8 is said, with what to do, wherever such a file is read."""
    path = tmp_path / "mine.toml"
    path.write_bytes(mark + SETTINGS.encode(encoding))
    for read in (Settings.from_toml, lambda path: ConfigFile(path, required=True).load()):
        with pytest.raises(SettingsError, match=words) as raised:
            read(path)
        assert "encoding UTF-8" in str(raised.value)
    path.write_bytes(mark + f"# für mich\n{CARD}".encode(encoding))
    with pytest.raises(ModelError, match=words):
        Card.read(path)


@pytest.mark.parametrize("nested", ["a = " + "[" * 5000, "a = " + "{a = " * 5000])
def test_nested_too_deeply(tmp_path: Path, nested: str) -> None:
    """Brackets in brackets without end are an error as any other, wherever TOML is read."""
    path = tmp_path / "mine.toml"
    path.write_text(nested)
    config = ConfigFile(path, required=True)
    for read in (Settings.from_toml, lambda _: config.load()):
        with pytest.raises(SettingsError, match=r"mine\.toml' is not valid TOML"):
            read(path)
    with pytest.raises(ModelError, match=r"mine\.toml' is not valid TOML"):
        Card.read(path)
    path.write_text("mirror = true\n")
    config.load()
    path.write_text(nested)
    assert config.poll() is config.poll() is None
    assert "is not valid TOML" in config.error
