"""How the page is opened in a browser: nobody who sees its command line gets in."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from greenroom.cli.page_client import open_page
from greenroom.desktop.instance import InstanceRecord
from greenroom.errors import GreenroomError

RECORD = InstanceRecord(pid=1, url="http://127.0.0.1:8477/#token=s3cret")


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return what a browser is given, where the page answers with a code."""
    urls: list[str] = []
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_, **__: tmp_path / "state")
    monkeypatch.setattr("greenroom.cli.page_client.ask", lambda *_: {"code": "a-code"})

    def start(url: str) -> bool:
        urls.append(url)
        return True

    monkeypatch.setattr("webbrowser.open", start)
    return urls


def test_a_code_is_given_where_connections_have_owners(
    given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the command line is of no use to another user, and is not the token."""
    monkeypatch.setattr("greenroom.cli.page_client.knows_connection_owners", lambda: True)
    open_page(RECORD)
    assert given == ["http://127.0.0.1:8477/#code=a-code"]


def test_a_file_is_given_elsewhere(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The file leads to the page, holds no token, and is for nobody else to read."""
    monkeypatch.setattr("greenroom.cli.page_client.knows_connection_owners", lambda: False)
    for _ in range(2):
        open_page(RECORD)
    assert given[0] == given[1]
    assert "code" not in given[0]
    parts = urlsplit(given[0])
    assert parts.scheme == "file"
    path = Path(url2pathname(parts.path))
    text = path.read_text("utf-8")
    assert 'content="0; url=http://127.0.0.1:8477/#code=a-code"' in text
    assert "s3cret" not in text
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("answer", [None, [], {}, {"code": 3}])
def test_what_is_not_greenroom_is_not_opened(
    given: list[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
) -> None:
    """What answers otherwise than greenroom is told, and no browser is started."""
    monkeypatch.setattr("greenroom.cli.page_client.ask", lambda *_: answer)
    with pytest.raises(GreenroomError, match="is not greenroom"):
        open_page(RECORD)
    assert given == []


def test_no_browser_is_told(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a browser it is said how to get the address."""
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    with pytest.raises(GreenroomError, match="greenroom page --print"):
        open_page(RECORD)
    assert given == []
