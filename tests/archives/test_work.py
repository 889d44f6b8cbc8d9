"""A worker's outputs: exactly those of ``convert``, with an engine that has seen other files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
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


def content(path: Path) -> list[tuple[int | None, bytes]]:
    """Return the packets of a clip with their times: the file itself has random numbers in it."""
    if path.suffix == ".png":
        return [(None, path.read_bytes())]
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(video=0)]


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
    """Byte by byte, whatever the engine saw before; lossless, as x264 is not always the same."""
    make_video(
        [rng.integers(0, 255, (36, 64, 3), np.uint8) for _ in range(5)], name="background.mkv"
    )
    if "background" in chosen:
        chosen = {**chosen, "background": str(tmp_path / "background.mkv")}
    settings = Settings(codec="ffv1", **chosen)
    for number, source in enumerate([person, *others, person]):
        suffix = ".png" if source.suffix == ".png" else ".mkv"
        plain, made = tmp_path / f"plain-{number}{suffix}", tmp_path / f"made-{number}{suffix}"
        summary = greenroom.convert(source, plain, settings)
        done = bench.perform(task(source, made, settings), _ignore)
        assert isinstance(done, Finished), done
        assert done.made is not None
        assert (done.made.frames, done.made.covered) == (summary.frames, summary.covered)
        assert done.summary["input"] == str(source)
        assert content(made) == content(plain)


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
    values = {"background": f"local://{picture}", "codec": "ffv1"}
    source, target = f"local://{person}", f"local://{tmp_path}/made.mkv"
    unit = Unit(1, Kind.WHOLE)
    done = bench.perform(Task(unit, source, target, "done.mkv", values), _ignore)
    assert isinstance(done, Finished), done
    assert done.made is not None
    assert done.made.staged == target
    greenroom.convert(person, tmp_path / "plain.mkv", background=str(picture), codec="ffv1")
    assert content(tmp_path / "made.mkv") == content(tmp_path / "plain.mkv")
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


def test_a_long_clip_in_segments(
    bench: Workbench, make_video: Make, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Split, segments and join of plain values give the frames of the whole clip, at its times."""
    pictures: list[NDArray[np.uint8]] = [
        rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(60)
    ]
    source = make_video(pictures, name="long.mkv")  # 6 s, of key frames
    whole = task(source, tmp_path / "x.mp4", Settings(on_failure="cover"))
    split = bench.perform(replace(whole, unit=Unit(1, Kind.SPLIT), segment_s=2.0), _ignore)
    assert isinstance(split, Finished), split
    assert (len(split.segments), split.made) == (3, None)
    parts = []
    for number, text in enumerate(split.segments):
        target = str(tmp_path / f"{number}.part")
        unit = Unit(1, Kind.SEGMENT, number)
        one = replace(whole, unit=unit, segment=text, target=target, shown="done.mp4")
        done = bench.perform(one, _ignore)
        assert isinstance(done, Finished), done
        assert done.made is not None
        parts.append(done.made.staged)
    fingerprint = split.input.fingerprint
    joining = replace(
        whole,
        unit=Unit(1, Kind.JOIN),
        parts=tuple(parts),
        target=str(tmp_path / "joined.mp4"),
        shown="done.mp4",
        fingerprint=fingerprint,
    )
    joined = bench.perform(joining, _ignore)
    assert isinstance(joined, Finished), joined
    assert joined.made is not None
    assert (joined.made.frames, joined.summary["segments"]) == (60, 3)
    plain = tmp_path / "plain.mp4"
    greenroom.convert(source, plain, on_failure="cover")
    assert times(tmp_path / "joined.mp4") == times(plain)
    refused = bench.perform(replace(joining, fingerprint="another"), _ignore)
    assert isinstance(refused, Failed)
    assert "changed after it was divided" in refused.message


def times(path: Path) -> list[int]:
    """Return the times of a clip's frames."""
    with av.open(str(path)) as container:
        return [int(frame.pts or 0) for frame in container.decode(video=0)]
