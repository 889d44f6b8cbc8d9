"""``greenroom doctor``: check the installation and print how to fix what is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Self

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from greenroom.cli.options import Json, plain_command
from greenroom.desktop.settings_file import ConfigFile, default_config_path
from greenroom.doctor import each_finding
from greenroom.errors import SettingsError

if TYPE_CHECKING:
    from greenroom.doctor import Finding
    from greenroom.settings import Settings

__all__ = ["doctor"]

_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_INDENT: Final = 11


@plain_command
def doctor(
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="A settings file: what it asks for has to be here. By default your own.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check camera, virtual camera, models and the rest, and print how to mend what is wrong.

    Nothing is changed, and no camera is opened. The status is 1 if pictures cannot be given
    another background at all.
    """
    findings = []
    with _FindingPrinter(as_json=as_json) as printer:
        for finding in each_finding(_settings(config), config=config, on_check=printer.begin):
            findings.append(finding)
            printer.show(finding)
        printer.sum_up(findings)
    if any(finding.blocks for finding in findings):
        raise typer.Exit(1)


def _settings(config: Path | None) -> Settings | None:
    """Read the settings; None if the file is wrong, which one of the checks reports."""
    try:
        return ConfigFile(config or default_config_path(), required=config is not None).load()
    except SettingsError:
        return None


class _FindingPrinter:
    """Prints findings as they come: in colour on a terminal, as plain lines, or as JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._section = ""
        # Soft wrap: commands stay on one line, so that they can be copied.
        self._console: Console = Console(highlight=False, markup=False, soft_wrap=True)
        self._waiting = Status("", console=self._console)

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._as_json:
            self._waiting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.stop()

    def begin(self, name: str) -> None:
        """Show the name of the check that runs."""
        self._waiting.update(f"looking at {name}")

    def show(self, finding: Finding) -> None:
        """Print one finding."""
        if self._as_json:
            return
        if finding.section != self._section:
            self._console.print(Text(finding.section, style="bold"))
            self._section = finding.section
        line = Text("  ")
        line.append(f"{finding.status:<{_INDENT - 2}}", style=_STYLES[finding.status])
        is_named = finding.message.lower().startswith(finding.name.lower())
        line.append(finding.message if is_named else f"{finding.name}: {finding.message}")
        self._console.print(line)
        for fix in finding.fix.splitlines():
            self._console.print(Text(f"{' ' * _INDENT}{fix}", style="cyan"))

    def sum_up(self, findings: list[Finding]) -> None:
        """Print the summary, or all findings as JSON."""
        works = not any(finding.blocks for finding in findings)
        if self._as_json:
            typer.echo(
                json.dumps({"works": works, "findings": [asdict(each) for each in findings]})
            )
            return
        counts = {
            status: sum(finding.status == status for finding in findings)
            for status in ("problem", "warning")
        }
        said = " and ".join(
            f"{count} {status}{'s' if count > 1 else ''}"
            for status, count in counts.items()
            if count
        )
        if not works:
            self._console.print(f"greenroom cannot work here: {said}.")
        else:
            self._console.print(f"greenroom can work here{f', with {said}' if said else ''}.")
