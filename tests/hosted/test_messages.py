"""JSON of the data channel."""

from __future__ import annotations

import json

import pytest

from greenroom.errors import SettingsError
from greenroom.hosted.messages import (
    ClientMessage,
    error_message,
    hosted_names,
    parse_message,
    settings_message,
    status_message,
)
from greenroom.live.status import Showing, Status
from greenroom.settings import Settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"cover": true}', ClientMessage(cover=True)),
        ('{"settings": {"background": "blur"}}', ClientMessage({"background": "blur"})),
        ('{"settings": {"mirror": 1}, "cover": false}', ClientMessage({"mirror": 1}, cover=False)),
    ],
)
def test_a_message_is_read(text: str, expected: ClientMessage) -> None:
    """Settings and the cover come alone or together; values are not looked at."""
    assert parse_message(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "no JSON", "[]", "{}", "null", "7", "[" * 100_000),
        *('{"cover": 1}', '{"cover": "yes"}', '{"settings": []}', '{"settings": null}'),
        '{"cover": true, "model": "x.onnx"}',
    ],
)
def test_any_other_message_is_refused(text: str) -> None:
    """The error says what was expected."""
    with pytest.raises(SettingsError, match="expected an object"):
        parse_message(text)


@pytest.mark.parametrize("name", ["model", "overlay", "source", "timeout_s", "unknown" * 100])
def test_a_setting_of_the_server_is_refused(name: str) -> None:
    """The error names it, shortened."""
    with pytest.raises(SettingsError, match="may change") as refused:
        parse_message(json.dumps({"settings": {"mirror": True, name: 1}}))
    assert refused.value.name == name[:100]


def test_the_settings_that_a_client_may_change_are_told() -> None:
    """All of them with their values, and no others."""
    told = json.loads(settings_message(Settings(background="color:teal")))["settings"]
    assert told.keys() == hosted_names()
    assert {"model", "source"}.isdisjoint(told)
    assert told["background"] == "color:teal"


def test_the_status_tells_what_is_sent_and_nothing_of_the_server() -> None:
    """The device and the plan are the operator's."""
    status = Status(Showing.PERSON, "", size=(640, 480), rate_out=29.97, device="secret")
    text = status_message(status)
    told = json.loads(text)["status"]
    assert told["showing"] == "person"
    assert told["size"] == [640, 480]
    assert told["rate_out"] == 30.0
    assert "secret" not in text


def test_an_error_has_the_fields_of_a_response() -> None:
    """The setting's name and the message."""
    told = json.loads(error_message("no such colour", "background"))
    assert told == {"error": {"name": "background", "message": "no such colour"}}
