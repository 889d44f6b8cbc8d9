"""Quality of processed videos without a truth to compare with, and a sheet to look through.

What goes wrong in an archive shows in a few numbers of each file: frames in which nobody was
found, frames that were covered, and mattes that flicker. They are counted while the file is
processed. A sheet has the files with the worst numbers first, with thumbnails of what was written.
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom.media.file_writing import write_atomically
from greenroom.sinks.packing import over_cover_colour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.engine.engine import VirtualBackground
    from greenroom.media.frame import Frame

    Process = Callable[[VirtualBackground, Frame], Frame]
    Matte = NDArray[np.float32]

__all__ = ["QualityMeter", "QualityReport", "SheetRow", "write_sheet"]

THUMBNAILS: Final = 6
"""Number of thumbnails of a file."""
_THUMBNAIL_PX: Final = (160, 90)
_JPEG_QUALITY: Final = 75
# Mattes are compared at this size.
_COMPARED_SHAPE: Final = (36, 64)
# Coverage from which a sample is foreground, and the share below which nobody is there: a speck.
_FOREGROUND: Final = 0.5
_MIN_SHARE: Final = 0.002
# Limits from which a file is conspicuous: shares of its frames, and flicker. Labelled clips of
# people who talk have a flicker of 0.02 to 0.15 in 1000, of dancers up to 2.6.
_CONSPICUOUS: Final = {"without a person": 0.02, "covered": 0.0, "flicker": 0.004}
_ROWS_A_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Numbers of one file, or of a part of one.

    Attributes
    ----------
    frames : int
        Frames written.
    without_person : int
        Of these, frames with a valid matte in which nobody is.
    covered : int
        Frames without a valid matte, which show the background only.
    flicker : float
        Mean of the coverage that leaves the matte and is back a frame later, or the reverse, as a
        share of the picture: 0 (steady) to 1.
    thumbnails : tuple of bytes
        JPEG pictures of frames that were written, in order; opaque.
    """

    frames: int = 0
    without_person: int = 0
    covered: int = 0
    flicker: float = 0.0
    thumbnails: tuple[bytes, ...] = ()

    @classmethod
    def joined(cls, parts: Sequence[QualityReport]) -> QualityReport:
        """Return the report of a video from those of its segments, in order."""
        frames = sum(part.frames for part in parts)
        thumbnails = [one for part in parts for one in part.thumbnails]
        return cls(
            frames=frames,
            without_person=sum(part.without_person for part in parts),
            covered=sum(part.covered for part in parts),
            flicker=sum(part.flicker * part.frames for part in parts) / max(frames, 1),
            thumbnails=tuple(_spread(thumbnails)),
        )

    @property
    def shares(self) -> dict[str, float]:
        """The numbers as shares of all frames, and the flicker."""
        frames = max(self.frames, 1)
        return {
            "without a person": self.without_person / frames,
            "covered": self.covered / frames,
            "flicker": self.flicker,
        }

    @property
    def faults(self) -> tuple[str, ...]:
        """Names of the numbers that are conspicuous."""
        return tuple(name for name, share in self.shares.items() if share > _CONSPICUOUS[name])

    @property
    def badness(self) -> float:
        """How conspicuous it is, to sort by: from 0 on."""
        return self.shares["without a person"] + 2 * self.shares["covered"] + 50 * self.flicker

    def to_text(self) -> str:
        """Return all of it as JSON."""
        pictures = [base64.b64encode(one).decode() for one in self.thumbnails]
        return json.dumps([self.frames, self.without_person, self.covered, self.flicker, pictures])

    @classmethod
    def from_text(cls, text: str) -> QualityReport:
        """Read what `to_text` returned.

        Raises
        ------
        ValueError
            If it is something else.
        """
        frames, without_person, covered, flicker, pictures = json.loads(text)
        thumbnails = tuple(base64.b64decode(one) for one in pictures)
        return cls(frames, without_person, covered, flicker, thumbnails)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain values, for JSON, without thumbnails."""
        return {
            "frames": self.frames,
            "without_person": self.without_person,
            "covered": self.covered,
            "flicker": round(self.flicker, 6),
            "faults": list(self.faults),
        }


class QualityMeter:
    """Measures a video while it is processed.

    Examples
    --------
    >>> meter = QualityMeter()
    >>> meter.report.frames
    0

    State: the counts, the last two mattes at a small size, and some thumbnails.
    """

    def __init__(self) -> None:
        self._frames = self._without_person = self._covered = 0
        self._blinked = 0.0
        self._last: list[Matte] = []
        self._thumbnails: list[bytes] = []
        self._stride = 1

    def watching(self, process: Process) -> Process:
        """Return a function that processes a frame and measures the result."""

        def watched(engine: VirtualBackground, frame: Frame) -> Frame:
            failures = engine.failures
            made = process(engine, frame)
            self._see(engine, made, is_covered=engine.failures > failures)
            return made

        return watched

    @property
    def report(self) -> QualityReport:
        """The report of all frames so far."""
        return QualityReport(
            self._frames,
            self._without_person,
            self._covered,
            self._blinked / max(self._frames, 1),
            tuple(_spread(self._thumbnails)),
        )

    def _see(self, engine: VirtualBackground, made: Frame, *, is_covered: bool) -> None:
        """Measure the last frame that an engine made."""
        self._covered += is_covered
        matte = None if is_covered else engine.sampled_matte(_COMPARED_SHAPE)
        if matte is None:
            self._last.clear()
        else:
            self._compare(np.asarray(matte, np.float32) / np.float32(255))
        if self._frames % self._stride == 0:
            self._thumbnails.append(_thumbnail(made))
            if len(self._thumbnails) == 2 * THUMBNAILS:
                del self._thumbnails[1::2]
                self._stride *= 2
        self._frames += 1

    def _compare(self, matte: Matte) -> None:
        """Count whether somebody is there, and what was there, or not, for one frame only."""
        self._without_person += bool(np.mean(matte >= _FOREGROUND) < _MIN_SHARE)
        if len(self._last) == 2:
            before, between = self._last
            # What moves on is as far from both; what blinks is far from both and these are alike.
            away = np.abs(between - (before + matte) / 2) - np.abs(matte - before) / 2
            self._blinked += float(np.maximum(away, 0).mean())
        self._last = [*self._last[-1:], matte]


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A file on the sheet.

    Attributes
    ----------
    name : str
        Shown; the output's name.
    report : QualityReport or None
        None if it failed, or was not measured.
    error : str
        Why it failed.
    pictures : callable or None
        Returns the thumbnails, in place of those of the report.
    """

    name: str
    report: QualityReport | None = None
    error: str = ""
    pictures: Callable[[], Sequence[bytes]] | None = None

    @property
    def thumbnails(self) -> Sequence[bytes]:
        """JPEG pictures of it."""
        if self.pictures is not None:
            return self.pictures()
        return () if self.report is None else self.report.thumbnails

    @property
    def rank(self) -> tuple[int, float, str]:
        """Place on the sheet: failures, then the conspicuous, then by badness, then the rest."""
        if self.report is None:
            return 0 if self.error else 3, 0.0, self.name
        return 1 if self.report.faults else 2, -self.report.badness, self.name


def write_sheet(folder: Path, rows: Iterable[SheetRow]) -> Path:
    """Write a sheet of files with their thumbnails, the worst first.

    Parameters
    ----------
    folder : Path
        Made if it is missing. What is written are ``index.html``, further pages beside it, and
        the thumbnails in a folder; files of an earlier sheet are replaced.
    rows : iterable of SheetRow

    Returns
    -------
    Path
        The first page.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    (folder / "thumbnails").mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("page-*.html"), *(folder / "thumbnails").glob("[0-9]*.jpg")):
        old.unlink()
    ordered = sorted(rows, key=lambda row: row.rank)
    pages = [ordered[at : at + _ROWS_A_PAGE] for at in range(0, len(ordered), _ROWS_A_PAGE)] or [[]]
    number = 0
    for index, page in enumerate(pages):
        lines = []
        for row in page:
            pictures = []
            for picture in row.thumbnails:
                path = folder / "thumbnails" / f"{number:06}.jpg"
                write_atomically(path, picture, private=False)
                pictures.append(f"thumbnails/{path.name}")
                number += 1
            lines.append(_line(row, pictures))
        text = _page(lines, index, len(pages), len(ordered))
        write_atomically(folder / _page_name(index), text.encode(), private=False)
    return folder / _page_name(0)


def _line(row: SheetRow, pictures: list[str]) -> str:
    """Return the row of a file."""
    name = html.escape(row.name)
    if row.report is None:
        text, kind = (row.error, "bad") if row.error else ("finished by a run without it", "")
        cell = f'<td class="error" colspan="5">{html.escape(text)}</td>'
        return f'<tr class="{kind}"><th>{name}</th>{cell}</tr>'
    shares, faults = row.report.shares, row.report.faults
    cells = "".join(
        f'<td class="{"bad" if label in faults else ""}">{1000 * share:.1f}</td>'
        for label, share in shares.items()
    )
    width, height = _THUMBNAIL_PX
    images = "".join(
        f'<img src="{one}" width="{width}" height="{height}" loading="lazy" alt="">'
        for one in pictures
    )
    return f"<tr><th>{name}</th><td>{row.report.frames}</td>{cells}<td>{images}</td></tr>"


def _page(lines: list[str], index: int, pages: int, files: int) -> str:
    """Return a page of the sheet: no scripts, nothing from elsewhere."""
    links = " ".join(
        str(one + 1) if one == index else f'<a href="{_page_name(one)}">{one + 1}</a>'
        for one in range(pages)
    )
    rows = "\n".join(lines)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self'; style-src 'unsafe-inline'">
<title>greenroom: {files} files</title>
<style>
body {{ font: 14px system-ui, sans-serif; margin: 1em; }}
th, td {{ padding: 2px 8px; text-align: left; vertical-align: middle; }}
tbody th {{ font-weight: normal; min-width: 10em; overflow-wrap: anywhere; }}
thead th {{ max-width: 6em; }}
td:last-child {{ white-space: nowrap; }}
td.error {{ white-space: normal; }}
.bad {{ background: #f9d0c4; }}
</style></head><body>
<p>{files} files, the worst first. Pages: {links}</p>
<table><thead><tr><th>file</th><th>frames</th><th>without a person, in 1000</th>
<th>covered, in 1000</th><th>flicker, in 1000</th><th>frames of it</th></tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""


def _page_name(index: int) -> str:
    return "index.html" if index == 0 else f"page-{index + 1}.html"


def _thumbnail(made: Frame) -> bytes:
    """Return a small opaque JPEG of a frame, within the size of a thumbnail."""
    frame = over_cover_colour(made)
    width, height = frame.size
    scale = min(_THUMBNAIL_PX[0] / width, _THUMBNAIL_PX[1] / height, 1.0)
    size = max(2, round(width * scale)), max(2, round(height * scale))
    rgb = frame.to_av().reformat(*size, "rgb24", threads=1).to_ndarray()
    bgr = cv2.cvtColor(np.asarray(rgb, np.uint8), cv2.COLOR_RGB2BGR)
    canvas = np.zeros((_THUMBNAIL_PX[1], _THUMBNAIL_PX[0], 3), np.uint8)
    top, left = (canvas.shape[0] - size[1]) // 2, (canvas.shape[1] - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = bgr
    _, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()


def _spread(thumbnails: Sequence[bytes]) -> list[bytes]:
    """Return as many thumbnails as a file has, evenly spread."""
    if len(thumbnails) <= THUMBNAILS:
        return list(thumbnails)
    places = np.linspace(0, len(thumbnails) - 1, THUMBNAILS).round().astype(int)
    return [thumbnails[place] for place in places]
