"""A worker's outputs: exactly those of ``convert``, with an engine that has seen other files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import greenroom
from greenroom.archives.planner import Kind, Unit
from greenroom.archives.tasks import Failed, Fault, Finished, Task
from greenroom.archives.work import Workbench
from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Make = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """Return a clip of the synthetic person in the magenta room."""
    source = PersonSource(frames=12)
    path = tmp_path / "person.mkv"
    sink = create_sink(path, Settings(codec="ffv1"), source.info)
    for frame in source:
        sink.write(frame)
    sink.close()
    return path


@pytest.fixture
def others(make_video: Make, make_picture: Make, rng: np.random.Generator) -> list[Path]:
    """Return other inputs: of another size, and a picture."""
    frames: list[NDArray[np.uint8]] = [
        rng.integers(0, 255, (48, 80, 3), np.uint8) for _ in range(7)
    ]
    return [
        make_video(frames, name="noise.mkv"),
        make_picture(frames[0], "photo.png"),
    ]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    """Return what a worker keeps."""
    with Workbench(str(tmp_path)) as made:
        yield made


def task(source: Path, target: Path, settings: Settings, **more: Any) -> Task:
    """Return a task for a whole file."""
    values = settings.model_dump(mode="json", exclude_unset=True)
    return Task(Unit(1, Kind.WHOLE), str(source), str(target), "done.mkv", values, **more)


def _ignore(*_: object) -> None:
    """Take progress."""


CHOICES = {
    "defaults": {},
    "a moving background": {"background": "background.mkv"},
    "the steps with the longest memory": {
        "quality": "best",
        "people": "main",
        "framing": "follow",
        "low_light": 0.5,
        "match_light": 0.5,
        "light_wrap": 0.3,
    },
    "a screen's colour that is found": {"model": "chroma", "on_failure": "cover"},
}


@pytest.mark.parametrize("chosen", CHOICES.values(), ids=CHOICES)
def test_outputs_are_those_of_convert(
    bench: Workbench,
    person: Path,
    others: list[Path],
    make_video: Make,
    tmp_path: Path,
    chosen: dict[str, Any],
    rng: np.random.Generator,
) -> None:
    """Byte by byte, whatever the engine saw before."""
    make_video(
        [rng.integers(0, 255, (36, 64, 3), np.uint8) for _ in range(5)], name="background.mkv"
    )
    if "background" in chosen:
        chosen = {**chosen, "background": str(tmp_path / "background.mkv")}
    settings = Settings(**chosen)
    for number, source in enumerate([person, *others, person]):
        suffix = ".png" if source.suffix == ".png" else ".mp4"
        plain, made = tmp_path / f"plain-{number}{suffix}", tmp_path / f"made-{number}{suffix}"
        summary = greenroom.convert(source, plain, settings)
        done = bench.perform(task(source, made, settings), _ignore)
        assert isinstance(done, Finished), done
        assert done.made is not None
        assert (done.made.frames, done.made.covered) == (summary.frames, summary.covered)
        assert done.summary["input"] == str(source)
        assert made.read_bytes() == plain.read_bytes()


def test_a_failure_leaves_nothing_and_the_next_file_is_done(
    bench: Workbench, person: Path, tmp_path: Path
) -> None:
    """Its message has the name of the output, and not of this attempt."""
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(person.read_bytes()[:-3000])
    staged = tmp_path / "staged"
    staged.mkdir()
    failed = bench.perform(task(broken, staged / "1.mkv", Settings()), _ignore)
    assert isinstance(failed, Failed)
    assert (failed.fault, "broken.mkv" in failed.message) == (Fault.FILE, True)
    missing = bench.perform(task(tmp_path / "no.mkv", staged / "2.mkv", Settings()), _ignore)
    assert isinstance(missing, Failed)
    assert "there is no such file" in missing.message
    refused = bench.perform(task(person, tmp_path / "no/3.mkv", Settings()), _ignore)
    assert isinstance(refused, Failed)
    assert "'done.mkv' cannot be written" in refused.message
    assert list(staged.iterdir()) == []
    assert isinstance(bench.perform(task(person, staged / "4.mkv", Settings()), _ignore), Finished)


def test_a_disk_that_is_full(
    bench: Workbench, person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told apart from faults of the file."""

    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("greenroom.sinks.video_file.check_free_space", full)
    failed = bench.perform(task(person, tmp_path / "made.mkv", Settings()), _ignore)
    assert isinstance(failed, Failed)
    assert failed.fault is Fault.FULL
    assert not (tmp_path / "made.mkv").exists()


def test_an_input_that_changes_meanwhile_is_not_taken(
    bench: Workbench, person: Path, tmp_path: Path
) -> None:
    """Part of the output would be of one version, part of another."""

    def change(done: int, _: int | None) -> None:
        if done == 3:
            shutil.copy(person, tmp_path / "copy.mkv")
            (tmp_path / "copy.mkv").replace(person)

    failed = bench.perform(task(person, tmp_path / "made.mkv", Settings()), change)
    assert isinstance(failed, Failed)
    assert (failed.fault, "was changed" in failed.message) == (Fault.PASSING, True)
    assert not (tmp_path / "made.mkv").exists()


def test_addresses_of_input_output_and_background(
    bench: Workbench, person: Path, make_picture: Make, tmp_path: Path
) -> None:
    """The result is that of files here, and no copy stays."""
    pytest.importorskip("fsspec", reason="addresses need fsspec")
    picture = make_picture(np.full((36, 64, 3), (0, 160, 60), np.uint8), "green.png")
    values = {"background": f"local://{picture}"}
    source, target = f"local://{person}", f"local://{tmp_path}/made.mp4"
    unit = Unit(1, Kind.WHOLE)
    done = bench.perform(Task(unit, source, target, "done.mp4", values), _ignore)
    assert isinstance(done, Finished), done
    assert done.made is not None
    assert done.made.staged == target
    greenroom.convert(person, tmp_path / "plain.mp4", background=str(picture))
    assert (tmp_path / "made.mp4").read_bytes() == (tmp_path / "plain.mp4").read_bytes()
    left = {path.suffix for path in tmp_path.glob("greenroom-*/*")}
    assert left == {".png"}  # the background, for the next file


def test_a_sample_is_short_and_leaves_nothing(
    bench: Workbench, person: Path, tmp_path: Path
) -> None:
    """It tells how long the rest would be."""
    done = bench.perform(task(person, tmp_path / "made.mkv", Settings(), limit=5), _ignore)
    assert isinstance(done, Finished)
    assert (done.made, done.summary["frames"], done.expected) == (None, 5, 12)
    assert not (tmp_path / "made.mkv").exists()
