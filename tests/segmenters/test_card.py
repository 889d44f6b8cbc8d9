"""Model cards: what they may say, and what is said of those that are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from greenroom.errors import ModelError
from greenroom.segmenters.card import Card, Reading, Task, TensorLayout

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = """name = "mine"
description = "A model of my own"
runtime = "onnx"

[file]
name = "mine.onnx"

[input]
size = [320, 240]
"""


def write(path: Path, text: str = MINIMAL) -> Path:
    """Write a card."""
    path.write_text(text)
    return path


def test_minimal(tmp_path: Path) -> None:
    """Omitted fields have defaults, and the card has its folder."""
    card = Card.read(write(tmp_path / "mine.toml"))
    assert card.folder == tmp_path
    assert card.task is Task.PERSON
    assert card.license == "unknown"
    assert card.output.reading is Reading.COVERAGE
    assert card.output.threshold == 0.5
    assert card.input is not None
    assert card.input.layout is TensorLayout.NHWC
    assert card.input.size == (320, 240)
    assert Card(**card.model_dump()).folder is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[input]", "[input]\nsise = 3", "line 9, field 'input.sise': unknown field"),
        ("[input]", "size = 0\n[input]", "line 8, field 'file.size'"),
        ('name = "mine"\n', "", "field 'name': it is missing"),
        ('name = "mine.onnx"', "", "line 5, field 'file.name': it is missing"),
        ('name = "mine.onnx"', 'name = "../mine.onnx"', "line 6, field 'file.name'"),
        ('name = "mine.onnx"', 'name = "a/b.onnx"', "line 6, field 'file.name'"),
        ('name = "mine"', 'name = "../mine"', "line 1, field 'name'"),
        ('"onnx"', '"torch"', "line 3, field 'runtime'"),
        ('"onnx"', '"onnx"\nlicense_url = "ftp://x"', "line 4, field 'license_url'"),
        ("[input]", 'url = "http://x.org/m"\n[input]', "line 8, field 'file.url'"),
        ("[input]", 'hash = "sha256:12"\n[input]', "field 'file': hash: expected"),
        ("[input]", 'hash = "12"\n[input]', "field 'file': hash: expected"),
        ("size = [320, 240]", "", "field 'input': expected either size or longest"),
        ("size = [320, 240]", "size = [320, 0]", "line 9, field 'input.size'"),
        ("size = [320, 240]", "longest = 3\nstd = [1, 0, 1]", "std: expected no zero"),
        ("size = [320, 240]", "longest = 3\nmean = [nan, 0, 1]", "line 10, field 'input.mean'"),
        ("[input]\nsize = [320, 240]", "", "expected input"),
        ("[input]", '[output]\nreading = "logits"\n[input]', "classes: expected the names"),
        (
            "[input]",
            '[output]\nreading = "labels"\nclasses = ["a", "b"]\n[input]',
            "keep: 'person' is not one of the classes",
        ),
        ("[input]", "[output]\nthreshold = 2\n[input]", "line 9, field 'output.threshold'"),
        ('name = "mine"', "name = ", "is not valid TOML"),
    ],
)
def test_wrong_cards(tmp_path: Path, old: str, new: str, words: str) -> None:
    """A wrong card is one sentence that names the file, the field, and its line if it has one."""
    assert MINIMAL.count(old) >= 1
    path = write(tmp_path / "mine.toml", MINIMAL.replace(old, new, 1))
    with pytest.raises(ModelError) as caught:
        Card.read(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\0"])
def test_no_text(tmp_path: Path, content: bytes) -> None:
    """A file that is no text is no card."""
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not valid TOML"):
        Card.read(path)


def test_missing(tmp_path: Path) -> None:
    """A card that is not there is named."""
    with pytest.raises(ModelError, match=r"no\.toml' cannot be read: no such file"):
        Card.read(tmp_path / "no.toml")


@pytest.mark.parametrize("kind", ["sha256", "sha384", "sha512", "md5"])
def test_hashes(kind: str) -> None:
    """Every kind of hash is taken in its own length only."""
    digits = {"sha256": 64, "sha384": 96, "sha512": 128, "md5": 32}[kind]
    given: dict[str, Any] = {"name": "m", "description": "d", "runtime": "onnx"}
    given["input"] = {"longest": 9}
    for number in (digits - 1, digits, digits + 1):
        given["file"] = {"name": "m", "hash": f"{kind}:{'a' * number}"}
        if number == digits:
            assert Card(**given).file is not None
        else:
            with pytest.raises(ValueError, match="hash"):
                Card(**given)
