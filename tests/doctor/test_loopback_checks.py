"""The checks of v4l2loopback and Secure Boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from doctor.conftest import only
from greenroom.doctor import Answer
from greenroom.doctor.loopback_checks import check_loopback, check_secure_boot
from greenroom.settings import Settings

if TYPE_CHECKING:
    from doctor.conftest import Machine

PAGE_ONLY = Settings(to="page")
DEBIAN = 'NAME="Debian GNU/Linux"\nID=debian\n'
OPTIONS = "exclusive_caps=1 card_label=greenroom video_nr=10"
MODPROBE = f"sudo modprobe v4l2loopback {OPTIONS}"
LOADED = {
    "/sys/module/v4l2loopback/version": "0.13.2\n",
    "/sys/module/v4l2loopback/parameters/exclusive_caps": "Y,N,N,N,N,N,N,N\n",
    "/sys/devices/virtual/video4linux/video10/name": "greenroom\n",
    "/dev/video10": "",
    "/etc/modules-load.d/greenroom.conf": "v4l2loopback\n",
}
INSTALLED = {
    "/etc/os-release": DEBIAN,
    "/lib/modules/6.1.0-31-amd64/modules.dep": "updates/dkms/v4l2loopback.ko: kernel/video.ko\n",
}
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


class TestLoopback:
    """The kernel module."""

    def test_as_it_should_be(self, machine: Machine) -> None:
        """A module that is loaded well, now and later, is one line."""
        machine.write(LOADED)
        finding = only(check_loopback(machine.context()))
        assert finding.status == "ok"
        assert finding.message == "greenroom (/dev/video10), version 0.13.2"

    def test_not_installed(self, machine: Machine) -> None:
        """The fix installs and loads the module, and names the alternative."""
        machine.write({"/etc/os-release": DEBIAN})
        finding = only(check_loopback(machine.context()))
        assert finding.status == "problem"
        assert "is not installed" in finding.message
        assert finding.fix.splitlines() == [
            "sudo apt install v4l2loopback-dkms linux-headers-$(uname -r)",
            MODPROBE,
            "# Or do without a kernel module:",
            "greenroom run --to pipewire,page",
        ]
        assert only(check_loopback(machine.context(PAGE_ONLY))).status == "warning"

    @pytest.mark.parametrize(
        "files",
        [INSTALLED, {"/lib/modules/6.1.0-31-amd64/updates/dkms/v4l2loopback.ko.xz": ""}],
    )
    def test_not_loaded(self, machine: Machine, files: dict[str, str]) -> None:
        """A module that is installed is to be loaded, now and from the next start on."""
        machine.write(files)
        finding = only(check_loopback(machine.context()))
        assert "installed, but not loaded" in finding.message
        assert finding.fix.splitlines() == [
            MODPROBE,
            f"echo 'options v4l2loopback {OPTIONS}' | sudo tee /etc/modprobe.d/greenroom.conf",
            "echo v4l2loopback | sudo tee /etc/modules-load.d/greenroom.conf",
        ]

    def test_not_built(self, machine: Machine) -> None:
        """One whose source is here, but not for this kernel, lacks the kernel's headers."""
        machine.write({"/usr/src/v4l2loopback-0.12.7/": ""})
        finding = only(check_loopback(machine.context()))
        assert "was not built for this kernel, 6.1.0-31-amd64" in finding.message
        assert "linux-headers-6.1.0-31-amd64" in finding.fix

    def test_container(self, machine: Machine) -> None:
        """In a container nothing can be loaded, and no package helps."""
        machine.write({"/.dockerenv": "", "/etc/os-release": DEBIAN})
        finding = only(check_loopback(machine.context()))
        assert "outside this container" in finding.message
        assert "apt" not in finding.fix

    @pytest.mark.parametrize("caps", ["N,N,N,N", "0", "N"])
    def test_without_exclusive_caps(self, machine: Machine, caps: str) -> None:
        """Chrome would not list it, so it is loaded again."""
        machine.write(LOADED | {"/sys/module/v4l2loopback/parameters/exclusive_caps": f"{caps}\n"})
        finding = only(check_loopback(machine.context()))
        assert finding.status == "problem"
        assert "without exclusive_caps" in finding.message
        assert finding.fix == f"sudo modprobe -r v4l2loopback\n{MODPROBE}"

    def test_without_a_label(self, machine: Machine) -> None:
        """A camera that is called like any other works, but is hard to find."""
        name = "/sys/devices/virtual/video4linux/video10/name"
        machine.write(LOADED | {name: "Dummy video device (0x0000)\n"})
        finding = only(check_loopback(machine.context()))
        assert finding.status == "warning"
        assert "Dummy video device (0x0000)" in finding.message

    def test_without_a_device(self, machine: Machine) -> None:
        """A module without a device is no camera."""
        machine.write({"/sys/module/v4l2loopback/version": "0.13.2"})
        assert "has no device" in only(check_loopback(machine.context())).message

    def test_not_allowed(self, machine: Machine) -> None:
        """A device that may not be written to is a matter of its group."""
        machine.write(LOADED)
        finding = only(check_loopback(machine.context(can_use=lambda _: False)))
        assert finding.status == "problem"
        assert "sudo usermod -aG video $USER" in finding.fix

    def test_after_the_next_start(self, machine: Machine) -> None:
        """A module not loaded at boot is reported; a comment in a file does not load it."""
        machine.write(LOADED | {"/etc/modules-load.d/greenroom.conf": "# v4l2loopback\n"})
        good, later = check_loopback(machine.context())
        assert (good.status, later.status) == ("ok", "warning")
        assert "next start" in later.message
        machine.write({"/etc/modules": "loop\nv4l2loopback exclusive_caps=1\n"})
        assert only(check_loopback(machine.context())).status == "ok"

    def test_readers(self, machine: Machine) -> None:
        """A version that does not report readers is noted."""
        machine.write(LOADED | {"/sys/module/v4l2loopback/version": "0.12.7"})
        _, readers = check_loopback(machine.context())
        assert readers.name == "readers"
        assert "0.12.7 does not report its readers" in readers.message


class TestSecureBoot:
    """Secure Boot's effect on kernel modules."""

    def firmware(self, machine: Machine, value: int) -> None:
        """Write the variable as the kernel shows it."""
        machine.write({SECURE_BOOT: ""})
        (machine.root / SECURE_BOOT.lstrip("/")).write_bytes(bytes((6, 0, 0, 0, value)))

    def test_not_known(self, machine: Machine) -> None:
        """A machine without UEFI has none."""
        assert "not supported" in only(check_secure_boot(machine.context())).message

    def test_off(self, machine: Machine) -> None:
        """Off is fine."""
        self.firmware(machine, 0)
        assert only(check_secure_boot(machine.context())).message.startswith("off")

    @pytest.mark.parametrize(("text", "start"), [("enabled", "on"), ("disabled", "off")])
    def test_mokutil(self, machine: Machine, text: str, start: str) -> None:
        """Without a readable variable mokutil is asked."""
        machine.answers = {"mokutil --sb-state": Answer(0, f"SecureBoot {text}")}
        assert only(check_secure_boot(machine.context())).message.startswith(start)

    def test_loaded(self, machine: Machine) -> None:
        """A module that is loaded is signed well enough."""
        self.firmware(machine, 1)
        machine.write(LOADED)
        finding = only(check_secure_boot(machine.context()))
        assert (finding.status, machine.asked) == ("ok", [])

    def test_not_signed(self, machine: Machine) -> None:
        """A module without a signature needs a key, made, enrolled, and used."""
        self.firmware(machine, 1)
        machine.write(INSTALLED)
        machine.answers = {"modinfo -F signer v4l2loopback": Answer(0, "")}
        finding = only(check_secure_boot(machine.context()))
        assert finding.status == "problem"
        assert finding.fix.splitlines() == [
            "sudo dkms generate_mok",
            "sudo dkms autoinstall --force",
            "sudo mokutil --import /var/lib/dkms/mok.pub",
            "# Restart, choose 'Enroll MOK' in the blue menu, and give the same password.",
            "# Or do without a kernel module:",
            "greenroom run --to pipewire,page",
        ]

    @pytest.mark.parametrize("key", ["/var/lib/dkms/mok.pub", "/var/lib/shim-signed/mok/MOK.der"])
    def test_key_is_not_known(self, machine: Machine, key: str) -> None:
        """The key that is here is to be enrolled."""
        self.firmware(machine, 1)
        machine.write(INSTALLED | {key: "key"})
        machine.answers = {
            "modinfo": Answer(0, "DKMS module signing key"),
            "mokutil --test-key": Answer(0, f"{key} is not enrolled"),
        }
        finding = only(check_secure_boot(machine.context()))
        assert finding.status == "problem"
        assert finding.fix.splitlines()[0] == f"sudo mokutil --import {key}"
        assert only(check_secure_boot(machine.context(PAGE_ONLY))).status == "warning"

    def test_key_is_known(self, machine: Machine) -> None:
        """Then the module only has to be loaded."""
        self.firmware(machine, 1)
        machine.write(INSTALLED | {"/var/lib/dkms/mok.pub": "key"})
        machine.answers = {
            "modinfo": Answer(0, "DKMS module signing key"),
            "mokutil --test-key": Answer(1, "mok.pub is already enrolled"),
        }
        finding = only(check_secure_boot(machine.context()))
        assert (finding.status, finding.fix) == ("ok", MODPROBE)

    def test_cannot_be_told(self, machine: Machine) -> None:
        """Without tools and keys it is said what counts."""
        self.firmware(machine, 1)
        machine.write(INSTALLED)
        assert only(check_secure_boot(machine.context())).status == "warning"


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_only_on_linux(machine: Machine, platform: str) -> None:
    """Other systems have neither the module nor these checks."""
    context = machine.context(platform=platform)
    assert [*check_loopback(context), *check_secure_boot(context)] == []
