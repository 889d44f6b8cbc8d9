"""Evaluation: the figures are those of the metrics, and what does not fit is said."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import pytest

from greenroom import VirtualBackground
from greenroom.errors import ExistsError, SinkError, SourceError
from greenroom.evaluation import metrics
from greenroom.evaluation.evaluate import Sample, evaluate, find_cases
from greenroom.evaluation.report import Report, contact_sheet, plot
from greenroom.media.image_files import decode_picture
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

SIZE = (96, 64)
FRAMES = 6


def true_matte(frame: Any) -> Plane:
    """Return a matte that is not what the model finds, but overlaps with it."""
    height, width = frame.size[::-1]
    matte = np.zeros((height, width), np.uint8)
    matte[height // 3 :, width // 4 : 3 * width // 4] = 255
    return matte


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a dataset of three pictures."""
    folder = tmp_path / "pictures"
    for part in ("image", "mask"):
        (folder / part).mkdir(parents=True)
    for number, frame in enumerate(PersonSource(SIZE, 3)):
        cv2.imwrite(str(folder / "image" / f"{number}.png"), frame.to_rgb()[:, :, ::-1])
        cv2.imwrite(str(folder / "mask" / f"{number}.png"), true_matte(frame))
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Return a dataset of one clip."""
    folder = tmp_path / "clips"
    folder.mkdir()
    frames = list(PersonSource(SIZE, FRAMES))
    write(folder / "talk.mkv", [frame.to_rgb() for frame in frames], "bgr0")
    write(folder / "talk.alpha.mkv", [true_matte(frame) for frame in frames], "gray")
    return folder


def write(path: Path, arrays: list[Plane], pixel_format: str) -> None:
    """Write a lossless video."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = pixel_format
        for array in arrays:
            frame = av.VideoFrame.from_ndarray(array, "gray" if array.ndim == 2 else "rgb24")
            container.mux(stream.encode(frame.reformat(threads=1, format=pixel_format)))
        container.mux(stream.encode(None))


def test_pictures(pictures: Path) -> None:
    """Each picture's scores are those of the matte that the engine makes for it alone."""
    done: list[tuple[int, int | None]] = []
    result = evaluate(pictures, progress=lambda *at: done.append(at))
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert list(result.cases) == ["0", "1", "2"]
    with VirtualBackground(background="color:black") as engine:
        for name, scores in result.cases.items():
            engine.reset()
            frame = decode_picture(pictures / "image" / f"{name}.png", 100)
            pair = engine.process_matte(frame).planes[0], true_matte(frame)
            assert scores == pytest.approx(
                {
                    "iou": metrics.iou(*pair),
                    "band_iou": metrics.boundary_iou(*pair),
                    "mad": 1000 * metrics.mad(*pair),
                    "mse": 1000 * metrics.mse(*pair),
                    "sad": metrics.sad(*pair),
                    "grad": metrics.gradient_error(*pair),
                    "conn": metrics.connectivity_error(*pair),
                },
                nan_ok=True,
            )
    for name, mean in result.mean.items():
        column = [scores[name] for scores in result.cases.values()]
        assert mean == pytest.approx(np.nanmean(column))
        share = 10 if "iou" in name else 90
        assert result.worst_tenth[name] == pytest.approx(np.nanpercentile(column, share))
    assert 0 < result.segment_ms < result.frame_ms
    assert result.segmenter.model == "selfie-general"


def test_clips(clips: Path) -> None:
    """A clip is one case: means over its frames, and what only a sequence has."""
    result = evaluate(clips, smoothing=0.5)
    truth = true_matte(next(iter(PersonSource(SIZE, 1))))
    with VirtualBackground(background="color:black", smoothing=0.5) as engine:
        with av.open(str(clips / "talk.mkv")) as container:
            decoded = list(container.decode(video=0))
        from greenroom import Frame  # noqa: PLC0415 - only here

        found = [engine.process_matte(Frame.from_av(one, "yuv420p")).planes[0] for one in decoded]
    scores = result.cases["talk"]
    assert set(scores) == {"iou", "band_iou", "mad", "mse", "leak", "dtssd"}
    assert scores["iou"] == pytest.approx(np.mean([metrics.iou(one, truth) for one in found]))
    assert scores["mad"] == pytest.approx(
        1000 * np.mean([metrics.mad(one, truth) for one in found])
    )
    meter = metrics.DtssdMeter()
    for one in found:
        meter.add(one, truth)
    assert scores["dtssd"] == pytest.approx(100 * meter.value)
    (worst,) = result.worst
    assert worst.iou == pytest.approx(min(metrics.iou(one, truth) for one in found))
    assert worst.name.startswith("talk ")


def test_dictionary_is_json(pictures: Path) -> None:
    """What cannot be measured is null, which JSON knows."""
    cv2.imwrite(str(pictures / "mask" / "0.png"), np.zeros(SIZE[::-1], np.uint8))
    result = evaluate(pictures)
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert json.loads(text)["cases"]["0"]["band_iou"] is None


def spoil_mask(folder: Path) -> None:
    """Make a mask unreadable."""
    (folder / "mask" / "1.png").write_bytes(b"no picture")


def shrink_mask(folder: Path) -> None:
    """Give a mask another size."""
    cv2.imwrite(str(folder / "mask" / "1.png"), np.zeros((32, 32), np.uint8))


def drop_mask(folder: Path) -> None:
    """Take a mask away."""
    (folder / "mask" / "1.png").unlink()


def drop_all(folder: Path) -> None:
    """Take everything away."""
    for path in [*folder.glob("*/*.png")]:
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_mask, "1.png"),
        (shrink_mask, "32x32 pixels.*96x64"),
        (drop_mask, "'.*1.png' has no mask of its name"),
        (drop_all, "expected pictures in image/"),
    ],
)
def test_pictures_that_do_not_fit(
    pictures: Path, spoil: Callable[[Path], None], words: str
) -> None:
    """The sentence names the file and what is wrong with it."""
    spoil(pictures)
    with pytest.raises(SourceError, match=words):
        evaluate(pictures)


@pytest.mark.parametrize("frames", [FRAMES - 1, FRAMES + 1])
def test_clips_that_do_not_fit(clips: Path, frames: int) -> None:
    """A true matte with more or fewer frames than its clip is no true matte."""
    write(clips / "talk.alpha.mkv", [np.zeros(SIZE[::-1], np.uint8)] * frames, "gray")
    with pytest.raises(SourceError, match="different numbers of frames"):
        evaluate(clips)


def test_truth_without_clip(clips: Path) -> None:
    """A true matte without its clip is named."""
    (clips / "talk.mkv").unlink()
    with pytest.raises(SourceError, match="has no clip"):
        find_cases(clips)


def test_no_folder(tmp_path: Path) -> None:
    """Nothing there is a sentence too."""
    with pytest.raises(SourceError, match="expected pictures"):
        evaluate(tmp_path / "missing")


class TestReport:
    """What is written."""

    def test_files(self, pictures: Path, tmp_path: Path) -> None:
        """Numbers, a sheet for each model, and a plot."""
        pytest.importorskip("matplotlib", reason="the plot needs it")
        results = [evaluate(pictures, model=name) for name in ("selfie", "selfie-landscape")]
        report = Report(tmp_path / "report")
        report.write(results)
        assert report.has_plot
        names = {path.name for path in (tmp_path / "report").iterdir()}
        assert names == {
            "report.json",
            "worst-selfie.png",
            "worst-selfie-landscape.png",
            "quality-against-time.png",
        }
        read = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
        assert [one["model"] for one in read] == ["selfie", "selfie-landscape"]
        with pytest.raises(ExistsError, match="--overwrite"):
            Report(tmp_path / "report")
        Report(tmp_path / "report", overwrite=True).write(results)

    def test_without_matplotlib(
        self, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Everything but the plot is written, and that can be told."""
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        result = evaluate(pictures)
        assert plot([result]) is None
        report = Report(tmp_path / "report")
        report.write([result])
        assert not report.has_plot
        assert (tmp_path / "report" / "worst-selfie.png").is_file()

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        """A file where the folder should be is named."""
        (tmp_path / "taken").write_text("mine")
        with pytest.raises(SinkError, match="taken"):
            Report(tmp_path / "taken")

    def test_sheet_shows_each_sample(self) -> None:
        """Picture, true matte and found matte lie side by side, whatever their sizes."""
        samples = [
            Sample(
                "one",
                0.5,
                np.full((60, width, 3), (200, 10, 10), np.uint8),
                np.zeros((60, width), np.uint8),
                np.full((60, width), 255, np.uint8),
            )
            for width in (30, 90)
        ]
        sheet = contact_sheet(samples)
        height = sheet.shape[0] // 2
        for number, width in enumerate((30, 90)):
            middle = sheet[number * height + height // 2 + 14]
            tile = width * 4
            assert tuple(middle[tile // 2]) == (200, 10, 10)
            assert tuple(middle[tile + tile // 2]) == (0, 0, 0)
            assert tuple(middle[2 * tile + tile // 2]) == (255, 255, 255)
