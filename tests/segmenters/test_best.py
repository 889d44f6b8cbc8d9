"""The model of quality best."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from greenroom import Settings
from greenroom.segmenters.best import BEST_MODEL, best_notice, with_best_model

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = "selfie_multiclass_256x256.tflite"


@pytest.fixture(autouse=True)
def _no_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing have been downloaded."""
    monkeypatch.delenv("GREENROOM_MODELS_DIR", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a models folder with the weights' name in it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / WEIGHTS).touch()
    return tmp_path / "models"


def test_with_the_weights(folder: Path) -> None:
    """Quality best takes both models where their weights are, and has nothing to say."""
    settings = Settings(quality="best", models_dir=folder)
    assert with_best_model(settings) == settings.changed(model=BEST_MODEL)
    assert best_notice(settings) == ""


@pytest.mark.parametrize(
    "values",
    [
        {"quality": "balanced"},
        {"quality": "best", "model": "selfie"},
        {"quality": "best", "model": "deeplabv3", "keep": "person"},
    ],
)
def test_what_is_chosen_stays(values: dict[str, Any], folder: Path) -> None:
    """Another quality, and a model that is named, stay as they are, with or without weights."""
    for more in ({"models_dir": folder}, {}):
        settings = Settings(**values, **more)
        assert with_best_model(settings) is settings
        assert best_notice(settings) == ""


def test_without_the_weights(caplog: pytest.LogCaptureFixture) -> None:
    """Without the weights the model stays, and one line says so, and how to get them."""
    settings = Settings(quality="best")
    with caplog.at_level(logging.INFO, logger="greenroom"):
        assert with_best_model(settings) is settings
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == best_notice(settings)
    text = best_notice(settings)
    assert "selfie alone" in text
    assert "16.4 MB, Apache-2.0" in text
    assert text.endswith("greenroom models get selfie-multiclass.")
    assert "\n" not in text
