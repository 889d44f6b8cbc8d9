"""Models by name: the cards of the package and of the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.errors import ModelError, SettingsError
from greenroom.segmenters.catalogue import card_named, cards, read_cards, required_cards

OWN = """name = "{}"
description = "mine"
runtime = "onnx"
file = {{ name = "mine.onnx" }}
input = {{ longest = 512 }}
"""


class TestCards:
    """The cards of the package and of the user."""

    @pytest.fixture(autouse=True)
    def own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return the folder of the user's cards."""
        monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: tmp_path)
        (tmp_path / "models").mkdir()
        return tmp_path / "models"

    def test_of_the_package(self) -> None:
        """Every card of the package is called as its file, and says where it comes from."""
        found = cards()
        assert set(found) == {
            "chroma", "deeplabv3", "deeplabv3-513-quant", "deeplabv3-mnv2", "deeplabv3-xception",
            "modnet", "pp-humanseg", "rvm-mobilenetv3", "rvm-resnet50", "selfie", "selfie-duo",
            "selfie-general", "selfie-landscape", "selfie-multiclass", "sinet", "u2net-human",
        }  # fmt: skip
        for name, card in found.items():
            assert card.name == name
            assert card.license != "unknown"
            assert card.license_url
            assert card.file is None or card.file.embedded or card.file.url

    def test_classes(self) -> None:
        """DeepLab's person is class 15 of PASCAL VOC; selfie-multiclass keeps all of a person."""
        for name in cards():
            if name.startswith("deeplab"):
                output = card_named(name).output
                assert len(output.classes) == 21
                assert output.classes[15] == "person"
                assert output.keep == ("person",)
        output = card_named("selfie-multiclass").output
        assert output.classes == ("background", *output.keep)

    def test_parts(self) -> None:
        """A model that chooses needs the weights of both, any other its own."""
        assert [part.name for part in required_cards(card_named("selfie"))] == [
            "selfie-general",
            "selfie-landscape",
        ]
        assert [part.name for part in required_cards(card_named("modnet"))] == ["modnet"]

    def test_of_the_user(self, own: Path) -> None:
        """A card in the user's folder is named as its file, one elsewhere by its path."""
        (own / "mine.toml").write_text(OWN.format("mine"))
        assert card_named("mine").folder == own
        assert "mine" in cards()
        (own.parent / "other.toml").write_text(OWN.format("mine"))
        assert card_named(str(own.parent / "other.toml")).folder == own.parent

    def test_of_the_package_come_first(self, own: Path) -> None:
        """A card of the user's does not hide one of the package."""
        (own / "sinet.toml").write_text(OWN.format("sinet"))
        assert card_named("sinet").description != "mine"

    def test_broken_card(self, own: Path) -> None:
        """A broken card is an error when it is named, and told beside the others."""
        (own / "broken.toml").write_text("name = 3")
        (own / "renamed.toml").write_text(OWN.format("mine"))
        with pytest.raises(ModelError, match=r"broken\.toml.*line 1"):
            card_named("broken")
        with pytest.raises(ModelError, match="expected 'renamed'"):
            card_named("renamed")
        assert card_named("deeplabv3").name == "deeplabv3"
        found, errors = read_cards()
        assert found == cards()
        assert [Path(str(error.path)).stem for error in errors] == ["broken", "renamed"]

    def test_nearest_name(self) -> None:
        """An unknown name is answered with the nearest."""
        with pytest.raises(
            SettingsError, match=r"'deeplab_v3': did you mean 'deeplabv3'\?"
        ) as error:
            card_named("deeplab_v3")
        assert error.value.name == "model"
