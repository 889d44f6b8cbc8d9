"""Scripts and benchmarks as modules, for their tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any, Final

__all__ = ["ROOT", "script"]

ROOT: Final = Path(__file__).parents[1]


def script(name: str) -> Any:
    """Return a script as a module."""
    path = ROOT / name
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[path.stem] = module
    found.loader.exec_module(module)
    return module
