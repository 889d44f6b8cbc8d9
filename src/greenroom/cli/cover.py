"""``greenroom cover``: cover the user of the running instance, from a shell or a hot key."""

from __future__ import annotations

import os
import signal
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from greenroom.cli.options import plain_command
from greenroom.cli.page_client import UnreachableError, ask
from greenroom.desktop.instance import running
from greenroom.errors import GreenroomError

if TYPE_CHECKING:
    from greenroom.desktop.instance import InstanceRecord

__all__ = ["cover"]

_TIMEOUT_S: Final = 2.0
_POLL_S: Final = 0.02


class _State(StrEnum):
    ON = "on"
    OFF = "off"
    TOGGLE = "toggle"


@plain_command
def cover(
    state: Annotated[
        _State, typer.Argument(help="Cover yourself, show yourself again, or change over.")
    ],
) -> None:
    """Cover yourself in what greenroom run sends, or show yourself again.

    It works too while a model hangs. Bind it to a key of your desktop.
    """
    record = running()
    if record is None:
        message = "greenroom does not run, so nothing is sent. To start it: greenroom run"
        raise GreenroomError(message)
    stop = f" To send nothing at all, end it: kill {record.pid}" if record.pid else ""
    reasons = []
    for request in (_by_page, _by_signal):
        try:
            covered, lacking = request(record, state)
        except UnreachableError as error:
            reasons.append(str(error))
            continue
        if covered and lacking:
            message = (
                f"the cover was asked for, but {', '.join(lacking)} has not taken it: what was "
                f"sent there last may still be seen.{stop}"
            )
            raise GreenroomError(message)
        typer.echo("covered" if covered else "not covered")
        return
    done = "uncovered" if state is _State.OFF else "covered"
    message = f"what is sent could not be {done}: {'; '.join(reasons)}.{stop}"
    raise GreenroomError(message)


def _by_page(record: InstanceRecord, state: _State) -> tuple[bool, tuple[str, ...]]:
    """Send the request to the page; return the wanted state and the sinks without the cover."""
    if not record.address:
        message = "it has no page"
        raise UnreachableError(message)
    is_on = state is _State.ON
    if state is _State.TOGGLE:
        status = ask(record, "GET", "/api/status", timeout_s=_TIMEOUT_S)
        if not isinstance(status, dict) or not isinstance(status.get("covered"), bool):
            message = f"its page {record.address} does not say whether you are covered"
            raise UnreachableError(message)
        is_on = not status["covered"]
    answer = ask(record, "POST", "/api/cover", {"on": is_on}, timeout_s=_TIMEOUT_S)
    lacking = answer.get("without_cover") if isinstance(answer, dict) else None
    return is_on, tuple(map(str, lacking)) if isinstance(lacking, list) else ()


def _by_signal(record: InstanceRecord, state: _State) -> tuple[bool, tuple[str, ...]]:
    """Send SIGUSR2, which covers, or SIGUSR1, which toggles; return the same as `_by_page`.

    SIGUSR1 is sent only if the present state is known, so that it has the wanted effect.
    """
    if not hasattr(signal, "SIGUSR1"):
        message = "signals are not known to this system"
        raise UnreachableError(message)
    if not record.pid or record.covered is None:
        message = "it does not say yet whether you are covered"
        raise UnreachableError(message)
    wanted = {_State.ON: True, _State.OFF: False, _State.TOGGLE: not record.covered}[state]
    if record.covered is wanted:
        return wanted, record.without_cover
    try:
        os.kill(record.pid, signal.SIGUSR2 if wanted else signal.SIGUSR1)
    except OSError as error:
        message = f"process {record.pid} cannot be signalled: {error.strerror}"
        raise UnreachableError(message) from error
    lacking = _wait_for_cover_state(record.pid, wanted=wanted)
    if lacking is None:
        message = f"process {record.pid} did not act on the signal within {_TIMEOUT_S:g} s"
        raise UnreachableError(message)
    return wanted, lacking


def _wait_for_cover_state(pid: int, *, wanted: bool) -> tuple[str, ...] | None:
    """Wait for the wanted state; return the sinks without the cover, or None on time-out."""
    end = time.monotonic() + _TIMEOUT_S
    lacking: tuple[str, ...] | None = None
    while time.monotonic() < end:
        record = running()
        if record is None or record.pid not in (pid, 0):
            return None
        lacking = record.without_cover if record.covered is wanted else None
        if lacking == ():
            return lacking
        time.sleep(_POLL_S)
    return lacking
