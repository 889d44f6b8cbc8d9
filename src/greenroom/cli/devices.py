"""``greenroom devices``: cameras with their formats, and virtual cameras."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

from greenroom.cli.options import Json, plain_command
from greenroom.devices.cameras import list_cameras, list_virtual_cameras

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greenroom.devices.cameras import CameraFormat, CameraInfo

__all__ = ["devices"]

_NO_CAMERA = """\
No camera was found. Plug one in, and look at a switch or lid on a laptop's own. To try without:
  greenroom run --source demo"""
_NO_VIRTUAL_CAMERA = "No virtual camera was found. What to install: greenroom doctor"


@plain_command
def devices(
    *,
    as_json: Json = False,
) -> None:
    """List the cameras with their formats, and the virtual cameras."""
    cameras, virtual = list_cameras(), list_virtual_cameras()
    if as_json:
        found = {"cameras": cameras, "virtual_cameras": virtual}
        typer.echo(json.dumps({name: [_row(one) for one in them] for name, them in found.items()}))
        return
    typer.echo(_text(cameras, virtual))


def _row(camera: CameraInfo) -> dict[str, Any]:
    return {
        "number": camera.number,
        "path": camera.path,
        "name": camera.name,
        "virtual": camera.is_virtual,
        "problem": camera.problem,
        "formats": [
            {
                "format": one.fourcc,
                "size": list(one.size),
                "smallest": None if one.smallest is None else list(one.smallest),
                "rates": [round(float(rate), 3) for rate in one.rates],
            }
            for one in camera.formats
        ],
    }


def _text(cameras: Sequence[CameraInfo], virtual: Sequence[CameraInfo]) -> str:
    lines = []
    if cameras:
        lines.append("Cameras (--source takes the number, the path, or a part of the name)")
        lines += [line for camera in cameras for line in _camera_lines(camera)]
    else:
        lines.append(_NO_CAMERA)
    lines.append("")
    if virtual:
        lines.append("Virtual cameras")
        lines += [_head(camera) for camera in virtual]
    else:
        lines.append(_NO_VIRTUAL_CAMERA)
    return "\n".join(lines)


def _camera_lines(camera: CameraInfo) -> list[str]:
    lines = [_head(camera)]
    if camera.problem:
        lines.append(f"       cannot be asked: {camera.problem}")
        if camera.problem == "permission denied" and sys.platform.startswith("linux"):
            lines.append("       sudo usermod -aG video $USER, then log in again")
    for name in dict.fromkeys(one.fourcc for one in camera.formats):
        sizes = [_size(one) for one in camera.formats if one.fourcc == name]
        lines.append(f"       {name:<5}{', '.join(sizes)}")
    return lines


def _head(camera: CameraInfo) -> str:
    return f"  {camera.number:<4} {camera.path:<14} {camera.name}"


def _size(one: CameraFormat) -> str:
    size = "x".join(map(str, one.size))
    if one.smallest is not None:
        size = f"{'x'.join(map(str, one.smallest))} to {size}"
    rates = "/".join(f"{float(rate):.4g}" for rate in one.rates)
    return f"{size} at {rates}" if rates else size
