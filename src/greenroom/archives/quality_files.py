"""Quality reports of a batch's files, kept beside the manifest until a sheet is made of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from greenroom.archives.manifest import State
from greenroom.archives.report import QualityReport, SheetRow
from greenroom.media.file_writing import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from greenroom.archives.manifest import Manifest

__all__ = ["QualityFiles"]


class QualityFiles:
    """A folder with the report of each file that was measured.

    Parameters
    ----------
    state : Path
        Folder of the manifest.
    """

    def __init__(self, state: Path) -> None:
        self._folder = state / "quality"

    def keep(self, number: int, report: QualityReport) -> None:
        """Write the report of a file, which has a number in the manifest.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        self._folder.mkdir(exist_ok=True)
        write_atomically(self._path(number), report.to_text().encode(), private=False)

    def rows(self, manifest: Manifest, run: int) -> Iterator[SheetRow]:
        """Yield the files of a run that are done or failed; thumbnails are read when needed."""
        for row in manifest.rows(run, State.FAILED):
            yield SheetRow(row.output, error=row.error or "it failed")
        for row in manifest.rows(run, State.DONE):
            report = self._report(row.number)
            if report is None:
                yield SheetRow(row.output)
            else:
                few = replace(report, thumbnails=())
                yield SheetRow(row.output, few, pictures=partial(self._pictures, row.number))

    def _pictures(self, number: int) -> Sequence[bytes]:
        report = self._report(number)
        return () if report is None else report.thumbnails

    def _report(self, number: int) -> QualityReport | None:
        try:
            return QualityReport.from_text(self._path(number).read_text())
        except (OSError, ValueError):  # finished by a run that kept none
            return None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json"
