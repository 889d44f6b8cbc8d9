"""A setting that is added to the declaration is there everywhere, and nothing else is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from greenroom import VirtualBackground
from greenroom.cli.options import settings_command
from greenroom.desktop.settings_file import ConfigFile
from greenroom.errors import SettingsError
from greenroom.live.parts import SessionParts
from greenroom.live.session import Session
from greenroom.matting import create_matting
from greenroom.settings import About, Group, Settings, Stage
from greenroom.testing import FakeCamera, MemoryLiveSink, PersonSegmenter
from greenroom.web.schema import live_schema
from scripts.settings_table import ranges_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from greenroom.matting import Matting
    from greenroom.segmenters import Segmenter


class More(Settings):
    """All settings, and one more, which the matting reads."""

    grain: Annotated[
        float,
        About(Group.EDGE, stage=Stage.MATTING, unit="%"),
        Field(ge=0, le=7, description="Grain of the edge, in % of the shorter side"),
    ] = 1.0


@pytest.fixture
def seen() -> list[float]:
    """Return the list to which the matting writes what it was built with."""
    return []


@pytest.fixture
def matting(seen: list[float]) -> Callable[[Settings, Segmenter], Matting]:
    """Return a stage that reads the setting."""

    def create(settings: Settings, segmenter: Segmenter) -> Matting:
        assert isinstance(settings, More)
        seen.append(settings.grain)
        return create_matting(settings, segmenter)

    return create


def test_a_session_rebuilds_the_stage_that_reads_it(
    seen: list[float], matting: Callable[[Settings, Segmenter], Matting]
) -> None:
    """Live, it reaches the stage; of a wrong value nothing is changed."""
    settings = More(background="color:teal", on_demand=False)
    engine = VirtualBackground(settings, segmenter=PersonSegmenter(), matting=matting)
    session = Session(settings, SessionParts(engine, [MemoryLiveSink()], FakeCamera().open))
    session.start()
    try:
        session.update(grain=2.5)
        session.update(mirror=True)
        with pytest.raises(SettingsError, match="grain"):
            session.update(grain=8)
    finally:
        session.stop()
    assert seen == [1.0, 2.5]


def test_the_settings_file_has_it(tmp_path: Path) -> None:
    """It is read from TOML, and saved there."""
    path = tmp_path / "greenroom.toml"
    path.write_text("grain = 3\n", "utf-8")
    assert More.from_toml(path).grain == 3
    file = ConfigFile(path, kind=More)
    file.begin(file.load())
    file.save(More(grain=4.5))
    assert More.from_toml(path).grain == 4.5


def test_commands_have_its_flag() -> None:
    """With its range and help, under its heading."""
    given: list[Settings] = []

    @settings_command(Group.EDGE, kind=More)
    def command(*, settings: Settings) -> None:
        """Do something."""
        given.append(settings)

    app = typer.Typer()
    app.command()(command)
    assert CliRunner().invoke(app, ["--grain", "6"]).exit_code == 0
    assert given == [More(grain=6)]
    told = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    assert "Grain of the edge" in told
    assert "from 0 to 7" in told


def test_the_page_has_it() -> None:
    """With its unit and range."""
    groups: list[dict[str, Any]] = live_schema(More)["groups"]
    edge = next(group for group in groups if group["name"] == "Edge")
    grain = edge["settings"][-1]
    assert grain.items() >= {"name": "grain", "unit": "%", "minimum": 0, "maximum": 7}.items()


def test_the_documentation_has_it() -> None:
    """The table of ranges is made from the declaration."""
    assert "| `grain` | 0 | 7 |" in ranges_table(More)


def test_what_a_hosted_client_may_change_names_no_file() -> None:
    """A path is only allowed in the one setting that also takes words and colours."""
    hosted = Settings.names(hosted=True)
    assert [name for name in hosted if Settings.about(name).path != "none"] == ["background"]
    assert not {"model", "models_dir", "source", "to", "plate", "overlay"} & set(hosted)


def test_every_setting_is_declared_whole() -> None:
    """One without metadata is an error that says so."""

    class Lacking(Settings):
        bare: float = 1.0

    with pytest.raises(TypeError, match="bare"):
        Lacking.about("bare")
