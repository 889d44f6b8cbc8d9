"""ONNX Runtime itself, loaded so that it tells nobody what it runs."""

from __future__ import annotations

import os
from typing import Any, Final

from greenroom.segmenters.runtimes.native_stderr import captured_stderr

__all__ = ["load_onnxruntime"]

_VARIABLE: Final = "ORT_DISABLE_TELEMETRY"


def load_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry off.

    Its official builds since 1.29 write an identifier of the machine into the user's cache, and
    send names and hashes of models to their maker, unless this variable says otherwise when the
    library is loaded (its ``docs/Privacy.md``); earlier ones did so on Windows. Whoever has set the
    variable keeps what it says.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    os.environ.setdefault(_VARIABLE, "1")
    with captured_stderr():  # it looks for devices, and tells
        import onnxruntime  # noqa: PLC0415 - an extra
    if os.environ[_VARIABLE] == "1":
        onnxruntime.disable_telemetry_events()  # on Windows, and where it was loaded before
    return onnxruntime
