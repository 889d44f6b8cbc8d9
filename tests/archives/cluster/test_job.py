"""What workers in a cluster are told, and how machines are divided among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from greenroom.archives.cluster.job import Share, everywhere, job_of, share_of
from greenroom.archives.inputs import MISSING, Recording
from greenroom.archives.planner import Kind, Unit
from greenroom.archives.storage import Entry
from greenroom.archives.tasks import Task
from greenroom.settings import Settings
from greenroom.settings.choices import Device

if TYPE_CHECKING:
    from pathlib import Path

GIB = float(1 << 30)


@pytest.mark.parametrize(
    ("resources", "device", "processors", "expected"),
    [
        ({"CPU": 8.0, "memory": 64 * GIB}, Device.CPU, 2, Share(4, 2)),
        ({"CPU": 8.0, "memory": 64 * GIB}, Device.OPENVINO, 1, Share(8, 1)),
        ({"CPU": 8.0, "memory": 2 * GIB}, Device.AUTO, 1, Share(2, 1)),
        ({"CPU": 1.0, "memory": 0.1 * GIB}, Device.AUTO, 1, Share(1, 1)),
        ({"CPU": 1.0, "memory": 64 * GIB}, Device.AUTO, 2, Share(0, 2)),
        ({"memory": 64 * GIB}, Device.AUTO, 1, Share(0, 1)),
        ({"CPU": 6.0, "GPU": 2.0, "memory": 64 * GIB}, Device.AUTO, 1, Share(2, 3, 1, 3)),
        ({"CPU": 2.0, "GPU": 4.0, "memory": 64 * GIB}, Device.CUDA, 1, Share(2, 1, 1, 1)),
        ({"CPU": 6.0, "GPU": 2.0, "memory": 64 * GIB}, Device.CPU, 1, Share(6, 1)),
        ({"CPU": 6.0, "memory": 64 * GIB}, Device.TENSORRT, 1, Share(0, 1)),
    ],
)
def test_shares(
    resources: dict[str, float], device: Device, processors: int, expected: Share
) -> None:
    """A worker has processors, if memory allows, or a card and several units; some have none."""
    assert share_of(resources, device, processors) == expected


def test_most_common_settings_and_some_inputs() -> None:
    """Engines are made ready for most files; inputs that are not there are no proof of storage."""
    plain, other = Settings(background="color:teal"), Settings(background="blur")
    found = [
        Recording(Entry(f"/talks/{number}.mp4", 5, str(number)), f"{number}.mp4", plain)
        for number in range(10)
    ]
    lost = Recording(Entry("/talks/lost.mp4", 0, MISSING), "lost.mp4", other)
    job = job_of([lost, *found], "1.2.3", ("/done/mark", b"content"))
    assert job.settings == {"background": "color:teal"}
    assert [one.name for one in job.inputs] == ["/talks/0.mp4", "/talks/4.mp4", "/talks/9.mp4"]
    assert (job.version, job.mark, job.content) == ("1.2.3", "/done/mark", b"content")
    assert job_of([lost], "1.2.3").inputs == ()
    assert job_of(found[:1], "1.2.3").inputs == (found[0].input,)


def test_files_of_settings_are_named_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers have another working folder; what is no file of this one stays as it is."""
    (tmp_path / "beach.jpg").write_bytes(b"sand")
    monkeypatch.chdir(tmp_path)
    task = Task(Unit(1, Kind.WHOLE), "a", "b", "c", {"background": "beach.jpg", "fit": "cover"})
    chosen = {"background": str(tmp_path / "beach.jpg"), "fit": "cover"}
    assert everywhere(task).settings == chosen
    blur = Task(Unit(1, Kind.WHOLE), "a", "b", "c", {"background": "blur"})
    assert everywhere(blur) == blur
