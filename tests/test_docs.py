"""The documentation says what is there."""

from __future__ import annotations

import doctest
import os
import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

from greenroom.cli.app import app
from greenroom.settings import Settings
from greenroom.testing import PersonSource

ROOT = Path(__file__).parents[1]


def test_page_about_models_is_up_to_date(tmp_path: Path) -> None:
    """docs/models.md is made of the cards and the measurements as they are now."""
    check = [sys.executable, "benchmarks/models.py", "--check"]
    own = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), **own}
    result = subprocess.run(
        check, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def documentation() -> str:
    """Return everything that users are given to read."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return "\n".join(page.read_text("utf-8") for page in pages)


def test_a_segmenter_of_ones_own(tmp_path: Path) -> None:
    """The example in docs/python.md runs, and its matte is what the engine uses."""
    text = (ROOT / "docs/python.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n([^`]*class \w+\(Segmenter\)[^`]*)```", text)
    file = tmp_path / "example.py"
    file.write_text(example, "utf-8")
    with runpy.run_path(str(file))["vb"] as engine:
        engine.process(PersonSource().frame(0))
        assert 0.3 < np.mean(engine.matte) / 255 < 0.4


EXAMPLES = [
    path for path in sorted((ROOT / "src").rglob("*.py")) if ">>>" in path.read_text("utf-8")
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_in_docstrings(path: Path) -> None:
    """They give what they say."""
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
    failed, tried = doctest.testmod(import_module(name.removesuffix(".__init__")))
    assert tried
    assert failed == 0


def test_every_setting_is_documented() -> None:
    """Each has a place in the documentation, as a flag or by its name."""
    text = documentation()
    flags = {name: name.replace("_", "-") for name in Settings.model_fields}
    missing = [
        name
        for name, flag in flags.items()
        if not any(way in text for way in (f"--{flag}", f"--no-{flag}", f"`{name}`"))
    ]
    assert missing == []


def test_every_command_is_documented() -> None:
    """Each is shown as it is called."""
    text = documentation()
    assert [name for name in get_command(app).commands if f"greenroom {name}" not in text] == []  # type: ignore[attr-defined]
