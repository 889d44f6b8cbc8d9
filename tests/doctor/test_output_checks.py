"""The checks of PipeWire, OBS, Unity Capture, and the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from doctor.conftest import only
from greenroom.doctor import Answer
from greenroom.doctor.output_checks import check_other_cameras, check_pipewire, check_window
from greenroom.doctor.system import install_command
from greenroom.settings import Settings

if TYPE_CHECKING:
    from doctor.conftest import Machine

DEBIAN = 'NAME="Debian GNU/Linux"\nID=debian\n'


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
    """The command is that of the distribution, or of its family."""
    machine.write({"/etc/os-release": release})
    assert install_command(machine.system(), {"*": "a", "suse": "b"}, "by hand") == command


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
        finding = only(check_pipewire(desktop.context()))
        assert finding.status == "ok"
        assert "PipeWire 1.0.5 runs: greenroom run --to pipewire,page" in finding.message

    def test_portal_on_demand(self, desktop: Machine) -> None:
        """A portal that the bus can start counts as one."""
        (desktop.root / "proc/1235/comm").unlink()
        services = "/usr/share/dbus-1/services/org.freedesktop.portal.Desktop.service"
        assert [each.name for each in check_pipewire(desktop.context())] == ["pipewire", "portal"]
        desktop.write({services: ""})
        assert only(check_pipewire(desktop.context())).status == "ok"

    def test_not_running(self, machine: Machine) -> None:
        """Without a daemon nothing else is asked; it is a problem only if it is wanted."""
        machine.write({"/etc/os-release": DEBIAN})
        finding = only(check_pipewire(machine.context()))
        assert (finding.status, machine.asked) == ("warning", [])
        assert finding.fix.splitlines() == [
            "sudo apt install pipewire wireplumber",
            "systemctl --user enable --now pipewire wireplumber",
        ]
        wanted = Settings(to="pipewire,page")
        assert only(check_pipewire(machine.context(wanted))).status == "problem"

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
        assert only(check_pipewire(desktop.context(environment=environment))).status == "ok"

    @pytest.mark.parametrize(
        "answer",
        [Answer(None, "'pw-cli' did not answer within 2 s", was_late=True), Answer(1, "refused")],
    )
    def test_does_not_answer(self, desktop: Machine, answer: Answer) -> None:
        """A daemon that is there and says nothing is to be started again."""
        desktop.answers["pw-cli info 0"] = answer
        finding = only(check_pipewire(desktop.context()))
        assert answer.text in finding.message
        assert finding.fix == "systemctl --user restart pipewire"

    def test_without_its_tools(self, desktop: Machine) -> None:
        """A missing pw-cli is no reason to doubt the daemon."""
        del desktop.answers["pw-cli info 0"]
        assert only(check_pipewire(desktop.context())).message.startswith("PipeWire runs")

    def test_no_session_manager(self, desktop: Machine) -> None:
        """Without a session manager nothing is connected."""
        (desktop.root / "proc/1234/comm").unlink()
        daemon, manager = check_pipewire(desktop.context(Settings(to="pipewire")))
        assert daemon.status == "ok"
        assert (manager.name, manager.status) == ("wireplumber", "problem")

    @pytest.mark.parametrize("platform", ["darwin", "win32"])
    def test_only_on_linux(self, machine: Machine, platform: str) -> None:
        """Other systems have no PipeWire."""
        assert list(check_pipewire(machine.context(platform=platform))) == []


class TestOtherSystems:
    """OBS and Unity Capture."""

    @pytest.mark.parametrize(
        ("number", "name"),
        [("A3FCE0F5", "OBS Virtual Camera"), ("5C2CD55C", "Unity Video Capture")],
    )
    def test_windows(self, machine: Machine, number: str, name: str) -> None:
        """Registered cameras are found by reading only."""
        machine.answers = {number: Answer(0, "OBS")}
        found, readers = check_other_cameras(machine.context(platform="win32"))
        assert (found.status, found.message) == ("ok", f"{name} can be used")
        assert "does not report readers" in readers.message
        assert all(line.startswith("reg query ") for line in machine.asked)

    def test_windows_without(self, machine: Machine) -> None:
        """Without any, the command that installs one is told."""
        found, _ = check_other_cameras(machine.context(platform="win32"))
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
        found, _ = check_other_cameras(machine.context(platform="darwin"))
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
        context = machine.context(
            Settings(to=to), version=lambda _: version, environment=environment
        )
        finding = only(check_window(context))
        assert finding.status == status
        if version is None:
            assert finding.fix.endswith("pip install 'greenroom[window]'")
