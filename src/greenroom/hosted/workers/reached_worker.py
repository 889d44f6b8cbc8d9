"""A worker as the process in front sees it: where it is, what it reported, what it was given."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from greenroom.hosted.workers.reports import WorkerReport

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Given", "ReachedWorker"]


@dataclass(eq=False, slots=True)
class Given:
    """A session or viewer that a worker was given, and that no report of its has yet.

    Attributes
    ----------
    owner, stream : str
    is_session : bool
        Not a viewer.
    report : int or None
        Number of the report that has it; None until the worker has answered.
    """

    owner: str
    stream: str
    is_session: bool
    report: int | None = None


class ReachedWorker:
    """A worker that takes requests, wherever it runs. Everything is called on the loop's thread.

    Parameters
    ----------
    name : str
        The ids of its sessions begin with it.

    Attributes
    ----------
    name : str
    report : WorkerReport
        The last one; an empty one while it does not run.
    address : (str, int) or None
        Host and port where it takes requests; None while it does not run.
    unreported : list of Given
        Sessions that it was given since.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.report = WorkerReport()
        self.address: tuple[str, int] | None = None
        self.unreported: list[Given] = []

    @property
    def session_count(self) -> int:
        """Sessions that it has or was given."""
        return len(self.report.sessions) + sum(one.is_session for one in self.unreported)

    @property
    def has_room(self) -> bool:
        """Whether it would admit another session."""
        return (
            self.address is not None
            and self.report.is_ready
            and self.session_count < self.report.capacity
        )

    def connections_of(self, owner: str) -> int:
        """Return how many connections of a grant it has or was given."""
        return self.report.connections.get(owner, 0) + sum(
            one.owner == owner for one in self.unreported
        )

    def owner_of(self, stream: str) -> str | None:
        """Return the name of the grant that publishes a stream here; None if nobody does."""
        for session in self.report.sessions:
            if session.stream == stream:
                return session.owner
        return next(
            (one.owner for one in self.unreported if one.is_session and one.stream == stream), None
        )

    @contextmanager
    def giving(self, owner: str, stream: str, *, is_session: bool) -> Iterator[Given]:
        """Count a session or viewer as its own while it is asked to take it, and until it reports.

        `Given.report` is set within, if it took it.
        """
        given = Given(owner, stream, is_session)
        self.unreported.append(given)
        try:
            yield given
        finally:
            if given.report is None or given.report <= self.report.number:
                self._forget(given)

    def take(self, report: WorkerReport) -> None:
        """Take a report."""
        if not report.metrics:
            report = replace(report, metrics=self.report.metrics)
        self.report = report
        for given in [*self.unreported]:
            if given.report is not None and given.report <= report.number:
                self._forget(given)

    def note_end(self) -> WorkerReport:
        """Note that it takes no requests any more; return its last report."""
        last, self.report, self.address = self.report, WorkerReport(), None
        self.unreported.clear()
        return last

    def _forget(self, given: Given) -> None:
        with suppress(ValueError):  # it has ended
            self.unreported.remove(given)
