"""Python, its packages, and the processor."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from doctor.conftest import only
from greenroom.doctor import Answer
from greenroom.doctor.installation_checks import (
    check_packages,
    check_processor,
    check_python,
    check_rivals,
)

if TYPE_CHECKING:
    from doctor.conftest import Machine

XEON = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) CPU
flags\t\t: fpu vme avx avx2 bmi2
"""
OLD = XEON.replace(" avx avx2", "")
PI = """\
processor\t: 0
Features\t: fp asimd evtstrm crc32
Model\t\t: Raspberry Pi 5
"""


class TestPython:
    """The interpreter."""

    @pytest.mark.parametrize(
        ("python", "bits", "status", "blocks"),
        [
            ((3, 10, 14), 64, "problem", True),
            ((3, 11, 0), 64, "ok", False),
            ((3, 14, 2), 64, "ok", False),
            ((3, 15, 0), 64, "warning", False),
            ((3, 12, 1), 32, "problem", True),
        ],
    )
    def test_version(
        self,
        machine: Machine,
        python: tuple[int, int, int],
        bits: int,
        status: str,
        *,
        blocks: bool,
    ) -> None:
        """Too old or 32 bit blocks, too new is a warning."""
        finding = only(check_python(machine.context(python=python, bits=bits)))
        assert (finding.status, finding.blocks) == (status, blocks)
        assert ".".join(map(str, python)) in finding.message
        assert bool(finding.fix) == (status != "ok")


class TestPackages:
    """Import of the dependencies."""

    def test_all_here(self, machine: Machine) -> None:
        """All that can be imported, and are new enough, are listed on one line."""
        finding = only(check_packages(machine.context()))
        assert finding.status == "ok"
        for name in ("numpy", "av", "opencv-python-headless", "fastapi", "pyvirtualcam"):
            assert f"{name} " in finding.message

    @pytest.mark.parametrize(
        ("module", "name", "blocks"),
        [
            ("cv2", "opencv-python-headless", True),
            ("av", "av", True),
            ("ai_edge_litert.interpreter", "ai-edge-litert", True),
            ("fastapi", "fastapi", False),
            ("pyvirtualcam", "pyvirtualcam", False),
        ],
    )
    def test_broken(self, machine: Machine, module: str, name: str, *, blocks: bool) -> None:
        """A failed import is reported with its message and the command that repairs it."""

        def load(wanted: str) -> object:
            if wanted == module:
                message = "libGL.so.1: cannot open\nshared object file"
                raise ImportError(message)
            return importlib.import_module(wanted)

        faulty, rest = check_packages(machine.context(load=load))
        assert (faulty.name, faulty.status, faulty.blocks) == (name, "problem", blocks)
        assert "libGL.so.1: cannot open shared object file" in faulty.message
        assert faulty.fix.startswith("/venv/bin/python -m pip install --force-reinstall ")
        assert f"{name}" in faulty.fix
        assert rest.status == "ok"
        assert f"{name} " not in rest.message

    def test_too_old(self, machine: Machine) -> None:
        """Versions are compared as numbers with what greenroom's metadata say."""
        versions = {"av": "9.2.0", "numpy": "2.10", "requests": "2.32.2", "pydantic": "2.7.0rc1"}
        context = machine.context(
            load=lambda _: SimpleNamespace(__version__="99"),
            version=versions.get,
            requirements=lambda: [
                "av>=18",
                "numpy>=2.9",
                "requests>=2.32.2",
                "pydantic>=2.7",
                "fastapi>=100; extra == 'other'",
                "tensorflow>=2.17; extra == 'tensorflow'",
            ],
        )
        old, rest = check_packages(context)
        assert (old.name, old.status) == ("av", "problem")
        assert "version 9.2.0 is too old: 18 or newer" in old.message
        assert old.fix == "/venv/bin/python -m pip install --upgrade 'av>=18'"
        assert "numpy 2.10, " in rest.message
        assert "fastapi 99" in rest.message

    def test_rivals(self, machine: Machine) -> None:
        """Two packages with the same files are told, with how to keep the right one."""
        versions = {"onnxruntime": "1.20", "onnxruntime-gpu": "1.21", "opencv-python-headless": "4"}
        finding = only(check_rivals(machine.context(version=versions.get)))
        assert finding.status == "warning"
        assert "onnxruntime-gpu and onnxruntime" in finding.message
        assert finding.fix.splitlines() == [
            "/venv/bin/python -m pip uninstall -y onnxruntime-gpu onnxruntime",
            "/venv/bin/python -m pip install onnxruntime-gpu",
        ]


class TestProcessor:
    """Instructions and cores."""

    @pytest.mark.parametrize(
        ("cpuinfo", "kind", "status", "words"),
        [
            (XEON, "x86_64", "ok", "Intel(R) Xeon(R) CPU, 4 cores, AVX2"),
            (OLD, "x86_64", "warning", "without AVX2"),
            (PI, "aarch64", "ok", "Raspberry Pi 5, 4 cores, NEON"),
            ("", "riscv64", "ok", "riscv64, 4 cores"),
        ],
    )
    def test_linux(
        self, machine: Machine, cpuinfo: str, kind: str, status: str, words: str
    ) -> None:
        """Features are those in /proc/cpuinfo; without any, none are claimed."""
        machine.write({"/proc/cpuinfo": cpuinfo})
        finding = only(check_processor(machine.context(machine=kind)))
        assert finding.status == status
        assert words in finding.message

    @pytest.mark.parametrize(
        "limits",
        [
            {"/sys/fs/cgroup/cpu.max": "150000 100000\n"},
            {
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
        ],
    )
    def test_limit_of_a_container(self, machine: Machine, limits: dict[str, str]) -> None:
        """The container's CPU quota limits the cores."""
        machine.write({"/proc/cpuinfo": XEON} | limits)
        finding = only(check_processor(machine.context()))
        assert finding.status == "warning"
        assert "of which 1.5 may be used" in finding.message

    @pytest.mark.parametrize("text", ["max 100000", "-1", "0 0", ""])
    def test_no_limit(self, machine: Machine, text: str) -> None:
        """A container without a limit has none."""
        machine.write({"/proc/cpuinfo": XEON, "/sys/fs/cgroup/cpu.max": text})
        assert only(check_processor(machine.context())).status == "ok"

    def test_one_core(self, machine: Machine) -> None:
        """One core is few."""
        machine.write({"/proc/cpuinfo": XEON})
        finding = only(check_processor(machine.context(cores=lambda: 1)))
        assert (finding.status, "1 core," in finding.message) == ("warning", True)

    @pytest.mark.parametrize(
        ("kind", "avx2", "status", "words"),
        [
            ("arm64", "0", "ok", "Apple M3, 4 cores, NEON"),
            ("x86_64", "1", "ok", "Apple M3, 4 cores, AVX2"),
            ("x86_64", "0", "warning", "without AVX2"),
        ],
    )
    def test_mac(self, machine: Machine, kind: str, avx2: str, status: str, words: str) -> None:
        """A Mac tells by sysctl."""
        machine.answers = {"brand_string": Answer(0, "Apple M3"), "avx2": Answer(0, avx2)}
        finding = only(check_processor(machine.context(platform="darwin", machine=kind)))
        assert finding.status == status
        assert words in finding.message

    def test_windows(self, machine: Machine) -> None:
        """Windows tells the name, and nothing is claimed beyond it."""
        context = machine.context(
            platform="win32",
            machine="AMD64",
            environment={"PROCESSOR_IDENTIFIER": "Intel64 Family 6"},
        )
        finding = only(check_processor(context))
        assert (finding.status, finding.message) == ("ok", "Intel64 Family 6, 4 cores")
