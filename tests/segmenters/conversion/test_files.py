"""Files of converted models."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from greenroom.errors import ModelError
from greenroom.segmenters.catalogue import card_named
from greenroom.segmenters.conversion import converted_file, existing_conversion, files
from greenroom.segmenters.store import Store

if TYPE_CHECKING:
    from pathlib import Path

onnx = pytest.importorskip("onnx", reason="onnx, of the extra dev, converts")


@pytest.fixture
def source() -> Path:
    """Return a TFLite file."""
    path = Store().find(card_named("selfie-landscape"))
    assert path is not None
    return path


class TestConvertedFile:
    """The file is made once, and is whole."""

    def test_is_made_once(self, source: Path, tmp_path: Path) -> None:
        """The second time it is read only, until the converter changes."""
        folder = tmp_path / "new" / "folder"
        assert existing_conversion(source, folder) is None
        path = converted_file(source, folder)
        onnx.checker.check_model(path, full_check=True)
        os.utime(path, ns=(1, 1))
        assert converted_file(source, folder) == path
        assert existing_conversion(source, folder) == path
        assert path.stat().st_mtime_ns == 1
        assert list(folder.iterdir()) == [path]

    def test_by_another_converter(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A new version of the converter makes a file of its own, as another model does."""
        first = converted_file(source, tmp_path)
        other = tmp_path / "other.tflite"
        other.write_bytes(source.read_bytes() + b"\0")
        second = converted_file(other, tmp_path)
        monkeypatch.setattr(files, "_VERSION", 99)
        third = converted_file(source, tmp_path)
        assert len({path.name.partition("-")[2] for path in (first, second, third)}) == 3
        assert first.read_bytes() == second.read_bytes() == third.read_bytes()

    @pytest.mark.parametrize("damage", ["cut off", "changed", "empty", "the end only"])
    def test_that_is_damaged(self, damage: str, source: Path, tmp_path: Path) -> None:
        """A damaged file is made again."""
        path = converted_file(source, tmp_path)
        whole = path.read_bytes()
        if damage == "cut off":
            path.write_bytes(whole[:-100_000])
        elif damage == "changed":
            path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
        elif damage == "empty":
            path.write_bytes(b"")
        else:
            path.write_bytes(whole[len(whole) // 2 :])
        assert existing_conversion(source, tmp_path) is None
        assert converted_file(source, tmp_path) == path
        assert path.read_bytes() == whole

    def test_at_once(self, source: Path, tmp_path: Path) -> None:
        """Several may make it at the same time: each finds it whole."""

        def make(_: int) -> tuple[Path, Path | None]:
            return converted_file(source, tmp_path), existing_conversion(source, tmp_path)

        with ThreadPoolExecutor(4) as pool:
            found = {path for paths in pool.map(make, range(4)) for path in paths}
        assert list(tmp_path.iterdir()) == list(found)

    def test_of_a_missing_file(self, tmp_path: Path) -> None:
        """The error names it."""
        with pytest.raises(ModelError, match=r"nowhere\.tflite' cannot be read"):
            converted_file(tmp_path / "nowhere.tflite", tmp_path)
