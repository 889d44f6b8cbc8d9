"""The extra `hosted`: what is said where it is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

_WITHOUT = "import sys; sys.modules['aiortc'] = None; import greenroom.hosted"


def test_its_tests_run() -> None:
    """The service is tested where its extra is installed."""
    if find_spec("aiortc") is None or find_spec("prometheus_client") is None:
        pytest.skip("the extra 'hosted' is not installed: pip install 'greenroom[hosted]'")
    assert find_spec("greenroom.hosted") is not None


def test_error_names_the_command() -> None:
    """Without the extra, the import fails with an error that says what to install."""
    ran = subprocess.run(
        [sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 1
    assert "MissingExtraError" in ran.stderr
    assert "pip install 'greenroom[hosted]'" in ran.stderr
