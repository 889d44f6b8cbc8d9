"""The HTTP interface: settings, cover, status, snapshot, models, doctor."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from greenroom.doctor import Finding
from greenroom.errors import ModelError
from greenroom.settings import Group, Settings
from greenroom.testing import ROOM_RGB
from web.fake_session import SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.testclient import TestClient

    from greenroom.web.gallery import Gallery
    from web.fake_session import FakeSession

pytestmark = [pytest.mark.usefixtures("no_thread_left")]


def test_the_schema_says_what_settings_say(client: TestClient) -> None:
    """Every live setting is described as it is declared, in the order of its group."""
    groups = client.get("/api/schema").json()["groups"]

    found = {setting["name"]: setting for group in groups for setting in group["settings"]}
    assert [group["name"] for group in groups][:2] == ["Background", "Model"]
    assert "codec" not in found
    assert "to" not in found
    for group in groups:
        for setting in group["settings"]:
            field = Settings.model_fields[setting["name"]]
            assert setting["help"] == field.description or setting["name"] == "background"
            assert Settings.about(setting["name"]).group is Group(group["name"])
            assert setting["default"] == json.loads(json.dumps(field.default))


def test_showing_the_room_is_not_offered_for_typing(client: TestClient) -> None:
    """What may be typed as a background is what hides the room."""
    (group, *_) = client.get("/api/schema").json()["groups"]

    (found,) = (one for one in group["settings"] if one["name"] == "background")
    assert "color:#204060" in found["help"]
    assert "none" not in found["help"]
    assert "transparent" not in found["help"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("edge_shift", {"type": "number", "minimum": -5, "maximum": 5, "step": 0.1, "unit": "%"}),
        ("smoothing", {"type": "number", "minimum": 0, "maximum": 0.99, "step": 0.01}),
        ("threshold", {"type": "number", "minimum": 0.01, "maximum": 1, "optional": True}),
        ("threads", {"type": "integer", "minimum": 1, "maximum": 64, "step": 1}),
        ("people", {"type": "choice", "choices": ["all", "main"], "optional": False}),
        ("mirror", {"type": "boolean", "default": False}),
        ("keep_region", {"type": "string", "optional": True, "default": None}),
        ("slide_seconds", {"unit": "s", "minimum": 0.1, "maximum": 86400, "step": 1}),
    ],
)
def test_a_setting_has_its_range(client: TestClient, name: str, expected: dict[str, Any]) -> None:
    """A setting's type, range, unit and choices are what a control needs to know."""
    groups = client.get("/api/schema").json()["groups"]

    (found,) = (one for group in groups for one in group["settings"] if one["name"] == name)
    assert {key: found[key] for key in expected} == expected


def test_settings_are_changed_and_told(client: TestClient, session: FakeSession) -> None:
    """A change is applied to the session and answered with all settings in force."""
    answer = client.patch("/api/settings", json={"mirror": True, "edge_shift": -1.5})

    assert answer.status_code == 200
    assert session.settings.mirror is True
    assert answer.json()["settings"]["edge_shift"] == -1.5
    assert client.get("/api/settings").json() == answer.json()


@pytest.mark.parametrize(
    ("values", "name", "words"),
    [
        ({"edge_shift": 9}, "edge_shift", "less than or equal to 5"),
        ({"edge_shft": 1}, "edge_shft", "did you mean 'edge_shift'"),
        ({"self": 1}, "self", "unknown setting 'self'"),
        ({"people": "main", "threads": 0}, "threads", "greater than or equal to 1"),
        ({"background": "nowhere.jpg"}, "background", "there is no such file"),
        ({"background": "blur:7"}, "background", "0.4 to 1"),
        ({"background": "pixelate:1e-30"}, "background", "smallest strength is pixelate:0.4"),
    ],
)
def test_wrong_settings_change_nothing(
    client: TestClient, session: FakeSession, values: dict[str, Any], name: str, words: str
) -> None:
    """A wrong value is refused with the setting's name and a sentence, together with the rest."""
    before = session.settings
    answer = client.patch("/api/settings", json=values)

    assert answer.status_code == 422
    assert answer.json()["name"] == name
    assert words in answer.json()["message"]
    assert session.settings == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 60000, 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b'{"edge_shift": NaN}', 422),
        (b" " * 70000, 413),
    ],
)
def test_a_body_that_is_no_object_is_refused(client: TestClient, body: bytes, status: int) -> None:
    """What is not JSON, not an object, or endless is refused with a sentence."""
    answer = client.patch("/api/settings", content=body)

    assert answer.status_code == status
    assert answer.json()["message"]


def test_the_cover_is_switched(client: TestClient, session: FakeSession) -> None:
    """The cover goes on and off, and only by a plain yes or no."""
    assert client.post("/api/cover", json={"on": True}).status_code == 200
    assert session.covered
    assert client.post("/api/cover", json={"on": "false"}).status_code == 422
    assert client.post("/api/cover", json=[]).status_code == 422
    assert session.covered
    assert client.post("/api/cover", json={"on": False}).status_code == 200
    assert not session.covered


def test_a_sink_that_does_not_take_the_cover(
    client: TestClient, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer waits a moment for all sinks, and names those that have not got the cover."""
    monkeypatch.setattr("greenroom.web.api._COVER_GRACE_S", 0.1)
    answer = client.post("/api/cover", json={"on": True}).json()
    assert answer == {"on": True, "without_cover": []}
    session.status_values = {"without_cover": ("camera",)}
    answer = client.post("/api/cover", json={"on": True}).json()
    assert answer == {"on": True, "without_cover": ["camera"]}
    assert client.get("/api/status").json()["without_cover"] == ["camera"]


def test_the_cover_does_not_wait_for_a_model(
    client: TestClient, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While every slow call hangs, the cover and the status are answered."""
    going_on = threading.Event()
    monkeypatch.setattr(session, "update", lambda **_: going_on.wait(10))
    waiting = [
        threading.Thread(target=client.patch, args=("/api/settings",), kwargs={"json": {}})
        for _ in range(12)
    ]
    for thread in waiting:
        thread.start()
    try:
        assert client.post("/api/cover", json={"on": True}).status_code == 200
        assert client.get("/api/status").json()["covered"] is True
    finally:
        going_on.set()
        for thread in waiting:
            thread.join()


def test_the_status_is_plain_values(client: TestClient) -> None:
    """The status has everything the session tells."""
    status = client.get("/api/status").json()

    assert status["showing"] == "person"
    assert status["outlets"][0]["readers"] == 1
    assert status["stages_ms"]["segment"] == 1.2


def test_a_snapshot_is_what_is_sent(client: TestClient, session: FakeSession) -> None:
    """The snapshot is a PNG of the frame that leaves: the background, and none of the room."""
    session.update(background="color:#204060")
    answer = client.get("/api/snapshot.png")

    assert answer.headers["content-type"] == "image/png"
    picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    assert abs(picture[2, 2].astype(int) - (0x20, 0x40, 0x60)).max() <= 3
    assert (abs(picture.astype(int) - ROOM_RGB).max(axis=2) > 12).all()


def test_saving_is_known(client: TestClient, session: FakeSession) -> None:
    """Settings are not saved after a change, and saved after saving or if set back."""
    assert client.get("/api/settings").json()["saved"] is True
    client.patch("/api/settings", json={"mirror": True})
    assert client.get("/api/settings").json()["saved"] is False
    answer = client.post("/api/save")

    assert answer.json() == {"path": str(session.config)}
    assert Settings.from_toml(session.config).mirror is True
    assert client.get("/api/settings").json()["saved"] is True
    client.patch("/api/settings", json={"mirror": False})
    assert client.get("/api/settings").json()["saved"] is False
    client.patch("/api/settings", json={"mirror": True})
    assert client.get("/api/settings").json()["saved"] is True


def test_what_fails_in_the_session_is_told(
    client: TestClient, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of a model is a sentence, too."""

    def fail(**_: object) -> None:
        message = "model 'x' failed. Take another."
        raise ModelError(message)

    monkeypatch.setattr(session, "update", fail)
    answer = client.patch("/api/settings", json={"model": "x"})

    assert (answer.status_code, answer.json()["message"]) == (
        422,
        "model 'x' failed. Take another.",
    )


def test_models_say_whether_they_are_here(client: TestClient) -> None:
    """Every card of the catalogue is listed; the embedded one is here."""
    models = {model["name"]: model for model in client.get("/api/models").json()}

    assert models["selfie"]["is_here"] is True
    assert models["selfie"]["license"] == "Apache-2.0"
    assert len(models) > 3


def test_the_doctor_is_asked(client: TestClient, session: FakeSession) -> None:
    """What the doctor finds for the settings in force is passed on."""
    session.findings = [Finding("model", "ok", "selfie is here", "", "Model")]
    findings = client.get("/api/doctor").json()

    assert findings[0]["message"] == "selfie is here"
    assert session.checked == [Settings()]


def test_what_is_not_there_is_told_as_json(client: TestClient) -> None:
    """An unknown address and a wrong method are answered like every other error."""
    assert client.get("/api/nothing").json()["message"] == "Not Found"
    assert client.post("/api/settings").status_code == 405


def test_thumbnails_are_small_jpegs(client: TestClient, gallery: Gallery, tmp_path: Path) -> None:
    """Every background has a thumbnail of 320x180, made once."""
    for item in client.get("/api/backgrounds").json():
        answer = client.get(item["thumbnail"])
        assert answer.headers["content-type"] == "image/jpeg"
        picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (180, 320, 3)
        assert (gallery.folder / "thumbnails" / f"{item['id']}.jpg").read_bytes() == answer.content
    assert gallery.folder.is_relative_to(tmp_path)
