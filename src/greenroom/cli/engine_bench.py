"""Work of ``greenroom bench``: measurements of the engine and of live sessions."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from greenroom.backgrounds import check_background
from greenroom.cli.downloads import fetch_weights
from greenroom.desktop.launch import create_steering
from greenroom.engine.engine import VirtualBackground
from greenroom.evaluation.latency import DrawnCamera, measure_live
from greenroom.live.parts import wanted_rate
from greenroom.live.sources import check_live_source, create_live_source
from greenroom.segmenters import SegmenterInfo, check_model
from greenroom.segmenters.store.speeds import remember_speed
from greenroom.settings import OnFailure, Settings
from greenroom.sources.synthetic_person import PersonSource

if TYPE_CHECKING:
    from greenroom.evaluation.latency import LiveReport

__all__ = ["bench"]

_WARM_UP = 10
_SIZE = (1280, 720)


def bench(
    frames: int,
    seconds: float,
    settings: Settings,
    *,
    live: bool,
    governed: bool,
    as_json: bool,
) -> None:
    """Measure the engine, or a live session, and print what a frame takes.

    Raises
    ------
    GreenroomError
        Of the subclass for the first argument that cannot be used, or for what failed.
    """
    check_background(settings)
    check_model(settings)
    if live and "source" in settings.model_fields_set:
        check_live_source(settings)
    fetch_weights(settings)
    if live:
        _bench_live(settings, seconds, governed=governed, as_json=as_json)
        return
    report = _measure(settings.width_height or _SIZE, frames, settings)
    if "segment" in report["stages"]:
        info = SegmenterInfo(**report["segmenter"])
        remember_speed(info, report["stages"]["segment"]["median_ms"])
    typer.echo(json.dumps(report) if as_json else _table(report))


def _bench_live(settings: Settings, seconds: float, *, governed: bool, as_json: bool) -> None:
    def drawn(wanted: Settings) -> DrawnCamera:
        return DrawnCamera.of_person(wanted.width_height or _SIZE, wanted_rate(wanted))

    settings = settings.changed(on_failure=OnFailure.COVER)
    report = measure_live(
        settings,
        create_live_source if "source" in settings.model_fields_set else drawn,
        seconds,
        create_steering(settings) if governed else None,
    )
    typer.echo(json.dumps(asdict(report)) if as_json else _live_table(report))


def _live_table(report: LiveReport) -> str:
    drops = ", ".join(f"{count} {name}" for name, count in report.dropped.items()) or "none"
    memory = "" if report.memory_mib is None else f", memory {report.memory_mib:+.1f} MiB"
    lines = [f"{report.frames} frames in {report.seconds:.0f} s, dropped: {drops}"]
    lines += [f"latency {name:<10}{value:>8.2f} ms" for name, value in report.latency_ms.items()]
    lines += [
        f"CPU, all{'':<10}{report.cpu_percent:>8.1f} % of one core",
        f"CPU, source alone{report.decoder_percent:>9.1f} % of one core",
        f"threads {report.threads:+d}{memory}",
    ]
    return "\n".join(lines)


def _measure(size: tuple[int, int], frames: int, settings: Settings) -> dict[str, Any]:
    source = PersonSource(size)
    pictures = [source.frame(number) for number in range(4)]
    with VirtualBackground(settings) as engine:
        for number in range(-_WARM_UP, frames):
            if number == 0:
                engine.timings.clear()
            # A new Frame with the same samples, so that nothing cached in a Frame is reused.
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
        "compute": engine.compute,
        "stages": {name: asdict(times) for name, times in engine.timings.summary().items()},
    }


def _table(report: dict[str, Any]) -> str:
    segmenter = report["segmenter"]
    width, height = report["size"]
    lines = [
        f"{width}x{height} yuv420p, background {report['background']}, {report['frames']} frames",
        "{model} on {runtime}, {device}, {threads} thread(s)".format(**segmenter),
        *([] if report["compute"] == "cpu" else [f"the rest on {report['compute']}"]),
        "",
        f"{'stage':<14}{'median ms':>10}{'p95 ms':>10}",
    ]
    lines += [
        f"{name:<14}{times['median_ms']:>10.2f}{times['p95_ms']:>10.2f}"
        for name, times in report["stages"].items()
    ]
    return "\n".join(lines)
