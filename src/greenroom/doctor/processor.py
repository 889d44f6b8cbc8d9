"""The processor: what it can do, and how much of it may be used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from greenroom.doctor.finding import Case, Finding, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.doctor.system import System

__all__ = ["check_processor"]

_SECTION: Final = Section("Processor")
_ARM: Final = frozenset({"aarch64", "arm64"})


def check_processor(case: Case) -> Iterator[Finding]:
    """Look for the instructions that models and kernels are fast with, and at the cores."""
    system = case.system
    name, features = _described(system)
    cores = system.cores()
    limit = _limit(system)
    text = f"{name or system.machine}, {cores} core{'s' if cores > 1 else ''}"
    if limit is not None and limit < cores:
        text += f", of which {limit:g} may be used (a limit of this container)"
    wide = "neon" if system.machine.lower() in _ARM else "avx2"
    if features and wide not in features:
        message = f"{text}, without {wide.upper()}: models run, but several times slower"
        yield _SECTION.warning("processor", message, "Set --quality fast and a smaller --size.")
        return
    text += f", {wide.upper()}" if features else ""
    if min(cores, limit or cores) < 2:
        message = f"{text}: one core is enough for a small picture only while a call is running"
        yield _SECTION.warning("processor", message, "Set --quality fast and --size 640x360.")
        return
    yield _SECTION.ok("processor", text)


def _described(system: System) -> tuple[str, frozenset[str]]:
    """Return the processor's name and what it can do; nothing where that cannot be told."""
    if system.is_linux:
        text = system.read("/proc/cpuinfo")
        name = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
        flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
        features = frozenset(flags[1].lower().split() if flags else ())
        # 64-bit ARM calls it Advanced SIMD.
        return name[1] if name else "", features | ({"neon"} if "asimd" in features else set())
    features = frozenset({"neon"} if system.machine.lower() in _ARM else ())
    if system.platform == "darwin":
        name_text = system.run(["sysctl", "-n", "machdep.cpu.brand_string"])
        avx2 = system.run(["sysctl", "-n", "hw.optional.avx2_0"])
        if avx2.worked and avx2.text == "1":
            features |= {"avx2"}
        return name_text.text if name_text.worked else "", features or frozenset({"sse"})
    return system.environment.get("PROCESSOR_IDENTIFIER", ""), features


def _limit(system: System) -> float | None:
    """Return how many cores a container may use (Linux, control groups 2 and 1)."""
    quota, _, period = system.read("/sys/fs/cgroup/cpu.max").partition(" ")
    if not quota:
        quota = system.read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        period = system.read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal() and int(period):
        return int(quota) / int(period)
    return None
