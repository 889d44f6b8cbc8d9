"""The list of checks, each run with a deadline on a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.doctor.camera_checks import check_cameras
from greenroom.doctor.file_checks import check_config, check_running, check_space
from greenroom.doctor.finding import CheckContext, Finding
from greenroom.doctor.installation_checks import (
    check_packages,
    check_processor,
    check_python,
    check_rivals,
)
from greenroom.doctor.loopback_checks import check_loopback, check_secure_boot
from greenroom.doctor.model_checks import (
    check_devices,
    check_engine,
    check_gpu_work,
    check_model,
)
from greenroom.doctor.output_checks import check_other_cameras, check_pipewire, check_window
from greenroom.doctor.system import System
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["CHECKS", "Check", "each_finding", "run_checks"]


class Check(NamedTuple):
    """One check.

    Attributes
    ----------
    section, name : str
        As in `Finding`, for a check that itself fails.
    look : callable
        Yields the findings.
    deadline_s : float
        Time limit.
    blocks : bool
        Whether a failure of the check itself blocks greenroom's main job.
    """

    section: str
    name: str
    look: Callable[[CheckContext], Iterable[Finding]]
    deadline_s: float = 10.0
    blocks: bool = False


CHECKS: Final = (
    Check("Python", "python", check_python),
    Check("Python", "packages", check_packages, 30, blocks=True),
    Check("Python", "rivals", check_rivals),
    Check("Processor", "processor", check_processor),
    Check("Model", "engine", check_engine, 30, blocks=True),
    Check("Model", "model", check_model),
    Check("Model", "devices", check_devices, 60),
    Check("Model", "gpu", check_gpu_work, 70),
    Check("Camera", "cameras", check_cameras),
    Check("Virtual camera", "v4l2loopback", check_loopback),
    Check("Virtual camera", "secure boot", check_secure_boot),
    Check("Virtual camera", "pipewire", check_pipewire),
    Check("Virtual camera", "virtual camera", check_other_cameras),
    Check("Window", "window", check_window),
    Check("Files", "space", check_space),
    Check("Files", "settings", check_config),
    Check("Files", "running", check_running),
)


def run_checks(
    settings: Settings | None = None, system: System | None = None, *, config: Path | None = None
) -> list[Finding]:
    """Run all checks.

    Parameters
    ----------
    settings : Settings, optional
        The settings in force: what they need and lack is a problem, anything else a warning.
    system : System, optional
        The machine; by default this one.
    config : Path, optional
        The settings file given by the user; by default the user's own.

    Returns
    -------
    list of Finding
        The main job can be done if none of them blocks. Failing checks are findings, too.
    """
    return list(each_finding(settings, system, config=config))


def each_finding(
    settings: Settings | None = None,
    system: System | None = None,
    *,
    config: Path | None = None,
    checks: Sequence[Check] = CHECKS,
    on_check: Callable[[str], None] | None = None,
) -> Iterator[Finding]:
    """Run all checks, yielding each finding as soon as it is known.

    Parameters
    ----------
    settings, system, config
        As in `run_checks`.
    checks : sequence of Check
        The checks to run.
    on_check : callable, optional
        Called with the name of each check before it begins.
    """
    context = CheckContext(settings or Settings(), system or System(), config)
    for check in checks:
        if on_check is not None:
            on_check(check.name)
        yield from _findings(check, context)


def _findings(check: Check, context: CheckContext) -> list[Finding]:
    """Run one check on a thread of its own; a hung thread is abandoned."""
    found: list[Finding] = []
    failed: list[Finding] = []

    def look() -> None:
        try:
            found.extend(check.look(context))
        except Exception as error:  # noqa: BLE001 - the other checks go on
            failed.append(_check_failed(check, f"{type(error).__name__}: {error}"))

    thread = threading.Thread(target=look, name=f"greenroom-doctor-{check.name}", daemon=True)
    thread.start()
    thread.join(check.deadline_s)
    if thread.is_alive():
        failed.append(_check_failed(check, f"no answer within {check.deadline_s:g} s"))
    return [*found, *failed]


def _check_failed(check: Check, why: str) -> Finding:
    message = f"the check failed: {' '.join(why.split())}"
    return Finding(check.name, "problem", message, "", check.section, check.blocks)
