"""``greenroom bench``: how long each stage takes on this machine."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenroom.cli.options import settings_command
from greenroom.errors import SettingsError
from greenroom.settings import Group, Settings

if TYPE_CHECKING:
    from greenroom.engine import VirtualBackground

__all__ = ["command"]

_WARM_UP = 10


@settings_command(Group.BACKGROUND, Group.MODEL, Group.STAYS, Group.EDGE, Group.SCENE)
def bench(
    *,
    size: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the frames, which are yuv420p.")
    ] = "1280x720",
    frames: Annotated[int, typer.Option(min=1, help="How many frames are measured.")] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    settings: Settings,
) -> None:
    """Measure the engine on frames in memory: milliseconds of each stage."""
    width, height = _size(size)
    report = _measure((width, height), frames, settings)
    if "segment" in report["stages"]:
        _remember(report)
    typer.echo(json.dumps(report) if as_json else _table(report))


command = bench


def _size(text: str) -> tuple[int, int]:
    from greenroom.sources.video import MOST_PIXELS_A_SIDE  # noqa: PLC0415 - help stays fast

    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 0 < max(size) <= MOST_PIXELS_A_SIDE:
        message = (
            f"--size: expected WIDTHxHEIGHT such as 1920x1080, at most {MOST_PIXELS_A_SIDE} "
            f"pixels a side, not {text!r}"
        )
        raise SettingsError(message)
    return size


def _measure(size: tuple[int, int], frames: int, settings: Settings) -> dict[str, Any]:
    from greenroom.engine import VirtualBackground  # noqa: PLC0415 - help stays fast
    from greenroom.testing import PersonSource  # noqa: PLC0415

    source = PersonSource(size)
    pictures = [source.frame(number) for number in range(4)]
    with VirtualBackground(settings) as engine:
        for number in range(-_WARM_UP, frames):
            if number == 0:
                engine.timings.clear()
            # A new frame of the same samples: what is made once a frame is made each time.
            frame = pictures[number % len(pictures)].shown_at(number, source.info.time_base)
            with engine.timings.stage("frame"):
                engine.process(frame)
        return _report(engine, size, frames)


def _report(engine: VirtualBackground, size: tuple[int, int], frames: int) -> dict[str, Any]:
    return {
        "size": list(size),
        "frames": frames,
        "background": engine.settings.background,
        "segmenter": asdict(engine.info),
        "stages": {name: asdict(times) for name, times in engine.timings.summary().items()},
    }


def _remember(report: dict[str, Any]) -> None:
    from greenroom.segmenters import SegmenterInfo  # noqa: PLC0415 - help stays fast
    from greenroom.segmenters.store.speeds import remember_speed  # noqa: PLC0415

    info = SegmenterInfo(**report["segmenter"])
    remember_speed(info, report["stages"]["segment"]["median_ms"])


def _table(report: dict[str, Any]) -> str:
    segmenter = report["segmenter"]
    width, height = report["size"]
    lines = [
        f"{width}x{height} yuv420p, background {report['background']}, {report['frames']} frames",
        "{model} on {runtime}, {device}, {threads} thread(s)".format(**segmenter),
        "",
        f"{'stage':<14}{'median ms':>10}{'p95 ms':>10}",
    ]
    lines += [
        f"{name:<14}{times['median_ms']:>10.2f}{times['p95_ms']:>10.2f}"
        for name, times in report["stages"].items()
    ]
    return "\n".join(lines)
