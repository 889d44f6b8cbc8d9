"""The documentation says what is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_page_about_models_is_up_to_date(tmp_path: Path) -> None:
    """docs/models.md is made of the cards and the measurements as they are now."""
    check = [sys.executable, "benchmarks/models.py", "--check"]
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    result = subprocess.run(
        check, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
