"""Devices: what runs where, and why not."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from greenroom.errors import ModelError, SettingsError
from greenroom.segmenters.runtimes.compute_devices import (
    AUTO_ORDER,
    DEVICES,
    cpu_only,
    open_session,
)
from greenroom.settings import Device

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


class LibraryError(Exception):
    """Error of the fake library."""


@dataclass
class Session:
    """A session that says which providers it took."""

    providers: list[str]
    fallback: bool = True

    def get_providers(self) -> list[str]:
        """Return the providers."""
        return self.providers

    def disable_fallback(self) -> None:
        """Remember it."""
        self.fallback = False


@dataclass
class Library:
    """A fake of ONNX Runtime: what it has, what it refuses, and how."""

    available: list[str]
    dropped: dict[str, str] = field(default_factory=dict)
    raising: dict[str, str] = field(default_factory=dict)
    raising_after: dict[str, str] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)

    def create(self, providers: list[tuple[str, dict[str, str]]]) -> Session:
        """Make a session; a provider that is dropped is told of on standard error only."""
        names = [name for name, _ in providers]
        self.tried.append(names[0])
        if names[0] in self.raising:
            raise LibraryError(self.raising[names[0]])
        if names[0] in self.dropped:
            os.write(2, f"\x1b[0;93m{self.dropped[names[0]]}\x1b[m\n".encode())
            if names[0] in self.raising_after:
                raise LibraryError(self.raising_after[names[0]])
            names = names[1:]
        return Session(names)

    def try_out(self, session: Session) -> None:
        """Run it, or fail."""
        assert not session.fallback
        if session.providers[0] in self.failing:
            raise LibraryError(self.failing[session.providers[0]])

    def open(self, device: Device) -> tuple[Session, str]:
        """Open a session."""
        return open_session(
            device,
            available=self.available,
            create=self.create,
            try_out=self.try_out,
            errors=(LibraryError,),
            path=Path("mine.onnx"),
        )


class TestNamed:
    """A device that was named."""

    def test_runs(self) -> None:
        """It is taken, with the CPU for what it does not know."""
        session, device = Library([CUDA, CPU]).open(Device.CUDA)
        assert (session.providers, device) == ([CUDA, CPU], "cuda")

    def test_tensorrt_before_cuda(self) -> None:
        """Operations unknown to TensorRT run on CUDA if available."""
        session, device = Library([TENSORRT, CUDA, CPU]).open(Device.TENSORRT)
        assert (session.providers, device) == ([TENSORRT, CUDA, CPU], "tensorrt")

    @pytest.mark.parametrize("device", [each for each in DEVICES if each is not Device.CPU])
    def test_not_in_this_build(self, device: Device) -> None:
        """It is said which provider is missing, what there is, and what brings it."""
        library = Library([CPU])
        with pytest.raises(ModelError) as error:
            library.open(device)
        assert DEVICES[device].provider in str(error.value)
        assert f"only {CPU}" in str(error.value)
        assert DEVICES[device].package in str(error.value)
        assert library.tried == []

    def test_dropped_in_silence(self) -> None:
        """A provider that the library leaves out is an error in the library's own words."""
        library = Library([CUDA, CPU], dropped={CUDA: "libcudnn.so.9: no such file"})
        with pytest.raises(ModelError, match=r"libcudnn\.so\.9: no such file\. Use --device cpu"):
            library.open(Device.CUDA)

    @pytest.mark.parametrize("raises", [False, True])
    def test_missing_library(self, raises: bool) -> None:
        """A shared library that is not there is named, out of all that the library prints."""
        told = "E: x.so with error: libcublasLt.so.13: cannot open shared object file: No such file"
        library = Library([CUDA, CPU], dropped={CUDA: told + " W: " * 300})
        if raises:
            library.raising_after = {CUDA: "Please install"}
        with pytest.raises(ModelError, match=r"libcublasLt\.so\.13 is not installed; greenroom"):
            library.open(Device.CUDA)

    def test_that_raises(self) -> None:
        """A provider that cannot start is an error in its own words."""
        library = Library([CUDA, CPU], raising={CUDA: "no CUDA-capable device is detected"})
        with pytest.raises(ModelError, match="no CUDA-capable device"):
            library.open(Device.CUDA)
        assert library.tried == [CUDA]

    def test_that_fails_to_run(self) -> None:
        """A provider that starts and cannot run the model is an error."""
        library = Library([CUDA, CPU], failing={CUDA: "out of memory"})
        with pytest.raises(ModelError, match="'cuda' cannot run it: out of memory"):
            library.open(Device.CUDA)


class TestAuto:
    """The best device."""

    def test_best_that_runs(self, capfd: pytest.CaptureFixture[str]) -> None:
        """The first that ran is taken, and nothing is printed of those that did not."""
        library = Library([CUDA, CPU], dropped={CUDA: "no driver"})
        session, device = library.open(Device.AUTO)
        assert (session.providers, device) == ([CPU], "cpu")
        assert library.tried == [CUDA, CPU]
        assert capfd.readouterr() == ("", "")

    def test_only_what_is_there(self) -> None:
        """Providers that this build does not have are not tried, and the best comes first."""
        library = Library([DEVICES[device].provider for device in reversed(AUTO_ORDER)])
        assert library.open(Device.AUTO)[1] == "cuda"
        assert library.tried == [CUDA]
        library = Library(["AzureExecutionProvider", CPU])
        assert library.open(Device.AUTO)[1] == "cpu"
        assert library.tried == [CPU]

    def test_none(self) -> None:
        """If none runs, every reason is told."""
        library = Library([CUDA, CPU], raising={CUDA: "no driver"}, failing={CPU: "bad node"})
        with pytest.raises(ModelError, match=r"'cuda'.*no driver; .*'cpu'.*bad node"):
            library.open(Device.AUTO)


class TestCpuOnly:
    """Libraries for the CPU."""

    @pytest.mark.parametrize("device", list(Device))
    def test_other_devices(self, device: Device) -> None:
        """Any other device is a wrong setting."""
        if device in (Device.AUTO, Device.CPU):
            cpu_only(device, "LiteRT", "selfie")
            return
        with pytest.raises(SettingsError, match="LiteRT runs on the CPU") as error:
            cpu_only(device, "LiteRT", "selfie")
        assert error.value.name == "device"
