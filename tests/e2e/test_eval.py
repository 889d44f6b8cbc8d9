"""``greenroom eval`` as users run it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from e2e.conftest import Run


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Return a dataset of two pictures."""
    folder = tmp_path / "data"
    for part in ("image", "mask"):
        (folder / part).mkdir(parents=True)
    for number, frame in enumerate(PersonSource((96, 64), 2)):
        mask = np.zeros((64, 96), np.uint8)
        mask[20:, 20:70] = 255
        cv2.imwrite(str(folder / "image" / f"{number}.jpg"), frame.to_rgb()[:, :, ::-1])
        cv2.imwrite(str(folder / "mask" / f"{number}.png"), mask)
    return folder


def test_table(run: Run, dataset: Path) -> None:
    """Every model has a row with its means, and one with its worst tenth."""
    result = run("eval", dataset, "--model", "selfie,selfie-landscape")
    assert result.status == 0
    lines = result.out.splitlines()
    assert lines[0] == "2 cases"
    for label in ("IoU", "MAD x1000", "Grad", "Conn", "ms a frame"):
        assert label in lines[2]
    assert lines[3].startswith("selfie ")
    assert lines[4].split()[:2] == ["worst", "tenth"]
    assert lines[5].startswith("selfie-landscape ")


def test_json_and_report(run: Run, dataset: Path, tmp_path: Path) -> None:
    """What is printed as JSON is what the report holds."""
    result = run("eval", dataset, "--json", "--out", "report")
    assert result.status == 0
    printed = json.loads(result.out)
    written = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    assert printed == written
    assert (tmp_path / "report" / "worst-selfie.png").is_file()


def test_settings_of_the_edge_count(run: Run, dataset: Path, portrait: NDArray[np.uint8]) -> None:
    """An edge that is moved far outwards has another error."""
    cv2.imwrite(str(dataset / "image" / "0.jpg"), portrait[:, :, ::-1])
    cv2.imwrite(str(dataset / "mask" / "0.png"), np.zeros(portrait.shape[:2], np.uint8))
    plain, moved = (
        json.loads(run("eval", dataset, "--json", "--edge-shift", shift).out)[0]["mean"]["mad"]
        for shift in (0, 5)
    )
    assert moved > plain + 10


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        ((), 2, "DATASET"),
        (("missing",), 1, "'missing'"),
        (("data", "--model", "selfy"), 2, "did you mean 'selfie'"),
        (("data", "--model", ","), 2, "names with commas"),
    ],
)
def test_bad_input(
    run: Run, dataset: Path, arguments: tuple[str, ...], status: int, word: str
) -> None:
    """One sentence, and the right status."""
    assert dataset.is_dir()
    result = run("eval", *arguments)
    assert result.status == status
    (sentence,) = result.err.splitlines()
    assert word in sentence


def test_the_speed_is_remembered(
    run: Run, dataset: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What ran here is in the list of models afterwards."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: tmp_path / "config")
    before = {row["name"]: row["speed"] for row in json.loads(run("models", "list", "--json").out)}
    assert set(before.values()) == {"not run yet"}
    assert run("eval", dataset).status == 0
    after = {row["name"]: row["speed"] for row in json.loads(run("models", "list", "--json").out)}
    for name in ("selfie", "selfie-general"):
        assert after[name].endswith(" ms, cpu")
    assert after["sinet"] == "not run yet"


def test_classes(run: Run) -> None:
    """``--list-classes`` prints what ``--keep`` can name, and nothing is run."""
    result = run("convert", "--model", "deeplabv3", "--list-classes")
    assert result.status == 0
    assert result.out.splitlines()[:2] == ["aeroplane", "bicycle"]
    assert "person" in result.out.splitlines()
    for arguments in (
        ("convert", "--list-classes"),
        ("bench", "--model", "rvm-resnet50", "--list-classes"),
    ):
        result = run(*arguments)
        assert result.status == 2
        assert "tells no classes apart" in result.err
