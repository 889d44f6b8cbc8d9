"""What the tests of several machines share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cluster.conftest import ray_environment, two_nodes

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["config", "ray_environment", "two_nodes"]


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Return the option for a background that is not the room."""
    path = tmp_path / "settings.toml"
    path.write_text('background = "color:teal"\n')
    return f"--config={path}"
