"""Inputs: what users name, to recordings and the names of their outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from greenroom.archives.inputs import MISSING, recordings
from greenroom.errors import GreenroomError, SettingsError, SourceError
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Names = Callable[..., dict[str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with an archive in it."""
    for name in ("in/one.mov", "in/2024/two.avi", "in/2024/notes.txt", "in/.trash/old.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    Image.new("RGB", (8, 8)).save(tmp_path / "in/photo.png")
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "in/moves.webp", save_all=True, append_images=frames[1:])
    (tmp_path / "in/2024/phone.heic").write_bytes(b"heic")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def names(folder: Path) -> Names:
    """Return a function that gives the input, below the current folder, of each output."""

    def find(*inputs: str, out: str = "done") -> dict[str, str]:
        found = recordings(inputs, str(folder / out), Settings())
        return {one.output: Path(one.input.name).relative_to(folder).as_posix() for one in found}

    return find


ALL = {
    "one.mov": "in/one.mov",
    "2024/two.mp4": "in/2024/two.avi",
    "2024/phone.jpg": "in/2024/phone.heic",
    "photo.png": "in/photo.png",
    "moves.mp4": "in/moves.webp",
}


def test_a_folder_is_searched_and_keeps_its_folders(names: Names) -> None:
    """Videos and pictures by their endings, without hidden ones; names are those of convert."""
    assert names("in") == ALL
    assert names("in/") == ALL
    assert names(".") == {f"in/{output}": source for output, source in ALL.items()}


def test_patterns_and_files(names: Names) -> None:
    """A pattern keeps what is below its fixed part; a named file needs no known ending."""
    assert names("in/**/*.avi") == {"2024/two.mp4": "in/2024/two.avi"}
    assert names("in/2024/notes.txt") == {"notes.mp4": "in/2024/notes.txt"}


def test_what_is_named_twice_is_done_once(
    names: Names, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also by another path to it."""
    (folder / "link").symlink_to("in")
    assert names("in", "in", "link") == ALL
    assert "more than once" in caplog.text


def test_an_output_folder_within_the_inputs_is_no_input(names: Names, folder: Path) -> None:
    """The second run finds the same as the first."""
    (folder / "in/done").mkdir()
    (folder / "in/done/one.mov").write_bytes(b"an output")
    assert names("in", out="in/done") == ALL


@pytest.mark.parametrize(
    ("inputs", "out", "said"),
    [
        ((), "done", "no video or picture"),
        (("empty",), "done", "no video or picture was found in 'empty'"),
        (("empty/*.mp4",), "done", "no video or picture"),
        (("in/one.mov",), "in", "is an input"),
        (("in",), "in", "is an input"),
        (("a/talk.avi", "b/talk.wmv"), "done", "would both be written"),
        (("a/talk.avi", "b/TALK.avi"), "done", "would both be written"),
        (("-",), "done", "greenroom convert"),
        (("frames/%04d.png",), "done", "greenroom convert"),
        (("xyz://bucket/one.mp4",), "done", "xyz"),
    ],
)
def test_inputs_that_cannot_be_used(
    names: Names, folder: Path, inputs: Sequence[str], out: str, said: str
) -> None:
    """They are refused before anything is done."""
    if "xyz" in said:
        pytest.importorskip("fsspec", reason="addresses need fsspec")
    (folder / "empty").mkdir()
    for name in ("a/talk.avi", "b/talk.wmv", "b/TALK.avi"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    with pytest.raises(SettingsError, match=said):
        names(*inputs, out=out)


def test_one_input_that_is_missing_is_listed_and_all_are_an_error(folder: Path) -> None:
    """As one of thousands, it stops nothing."""
    found = recordings(["no.mp4", "in/one.mov"], str(folder / "done"), Settings())
    assert [one.input.fingerprint == MISSING for one in found] == [True, False]
    with pytest.raises(SourceError, match=r"no\.mp4"):
        recordings(["no.mp4"], str(folder / "done"), Settings())


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_list_gives_files_outputs_and_settings(folder: Path, kind: str) -> None:
    """Names are relative to the list; an empty cell is as the command says."""
    (folder / "in/beach.png").write_bytes(b"sand")
    text = {
        "csv": (
            "input, output, background, people, edge_shift\n"
            "one.mov, welcome/one.mp4, beach.png, main,\n"
            '2024/two.avi,,,,"0.5"\n'
        ),
        "jsonl": (
            '{"input": "one.mov", "output": "welcome/one.mp4", "background": "beach.png", '
            '"people": "main"}\n\n{"input": "2024/two.avi", "edge_shift": 0.5, "people": null}\n'
        ),
    }[kind]
    path = folder / f"in/list.{kind}"
    path.write_text(text, "utf-8-sig")
    one, two = recordings([f"in/list.{kind}"], str(folder / "done"), Settings(background="office"))
    assert (one.output, one.settings.people) == ("welcome/one.mp4", "main")
    assert one.settings.background == str(folder / "in/beach.png")
    assert (two.output, two.settings.background) == ("2024/two.mp4", "office")
    assert two.settings.edge_shift == 0.5


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("list.csv", "", "a first line"),
        ("list.csv", "file,output\none.mov,\n", "a first line"),
        ("list.csv", "input,input\none.mov,one.mov\n", "each once"),
        ("list.csv", "input\none.mov,two\n", "line 2: it has more"),
        ("list.csv", "input,output\n,one.mp4\n", "line 2: expected a file"),
        ("list.csv", "input,bakground\none.mov,blur\n", "line 2: there is no setting 'bakground'"),
        ("list.csv", "input,overwrite\none.mov,true\n", "'overwrite' for single files"),
        ("list.csv", "input,fit\none.mov,wide\n", "line 2: setting 'fit'"),
        ("list.csv", "input,output\none.mov,../one.mp4\n", "in the output folder"),
        ("list.csv", "input,output\none.mov,/tmp/one.mp4\n", "in the output folder"),
        ("list.csv", "input,output\none.mov,.greenroom/one.mp4\n", "in the output folder"),
        ("list.csv", "input,output\none.mov,one.txt\n", "unknown extension"),
        ("list.csv", "input\n2024\n", "expected a video or picture"),
        ("list.jsonl", '{"input": "one.mov"\n', "line 1: expected an object"),
        ("list.jsonl", '\n["one.mov"]\n', "line 2: expected an object"),
        ("list.jsonl", '{"input": 7}\n', "line 1: expected a file"),
    ],
)
def test_mistakes_in_lists(folder: Path, name: str, text: str, said: str) -> None:
    """Each is an error with the line, before anything is done."""
    (folder / "in" / name).write_text(text, "utf-8")
    with pytest.raises(GreenroomError, match=said):
        recordings([f"in/{name}"], str(folder / "done"), Settings())


def test_a_folder_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of an archive is not left out in silence."""

    def denied(path: object) -> object:
        raise PermissionError(13, "permission denied", str(path))

    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(SourceError, match="'in' cannot be read: permission denied"):
        recordings(["in"], str(folder / "done"), Settings())
