"""A batch's crew in a cluster."""

from __future__ import annotations

import logging
import queue
import secrets
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from greenroom.archives.jobs import SILENCE_S, Crew
from greenroom.archives.tasks import Progress, Said
from greenroom.cluster.connection import connected
from greenroom.cluster.ray_messages import log_messages
from greenroom.errors import ProcessingError, SettingsError, SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from greenroom.archives.cluster.foreman import Foreman
    from greenroom.archives.cluster.job import Job
    from greenroom.archives.tasks import News, Task
    from greenroom.settings.choices import Device

__all__ = ["cluster_connection", "ray_crew"]

logger = logging.getLogger(__name__)

# Units that are given for each that is being done, so that no worker waits for the driver.
_AHEAD: Final = 2
# Ray itself gives up a silent head after 60 s, and ends the process at once.
_SILENCE_OF_HEAD_S: Final = 15.0


@contextmanager
def cluster_connection(address: str) -> Iterator[None]:
    """Be connected to a cluster within the block, with names for this run alone.

    Parameters
    ----------
    address : str
        See `greenroom.cluster.connection.connected`.

    Raises
    ------
    SettingsError
        If the cluster is not to be reached, does not let this process in, or has no tokens.
    MissingExtraError
        If Ray is not installed.
    """
    with ExitStack() as opened:
        try:
            opened.enter_context(connected(address, f"greenroom batch {secrets.token_hex(4)}"))
        except SinkError as error:
            raise SettingsError(str(error), "ray") from error
        log_messages()
        yield


@contextmanager
def ray_crew(
    job: Job,
    device: Device,
    *,
    processors: int = 1,
    most: int | None = None,
    silence_s: float = SILENCE_S,
) -> Iterator[Crew]:
    """Have workers in the cluster within the block.

    Parameters
    ----------
    job : Job
    device : Device
        Where models run: it decides whether workers take processors or cards.
    processors : int
        What a worker takes of a machine without GPUs.
    most : int, optional
        Most workers; by default the cluster is filled.
    silence_s : float
        How long a worker may be silent before it is replaced, in seconds; longer for large files.
    """
    # Ray reads its environment when it is imported.
    from greenroom.archives.cluster.foreman import Foreman  # noqa: PLC0415

    news: queue.SimpleQueue[News | ProcessingError] = queue.SimpleQueue()
    foreman = Foreman(job, device, processors, news.put, most=most, silence_s=silence_s)
    crew = _RayCrew(foreman, news)
    try:
        yield crew
    finally:
        crew.close()


class _RayCrew(Crew):
    """Workers in a cluster, which a foreman looks after on another thread.

    State: the number of units that were given and have not ended.
    """

    def __init__(self, foreman: Foreman, news: queue.SimpleQueue[News | ProcessingError]) -> None:
        self._foreman = foreman
        self._news = news
        self._given = 0
        self._is_closed = False
        self._has_said = False

    @property
    def free(self) -> int:
        """See `Crew.free`: there are units in reserve, not more however many files there are."""
        return max(0, _AHEAD * self._foreman.units - self._given)

    @property
    def size(self) -> int:
        """See `Crew.size`."""
        return self._foreman.units

    def give(self, task: Task) -> None:
        """See `Crew.give`."""
        self._given += 1
        self._foreman.give(task)

    def news(self, timeout_s: float) -> Sequence[News]:
        """See `Crew.news`."""
        self._look_at_head()
        found: list[News] = []
        try:
            one = self._news.get(timeout=timeout_s)
            while True:
                if isinstance(one, ProcessingError):
                    raise one
                self._given -= not isinstance(one, (Progress, Said))
                found.append(one)
                one = self._news.get_nowait()
        except queue.Empty:
            return found

    def _look_at_head(self) -> None:
        """Say that the head is silent, before Ray ends this process."""
        is_silent = self._foreman.silent_s > _SILENCE_OF_HEAD_S
        if is_silent and not self._has_said:
            logger.warning(
                "the head of the cluster does not answer. If that lasts for a minute, this run "
                "ends; the same command goes on from there."
            )
        self._has_said = is_silent

    def close(self) -> None:
        """See `Crew.close`."""
        if not self._is_closed:
            self._is_closed = True
            self._foreman.close()
