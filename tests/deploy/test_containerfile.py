"""The Containerfile: what its last stage has, and that the flags in it exist."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from deploy.commands import assert_flags_exist, configured

Line = tuple[str, str]


@pytest.fixture
def stages() -> list[list[Line]]:
    """Return the instructions of each stage."""
    text = re.sub(r"^\s*#.*\n", "", configured("Containerfile", {}), flags=re.MULTILINE)
    lines = [line.split(None, 1) for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    found: list[list[Line]] = []
    for name, rest in lines:
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest))
    return found


def test_last_stage_has_no_compiler_and_no_root(stages: list[list[Line]]) -> None:
    """It only copies what the first stage made, and runs as a user of no rights."""
    build, last = stages
    assert any("gcc" in rest for name, rest in build if name == "RUN")
    assert not [rest for name, rest in last if name in ("RUN", "ADD")]
    assert [rest for name, rest in last if name == "COPY"] == [
        "--from=build /opt/greenroom /opt/greenroom"
    ]
    user, group = dict(last)["USER"].split(":")
    assert int(user) > 0
    assert int(group) > 0


def test_code_is_compiled_when_it_is_built(stages: list[list[Line]]) -> None:
    """A read-only file system keeps no compiled code, which each start would wait for."""
    build, last = stages
    assert any("compileall" in rest for name, rest in build if name == "RUN")
    assert "PYTHONDONTWRITEBYTECODE=1" in dict(last)["ENV"]


def test_flags_exist(stages: list[list[Line]]) -> None:
    """Every option that the container begins with is one of the command's."""
    command, *arguments = json.loads(dict(stages[-1])["ENTRYPOINT"])
    assert command.endswith("/greenroom")
    assert arguments[0] == "serve"
    assert_flags_exist(arguments)


def test_ports_are_those_of_the_flags(stages: list[list[Line]]) -> None:
    """The ports that are exposed are the command's."""
    last = dict(stages[-1])
    ports = shlex.split(last["EXPOSE"])
    assert "8478/tcp" in ports
    udp = next(port for port in ports if port.endswith("/udp")).removesuffix("/udp")
    assert f"--udp-ports={udp}" in last["ENTRYPOINT"]
