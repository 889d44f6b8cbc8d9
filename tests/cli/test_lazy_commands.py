"""The list of commands, which is shown without any of them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final

import pytest
from typer.main import get_command

from greenroom.cli.app import app

_HEAVY: Final = ("cv2", "av", "numpy", "pydantic", "rich", "PIL", "greenroom.settings")
_PROGRAM: Final = """
import json, sys
from greenroom.cli import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def group() -> Any:
    """Return all commands."""
    return get_command(app)


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_loads_nothing_heavy(argument: str) -> None:
    """The help and the version take what little they need."""
    words = [sys.executable, "-c", _PROGRAM, argument]
    result = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    status, loaded = json.loads(result.stdout.splitlines()[-1])
    assert status == 0
    assert "typer" in loaded
    assert [name for name in _HEAVY if name in loaded] == []


@pytest.mark.parametrize(
    "command", ["run", "convert", "matte", "bench", "eval", "demo", "plate record"]
)
def test_the_help_of_a_command_loads_no_engine(command: str) -> None:
    """It takes the settings; what the command works with is loaded when it is called."""
    words = [sys.executable, "-c", _PROGRAM, *command.split(), "--help"]
    result = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    status, loaded = json.loads(result.stdout.splitlines()[-1])
    assert status == 0
    assert "greenroom.settings" in loaded
    assert [name for name in ("cv2", "av", "numpy", "PIL", "fastapi") if name in loaded] == []


def test_summaries_are_those_of_the_commands(group: Any) -> None:
    """What the list says of a command is what its own help begins with."""
    context = group.make_context("greenroom", ["run"])
    said = {name: command.help for name, command in group.commands.items()}
    first = {
        name: group.resolve_command(context, [name])[1].help.partition("\n")[0] for name in said
    }
    assert said == first


def test_nothing_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments the help is shown, and the status is that of wrong usage."""
    printed = []
    for arguments, expected in (([], 2), (["--help"], 0)):
        with pytest.raises(SystemExit) as ended:
            app(arguments)
        assert ended.value.code == expected
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Put another background behind the person in a video or picture." in printed[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--ray"], ["--ray=here"]),
        (["--ray", "--port", "0"], ["--ray=here", "--port", "0"]),
        (["--ray", "10.0.0.5:6379"], ["--ray", "10.0.0.5:6379"]),
        (["--ray=10.0.0.5"], ["--ray=10.0.0.5"]),
        ([], []),
    ],
)
def test_value_may_be_left_out(group: Any, arguments: list[str], expected: list[str]) -> None:
    """An option whose value may be left out gets the one that stands for that."""
    context = group.make_context("greenroom", ["run"])
    assert group.resolve_command(context, ["serve", *arguments])[2] == expected
