"""What the tests of the page share: a session, its page, and a client that may use it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import pytest

from greenroom.web.access import Access
from greenroom.web.application import create_app
from greenroom.web.gallery import Gallery
from greenroom.web.page_state import PageState
from greenroom.web.server import PageServer
from web.fake_session import FakeSession

with warnings.catch_warnings():
    # It works with httpx as well as with httpx2, which newer versions of Starlette ask for.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

TOKEN: Final = "correct-horse"  # noqa: S105 - of tests only
PORT: Final = 8477
ORIGIN: Final = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[FakeSession]:
    """Return a session of the synthetic person."""
    made = FakeSession(tmp_path / "greenroom.toml")
    yield made
    made.close()


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    """Return a gallery with nothing but the built-in backgrounds."""
    folder = tmp_path / "backgrounds"
    folder.mkdir()
    return Gallery(folder)


@pytest.fixture
def server(session: FakeSession, gallery: Gallery) -> Iterator[PageServer]:
    """Start a server at any port that is free."""
    made = PageServer(
        session,
        run_checks=session.run_checks,
        port=0,
        access=Access(b"k" * 32, TOKEN),
        gallery=gallery,
    )
    made.start()
    yield made
    made.stop()


@pytest.fixture
def access() -> Access:
    """Return what lets in."""
    made = Access(b"k" * 32, TOKEN)
    made.port = PORT
    return made


@pytest.fixture
def app(session: FakeSession, gallery: Gallery, access: Access) -> ASGIApp:
    """Return the page's application."""
    return create_app(PageState(session, gallery, access, session.run_checks))


@pytest.fixture
def stranger(app: ASGIApp) -> Iterator[TestClient]:
    """Return a client that has not been let in."""
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        yield client


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    """Return a client that was let in as a page is."""
    stranger.headers["Authorization"] = f"Bearer {TOKEN}"
    stranger.headers["Origin"] = ORIGIN
    return stranger
