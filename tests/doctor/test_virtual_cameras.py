"""The doors to other programs: v4l2loopback, Secure Boot, PipeWire, OBS, a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from doctor.conftest import only
from greenroom.doctor import Answer
from greenroom.doctor.distributions import installs
from greenroom.doctor.loopback import check_loopback
from greenroom.doctor.obs import check_other_cameras
from greenroom.doctor.pipewire import check_pipewire
from greenroom.doctor.secure_boot import check_secure_boot
from greenroom.doctor.window import check_window
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


@pytest.mark.parametrize(
    ("release", "command"),
    [
        (DEBIAN, "sudo apt install a"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "sudo apt install a"),
        ("ID=ubuntu\nVERSION_ID=24.04", "sudo apt install a"),
        ("ID=fedora\n", "sudo dnf install a"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "sudo dnf install a"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"', "sudo zypper install b"),
        ("ID=arch", "sudo pacman -S a"),
        ("ID=manjaro\nID_LIKE=arch", "sudo pacman -S a"),
        ("ID=nixos", "by hand"),
        ("", "by hand"),
    ],
)
def test_distributions(machine: Machine, release: str, command: str) -> None:
    """What installs a package is that of the distribution, or of what it is like."""
    machine.write({"/etc/os-release": release})
    assert installs(machine.system(), {"*": "a", "suse": "b"}, "by hand") == command


class TestLoopback:
    """The kernel module."""

    def test_as_it_should_be(self, machine: Machine) -> None:
        """A module that is loaded well, now and later, is one line."""
        machine.write(LOADED)
        finding = only(check_loopback(machine.case()))
        assert finding.status == "ok"
        assert finding.message == "greenroom (/dev/video10), version 0.13.2"

    def test_not_installed(self, machine: Machine) -> None:
        """How to install and load it, and how to do without, is told."""
        machine.write({"/etc/os-release": DEBIAN})
        finding = only(check_loopback(machine.case()))
        assert finding.status == "problem"
        assert "is not installed" in finding.message
        assert finding.fix.splitlines() == [
            "sudo apt install v4l2loopback-dkms linux-headers-$(uname -r)",
            MODPROBE,
            "# Or do without a kernel module:",
            "greenroom run --to pipewire,page",
        ]
        assert only(check_loopback(machine.case(PAGE_ONLY))).status == "warning"

    @pytest.mark.parametrize(
        "files",
        [INSTALLED, {"/lib/modules/6.1.0-31-amd64/updates/dkms/v4l2loopback.ko.xz": ""}],
    )
    def test_not_loaded(self, machine: Machine, files: dict[str, str]) -> None:
        """A module that is installed is to be loaded, now and from the next start on."""
        machine.write(files)
        finding = only(check_loopback(machine.case()))
        assert "installed, but not loaded" in finding.message
        assert finding.fix.splitlines() == [
            MODPROBE,
            f"echo 'options v4l2loopback {OPTIONS}' | sudo tee /etc/modprobe.d/greenroom.conf",
            "echo v4l2loopback | sudo tee /etc/modules-load.d/greenroom.conf",
        ]

    def test_not_built(self, machine: Machine) -> None:
        """One whose source is here, but not for this kernel, lacks the kernel's headers."""
        machine.write({"/usr/src/v4l2loopback-0.12.7/": ""})
        finding = only(check_loopback(machine.case()))
        assert "was not built for this kernel, 6.1.0-31-amd64" in finding.message
        assert "linux-headers-6.1.0-31-amd64" in finding.fix

    def test_container(self, machine: Machine) -> None:
        """In a container nothing can be loaded, and no package helps."""
        machine.write({"/.dockerenv": "", "/etc/os-release": DEBIAN})
        finding = only(check_loopback(machine.case()))
        assert "outside this container" in finding.message
        assert "apt" not in finding.fix

    @pytest.mark.parametrize("caps", ["N,N,N,N", "0", "N"])
    def test_without_exclusive_caps(self, machine: Machine, caps: str) -> None:
        """Chrome would not list it, so it is loaded again."""
        machine.write(LOADED | {"/sys/module/v4l2loopback/parameters/exclusive_caps": f"{caps}\n"})
        finding = only(check_loopback(machine.case()))
        assert finding.status == "problem"
        assert "without exclusive_caps" in finding.message
        assert finding.fix == f"sudo modprobe -r v4l2loopback\n{MODPROBE}"

    def test_without_a_label(self, machine: Machine) -> None:
        """A camera that is called like any other works, but is hard to find."""
        name = "/sys/devices/virtual/video4linux/video10/name"
        machine.write(LOADED | {name: "Dummy video device (0x0000)\n"})
        finding = only(check_loopback(machine.case()))
        assert finding.status == "warning"
        assert "Dummy video device (0x0000)" in finding.message

    def test_without_a_device(self, machine: Machine) -> None:
        """A module without a device is no camera."""
        machine.write({"/sys/module/v4l2loopback/version": "0.13.2"})
        assert "has no device" in only(check_loopback(machine.case())).message

    def test_not_allowed(self, machine: Machine) -> None:
        """A device that may not be written to is a matter of its group."""
        machine.write(LOADED)
        finding = only(check_loopback(machine.case(can_use=lambda _: False)))
        assert finding.status == "problem"
        assert "sudo usermod -aG video $USER" in finding.fix

    def test_after_the_next_start(self, machine: Machine) -> None:
        """What is only loaded now is told, as a comment in a file does not load it."""
        machine.write(LOADED | {"/etc/modules-load.d/greenroom.conf": "# v4l2loopback\n"})
        good, later = check_loopback(machine.case())
        assert (good.status, later.status) == ("ok", "warning")
        assert "next start" in later.message
        machine.write({"/etc/modules": "loop\nv4l2loopback exclusive_caps=1\n"})
        assert only(check_loopback(machine.case())).status == "ok"

    def test_readers(self, machine: Machine) -> None:
        """A version that cannot tell who looks is told."""
        machine.write(LOADED | {"/sys/module/v4l2loopback/version": "0.12.7"})
        _, readers = check_loopback(machine.case())
        assert readers.name == "readers"
        assert "0.12.7 does not tell who looks" in readers.message


class TestSecureBoot:
    """Who may load kernel modules."""

    def firmware(self, machine: Machine, value: int) -> None:
        """Write the variable as the kernel shows it."""
        machine.write({SECURE_BOOT: ""})
        (machine.root / SECURE_BOOT.lstrip("/")).write_bytes(bytes((6, 0, 0, 0, value)))

    def test_not_known(self, machine: Machine) -> None:
        """A machine without UEFI has none."""
        assert "not known" in only(check_secure_boot(machine.case())).message

    def test_off(self, machine: Machine) -> None:
        """Off is fine."""
        self.firmware(machine, 0)
        assert only(check_secure_boot(machine.case())).message.startswith("off")

    @pytest.mark.parametrize(("text", "start"), [("enabled", "on"), ("disabled", "off")])
    def test_mokutil(self, machine: Machine, text: str, start: str) -> None:
        """Where the variable cannot be read, mokutil knows."""
        machine.answers = {"mokutil --sb-state": Answer(0, f"SecureBoot {text}")}
        assert only(check_secure_boot(machine.case())).message.startswith(start)

    def test_loaded(self, machine: Machine) -> None:
        """A module that is loaded is signed well enough."""
        self.firmware(machine, 1)
        machine.write(LOADED)
        finding = only(check_secure_boot(machine.case()))
        assert (finding.status, machine.asked) == ("ok", [])

    def test_not_signed(self, machine: Machine) -> None:
        """A module without a signature needs a key, made, enrolled, and used."""
        self.firmware(machine, 1)
        machine.write(INSTALLED)
        machine.answers = {"modinfo -F signer v4l2loopback": Answer(0, "")}
        finding = only(check_secure_boot(machine.case()))
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
        finding = only(check_secure_boot(machine.case()))
        assert finding.status == "problem"
        assert finding.fix.splitlines()[0] == f"sudo mokutil --import {key}"
        assert only(check_secure_boot(machine.case(PAGE_ONLY))).status == "warning"

    def test_key_is_known(self, machine: Machine) -> None:
        """Then the module only has to be loaded."""
        self.firmware(machine, 1)
        machine.write(INSTALLED | {"/var/lib/dkms/mok.pub": "key"})
        machine.answers = {
            "modinfo": Answer(0, "DKMS module signing key"),
            "mokutil --test-key": Answer(1, "mok.pub is already enrolled"),
        }
        finding = only(check_secure_boot(machine.case()))
        assert (finding.status, finding.fix) == ("ok", MODPROBE)

    def test_cannot_be_told(self, machine: Machine) -> None:
        """Without tools and keys it is said what counts."""
        self.firmware(machine, 1)
        machine.write(INSTALLED)
        assert only(check_secure_boot(machine.case())).status == "warning"


class TestPipeWire:
    """The daemon and what is around it."""

    @pytest.fixture
    def desktop(self, machine: Machine) -> Machine:
        """Return a machine on which everything runs."""
        machine.write(
            {
                "/etc/os-release": DEBIAN,
                "/run/user/1000/pipewire-0": "",
                "/proc/1234/comm": "wireplumber\n",
                "/proc/1235/comm": "xdg-desktop-por\n",
                "/proc/version": "Linux",
            }
        )
        machine.answers = {
            "pw-cli info 0": Answer(0, '\tid: 0\n\tname: "pipewire-0"\n\tversion: "1.0.5"\n'),
        }
        return machine

    def test_all_here(self, desktop: Machine) -> None:
        """Everything in place is one line."""
        finding = only(check_pipewire(desktop.case()))
        assert finding.status == "ok"
        assert "PipeWire 1.0.5 runs: greenroom run --to pipewire,page" in finding.message

    def test_portal_on_demand(self, desktop: Machine) -> None:
        """A portal that the bus can start counts as one."""
        (desktop.root / "proc/1235/comm").unlink()
        services = "/usr/share/dbus-1/services/org.freedesktop.portal.Desktop.service"
        assert [each.name for each in check_pipewire(desktop.case())] == ["pipewire", "portal"]
        desktop.write({services: ""})
        assert only(check_pipewire(desktop.case())).status == "ok"

    def test_not_running(self, machine: Machine) -> None:
        """Without a daemon nothing else is asked; it is a problem only if it is wanted."""
        machine.write({"/etc/os-release": DEBIAN})
        finding = only(check_pipewire(machine.case()))
        assert (finding.status, machine.asked) == ("warning", [])
        assert finding.fix.splitlines() == [
            "sudo apt install pipewire wireplumber",
            "systemctl --user enable --now pipewire wireplumber",
        ]
        wanted = Settings(to="pipewire,page")
        assert only(check_pipewire(machine.case(wanted))).status == "problem"

    @pytest.mark.parametrize(
        ("variable", "path"),
        [("PIPEWIRE_REMOTE", "/run/user/1000/other"), ("PIPEWIRE_RUNTIME_DIR", "/my/pipewire-0")],
    )
    def test_elsewhere(self, desktop: Machine, variable: str, path: str) -> None:
        """The variables by which PipeWire itself looks for the daemon count."""
        (desktop.root / "run/user/1000/pipewire-0").unlink()
        desktop.write({path: ""})
        value = "other" if variable == "PIPEWIRE_REMOTE" else "/my"
        environment = {"XDG_RUNTIME_DIR": "/run/user/1000", variable: value}
        assert only(check_pipewire(desktop.case(environment=environment))).status == "ok"

    @pytest.mark.parametrize(
        "answer",
        [Answer(None, "'pw-cli' did not answer within 2 s", was_late=True), Answer(1, "refused")],
    )
    def test_does_not_answer(self, desktop: Machine, answer: Answer) -> None:
        """A daemon that is there and says nothing is to be started again."""
        desktop.answers["pw-cli info 0"] = answer
        finding = only(check_pipewire(desktop.case()))
        assert answer.text in finding.message
        assert finding.fix == "systemctl --user restart pipewire"

    def test_without_its_tools(self, desktop: Machine) -> None:
        """A missing pw-cli is no reason to doubt the daemon."""
        del desktop.answers["pw-cli info 0"]
        assert only(check_pipewire(desktop.case())).message.startswith("PipeWire runs")

    def test_no_session_manager(self, desktop: Machine) -> None:
        """Without one nobody is connected with anything."""
        (desktop.root / "proc/1234/comm").unlink()
        daemon, manager = check_pipewire(desktop.case(Settings(to="pipewire")))
        assert daemon.status == "ok"
        assert (manager.name, manager.status) == ("wireplumber", "problem")

    def test_only_on_linux(self, machine: Machine) -> None:
        """Elsewhere there is nothing to say of Linux's doors."""
        for check in (check_pipewire, check_loopback, check_secure_boot):
            for platform in ("darwin", "win32"):
                assert list(check(machine.case(platform=platform))) == []


class TestOtherSystems:
    """OBS and Unity Capture."""

    @pytest.mark.parametrize(
        ("number", "name"),
        [("A3FCE0F5", "OBS Virtual Camera"), ("5C2CD55C", "Unity Video Capture")],
    )
    def test_windows(self, machine: Machine, number: str, name: str) -> None:
        """What is registered is found, by reading only."""
        machine.answers = {number: Answer(0, "OBS")}
        found, readers = check_other_cameras(machine.case(platform="win32"))
        assert (found.status, found.message) == ("ok", f"{name} can be used")
        assert "does not tell who looks" in readers.message
        assert all(line.startswith("reg query ") for line in machine.asked)

    def test_windows_without(self, machine: Machine) -> None:
        """Without any, the command that installs one is told."""
        found, _ = check_other_cameras(machine.case(platform="win32"))
        assert found.status == "problem"
        assert found.fix.startswith("winget install -e --id OBSProject.OBSStudio")

    @pytest.mark.parametrize(
        ("listed", "files", "status", "fix"),
        [
            ("[activated enabled]", {}, "ok", ""),
            ("[activated waiting for user]", {"/Applications/OBS.app/": ""}, "problem", "open -a"),
            ("", {"/Applications/OBS.app/": ""}, "problem", "open -a OBS"),
            (
                "",
                {"/Library/CoreMediaIO/Plug-Ins/DAL/obs-mac-virtualcam.plugin/": ""},
                "warning",
                "brew upgrade",
            ),
            ("", {}, "problem", "brew install --cask obs"),
        ],
    )
    def test_mac(
        self, machine: Machine, listed: str, files: dict[str, str], status: str, fix: str
    ) -> None:
        """The extension has to be installed and allowed."""
        line = f"* * 2MMRE5MTB8 com.obsproject.obs-studio.mac-camera-extension (30.0) {listed}"
        machine.answers = {"systemextensionsctl list": Answer(0, line if listed else "0 found")}
        machine.write(files)
        found, _ = check_other_cameras(machine.case(platform="darwin"))
        assert found.status == status
        assert found.fix.startswith(fix)


class TestWindow:
    """The window of one's own."""

    @pytest.mark.parametrize(
        ("to", "version", "environment", "status"),
        [
            ("page", None, {}, "ok"),
            ("window", None, {}, "problem"),
            ("window", "2.5", {"DISPLAY": ":0"}, "ok"),
            ("window", "2.5", {"WAYLAND_DISPLAY": "wayland-0"}, "ok"),
            ("window", "2.5", {"DISPLAY": ""}, "problem"),
            ("window", "2.5", {"DISPLAY": ":0", "SDL_VIDEODRIVER": "wayland"}, "problem"),
            ("window", "2.5", {"SDL_VIDEODRIVER": "kmsdrm"}, "ok"),
            ("page", "2.5", {}, "warning"),
        ],
    )
    def test_linux(
        self,
        machine: Machine,
        to: str,
        version: str | None,
        environment: dict[str, str],
        status: str,
    ) -> None:
        """It needs its library and a screen, and only if it is asked for."""
        case = machine.case(Settings(to=to), version=lambda _: version, environment=environment)
        finding = only(check_window(case))
        assert finding.status == status
        if version is None:
            assert finding.fix.endswith("pip install 'greenroom[window]'")
