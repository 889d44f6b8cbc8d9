"""``greenroom cover``: cover the user of the instance that runs, from a shell or a hot key."""

from __future__ import annotations

import os
import signal
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from greenroom.cli.options import plain_command
from greenroom.cli.page_client import UnreachableError, ask
from greenroom.errors import GreenroomError

if TYPE_CHECKING:
    from greenroom.live.instance import InstanceRecord

__all__ = ["command"]

_TIMEOUT_S: Final = 2.0
_STEP_S: Final = 0.02


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
    from greenroom.live.instance import running  # noqa: PLC0415 - help stays fast

    record = running()
    if record is None:
        message = "greenroom does not run, so nothing is sent. To start it: greenroom run"
        raise GreenroomError(message)
    reasons = []
    for way in (_by_page, _by_signal):
        try:
            covered = way(record, state)
        except UnreachableError as error:
            reasons.append(str(error))
            continue
        typer.echo("covered" if covered else "not covered")
        return
    done = "uncovered" if state is _State.OFF else "covered"
    stop = f" To send nothing at all, end it: kill {record.pid}" if record.pid else ""
    message = f"what is sent could not be {done}: {'; '.join(reasons)}.{stop}"
    raise GreenroomError(message)


command = cover


def _by_page(record: InstanceRecord, state: _State) -> bool:
    """Ask the page; return whether the user is covered now."""
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
    ask(record, "POST", "/api/cover", {"on": is_on}, timeout_s=_TIMEOUT_S)
    return is_on


def _by_signal(record: InstanceRecord, state: _State) -> bool:
    """Send SIGUSR2, which covers, or SIGUSR1, which changes over; return whether it is covered.

    The latter is only sent where it is known what it does: one too many would cover the user.
    """
    if not hasattr(signal, "SIGUSR1"):
        message = "signals are not known to this system"
        raise UnreachableError(message)
    if not record.pid or record.covered is None:
        message = "it does not say yet whether you are covered"
        raise UnreachableError(message)
    wanted = {_State.ON: True, _State.OFF: False, _State.TOGGLE: not record.covered}[state]
    if record.covered is wanted:
        return wanted
    try:
        os.kill(record.pid, signal.SIGUSR2 if wanted else signal.SIGUSR1)
    except OSError as error:
        message = f"process {record.pid} cannot be signalled: {error.strerror}"
        raise UnreachableError(message) from error
    if not _comes_true(record.pid, wanted=wanted):
        message = f"process {record.pid} did not act on the signal within {_TIMEOUT_S:g} s"
        raise UnreachableError(message)
    return wanted


def _comes_true(pid: int, *, wanted: bool) -> bool:
    """Wait until the instance says that the user is covered, or is not."""
    from greenroom.live.instance import running  # noqa: PLC0415 - help stays fast

    end = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < end:
        record = running()
        if record is None or record.pid not in (pid, 0):
            return False
        if record.covered is wanted:
            return True
        time.sleep(_STEP_S)
    return False
