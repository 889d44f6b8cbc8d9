"""``greenroom demo``: example clips with replaced backgrounds, without a camera."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenroom.cli.options import settings_command
from greenroom.settings import Group, Settings

__all__ = ["demo"]


@settings_command(Group.MODEL, Group.EDGE, work="greenroom.cli.demo_clips:demo")
def demo(
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path("demo"),
    settings: Settings,
) -> None:
    """Make a clip of a person in front of a busy scene and replace its background three ways."""
