"""Measure greenroom's own matte on labelled photos and clips.

The folder holds ``portraits`` and ``mixed``, each with ``image`` and ``mask`` (hard
masks under the picture's name), and ``clips``: ``NAME.mp4`` with the true matte in
``NAME.alpha.mkv``. Tables go to standard output, in the units that papers use.

    python benchmarks/quality.py --data ../shared/data --set clips
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
import cv2
import numpy as np

import greenroom
from greenroom import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

PHOTO_SETS: Final = ("portraits", "mixed")
SETS: Final = ("clips", *PHOTO_SETS)
# Clips named so hold a whole body in fast motion; all others, someone who talks.
DANCERS: Final = "dancer"


@dataclass(frozen=True, slots=True)
class PhotoScore:
    """How well one set of photos was cut out."""

    photos: int
    iou: float
    iou_10th_percentile: float
    band_iou: float

    @classmethod
    def of(cls, pairs: Iterable[tuple[Plane, Plane]]) -> PhotoScore:
        """Score pairs of a predicted and a true matte."""
        rows = np.array([(metrics.iou(*pair), metrics.boundary_iou(*pair)) for pair in pairs])
        return cls(
            photos=len(rows),
            iou=float(rows[:, 0].mean()),
            iou_10th_percentile=float(np.percentile(rows[:, 0], 10)),
            band_iou=float(np.nanmean(rows[:, 1])),
        )


@dataclass(frozen=True, slots=True)
class ClipScore:
    """How well one clip, or several of them on average, was cut out."""

    clips: int
    mad_1000: float
    mse_1000: float
    iou: float
    band_iou: float
    dtssd_100: float
    leak_percent: float

    @classmethod
    def of(cls, pairs: Iterable[tuple[Plane, Plane]]) -> ClipScore:
        """Score the predicted and true mattes of one clip, in order of time."""
        meter = metrics.DtssdMeter()
        rows = []
        for prediction, truth in pairs:
            meter.add(prediction, truth)
            rows.append(
                (
                    1000 * metrics.mad(prediction, truth),
                    1000 * metrics.mse(prediction, truth),
                    metrics.iou(prediction, truth),
                    metrics.boundary_iou(prediction, truth),
                    metrics.leak(prediction, truth),
                )
            )
        mad, mse, iou, band_iou, leak = np.nanmean(rows, axis=0).tolist()
        return cls(1, mad, mse, iou, band_iou, 100 * meter.value, leak)

    @classmethod
    def mean(cls, scores: Sequence[ClipScore]) -> ClipScore:
        """Average over clips; a long one counts no more than a short one."""
        columns = [list(asdict(score).values())[1:] for score in scores]
        return cls(len(scores), *np.mean(columns, axis=0).tolist())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for and print it."""
    options = _parser().parse_args(arguments)
    wanted = SETS if options.set == "all" else (options.set,)
    missing = [str(options.data / name) for name in wanted if not (options.data / name).is_dir()]
    if missing:
        print(f"no such folder: {', '.join(missing)}. Say --data FOLDER.", file=sys.stderr)
        return 2
    chosen = {} if options.model is None else {"model": options.model}
    with greenroom.VirtualBackground(background="transparent", **chosen) as vb:
        photos = {
            name: PhotoScore.of(photo_mattes(vb, options.data / name))
            for name in PHOTO_SETS
            if name in wanted
        }
        clips = measure_clips(vb, options.data / "clips") if "clips" in wanted else {}
        model = vb.settings.model
    if options.json:
        print(json.dumps(_as_json(model, photos, clips), indent=2))
    else:
        print("\n\n".join(_tables(model, photos, clips)))
    return 0


def measure_clips(vb: greenroom.VirtualBackground, folder: Path) -> dict[str, ClipScore]:
    """Score every clip of a folder that has a true matte, by the clip's name."""
    truths = sorted(folder.glob("*.alpha.mkv"))
    names = [truth.name.removesuffix(".alpha.mkv") for truth in truths]
    return {name: ClipScore.of(clip_mattes(vb, folder, name)) for name in names}


def clip_mattes(
    vb: greenroom.VirtualBackground, folder: Path, name: str
) -> Iterator[tuple[Plane, Plane]]:
    """Yield the predicted and the true matte of each frame of one clip."""
    vb.reset()
    pictures, alphas = decode(folder / f"{name}.mp4"), decode(folder / f"{name}.alpha.mkv")
    for picture, alpha in zip(pictures, alphas, strict=True):
        yield matte_of(vb, picture), np.asarray(alpha.to_ndarray(format="gray"), dtype=np.uint8)


def photo_mattes(vb: greenroom.VirtualBackground, folder: Path) -> Iterator[tuple[Plane, Plane]]:
    """Yield the predicted matte and the true mask of each photo of one set."""
    for path in sorted((folder / "image").iterdir()):
        vb.reset()
        prediction = matte_of(vb, next(decode(path)))
        yield prediction, read_mask(folder / "mask" / f"{path.stem}.png")


def matte_of(vb: greenroom.VirtualBackground, picture: av.VideoFrame) -> Plane:
    """Return greenroom's matte for one decoded picture."""
    vb.process(greenroom.Frame.from_av(picture))
    if vb.matte is None:
        message = "greenroom found no valid matte for a picture; its log says why."
        raise RuntimeError(message)
    return vb.matte


def decode(path: Path) -> Iterator[av.VideoFrame]:
    """Yield the pictures of a video or image file."""
    with av.open(path) as container:
        yield from container.decode(video=0)


def read_mask(path: Path) -> Plane:
    """Read a hard mask as a matte of 0 and 255."""
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        message = f"mask {str(path)!r} cannot be read."
        raise FileNotFoundError(message)
    return np.where(mask > 127, np.uint8(255), np.uint8(0))


def group(clips: dict[str, ClipScore]) -> dict[str, ClipScore]:
    """Average the clips of each kind."""
    kinds: dict[str, list[ClipScore]] = {"talkers": [], "dancers": []}
    for name, score in clips.items():
        kinds["dancers" if name.startswith(DANCERS) else "talkers"].append(score)
    return {kind: ClipScore.mean(scores) for kind, scores in kinds.items() if scores}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure greenroom's matte on labelled data.")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the labelled data"
    )
    parser.add_argument("--model", help="model to use (default: greenroom's)")
    parser.add_argument("--set", choices=(*SETS, "all"), default="all", help="what to measure")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser


def _as_json(
    model: str, photos: dict[str, PhotoScore], clips: dict[str, ClipScore]
) -> dict[str, Any]:
    """Return all figures, those of single clips included."""
    scores: dict[str, PhotoScore | ClipScore] = {**photos, **group(clips)}
    return {
        "model": model,
        **{name: asdict(score) for name, score in scores.items()},
        "clips": {name: asdict(score) for name, score in clips.items()},
    }


def _tables(
    model: str, photos: dict[str, PhotoScore], clips: dict[str, ClipScore]
) -> Iterator[str]:
    """Yield one Markdown table for the photos and one for the clips."""
    if photos:
        head = [f"photos, {model}", "number", "IoU", "10th percentile", "band IoU"]
        yield _table(head, list(itertools.starmap(_photo_row, photos.items())))
    if clips:
        head = ["MAD x1000", "MSE x1000", "IoU", "band IoU", "dtSSD x100", "leak %"]
        rows = [
            _clip_row(f"**{kind}**, mean of {score.clips}", score)
            for kind, score in group(clips).items()
        ]
        rows += itertools.starmap(_clip_row, clips.items())
        yield _table([f"clips, {model}", *head], rows)


def _photo_row(name: str, score: PhotoScore) -> list[str]:
    shares = (score.iou, score.iou_10th_percentile, score.band_iou)
    return [name, str(score.photos), *(f"{share:.3f}" for share in shares)]


def _clip_row(name: str, score: ClipScore) -> list[str]:
    return [
        name,
        f"{score.mad_1000:.1f}",
        f"{score.mse_1000:.1f}",
        f"{score.iou:.3f}",
        f"{score.band_iou:.3f}",
        f"{score.dtssd_100:.2f}",
        f"{score.leak_percent:.2f}",
    ]


def _table(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


if __name__ == "__main__":
    sys.exit(main())
