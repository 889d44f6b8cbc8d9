"""What settings take: every number has bounds, and every text a length."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from greenroom.errors import SettingsError
from greenroom.live.parts import wanted_rate
from greenroom.settings import Settings
from scripts.settings_table import ranges_table

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[1] / "docs"


def kinds_of(name: str) -> list[dict[str, Any]]:
    """Return what JSON Schema says of a setting that is not null."""
    declared = Settings.model_json_schema()["properties"][name]
    kinds: list[dict[str, Any]] = declared.get("anyOf", [declared])
    return [kind for kind in kinds if kind.get("type") != "null"]


def numbers() -> Iterator[tuple[str, float, float]]:
    """Name the settings that are numbers, with the least and the most that they can be."""
    for name in Settings.model_fields:
        for kind in kinds_of(name):
            if kind.get("type") in ("number", "integer"):
                yield name, kind["minimum"], kind["maximum"]


TEXTS = [
    name
    for name in Settings.model_fields
    if any(kind.get("type") == "string" and "enum" not in kind for kind in kinds_of(name))
]


@pytest.mark.parametrize(("name", "least", "most"), list(numbers()))
def test_every_number_has_both_bounds(name: str, least: float, most: float) -> None:
    """The bounds themselves are taken, and nothing beyond them, nor what is no number."""
    for value in (least, most):
        assert getattr(Settings(**{name: value}), name) == value
    beyond = (
        math.nextafter(least, -math.inf),
        math.nextafter(most, math.inf),
        *(math.nan, math.inf, -math.inf, -1e300, 1e300),
    )
    for value in beyond:
        with pytest.raises(SettingsError, match=f"'{name}'") as raised:
            Settings(**{name: value})
        assert raised.value.name == name


@pytest.mark.parametrize("name", ["rate", "threads", "smoothing", "background"])
def test_true_is_no_number(name: str) -> None:
    """Only what can be switched on and off is true or false."""
    with pytest.raises(SettingsError, match="not true") as caught:
        Settings(**{name: True})
    assert caught.value.name == name


@pytest.mark.parametrize("rate", [0.0004, 1e-300, 0, -1, 240.1])
def test_a_rate_that_there_is_not(rate: float, tmp_path: Path) -> None:
    """It is refused wherever it comes from, so that nothing ever divides by it."""
    path = tmp_path / "greenroom.toml"
    path.write_text(f"rate = {rate}\n", "utf-8")
    with pytest.raises(SettingsError, match="'rate'"):
        Settings(rate=rate)
    with pytest.raises(SettingsError, match="'rate'"):
        Settings().changed(**json.loads(json.dumps({"rate": rate})))
    with pytest.raises(SettingsError, match="'rate'"):
        Settings.from_toml(path)


@pytest.mark.parametrize("rate", [1.0, 240.0, 29.97, 1.0000001])
def test_a_rate_that_is_taken_is_one_to_divide_by(rate: float) -> None:
    """What is sent has a rate of that, however it is rounded."""
    assert float(wanted_rate(Settings(rate=rate))) == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_is_endless(name: str) -> None:
    """What is longer than any path is refused by its setting's name, and not repeated at length."""
    for wrong in ("x" * 60_000, "a\0b"):
        with pytest.raises(SettingsError, match=f"'{name}'") as raised:
            Settings(**{name: wrong})
        assert raised.value.name == name
        assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    "size", ["1x1", "0x720", "16384x16384", "99999x16", "15x720", "1280", "1280x720x2", "-1x9"]
)
def test_a_size_that_no_camera_has(size: str) -> None:
    """Sizes are those of pictures, within what a frame can have."""
    with pytest.raises(SettingsError, match="'size'"):
        Settings(size=size)
    assert Settings(size="16x16").width_height == (16, 16)
    assert Settings(size="16384x4050").width_height == (16384, 4050)


@pytest.mark.parametrize(
    "regions", ["9" * 400 + ",0,1,1", "0,0,101%,1", "0,0,20000,1", ";".join(["1,1,2,2"] * 33)]
)
def test_regions_have_bounds(regions: str) -> None:
    """Numbers of the setting keep_region, too, and how many regions there are."""
    with pytest.raises(SettingsError, match="keep_region"):
        Settings(keep_region=regions)


def test_the_ranges_are_documented() -> None:
    """docs/settings.md has the table that `scripts/settings_table.py` prints."""
    assert ranges_table() in (DOCS / "settings.md").read_text("utf-8")
