"""Import of ONNX Runtime with its telemetry disabled."""

from __future__ import annotations

import os
from typing import Any, Final

from greenroom.segmenters.runtimes.native_stderr import captured_stderr

__all__ = ["load_onnxruntime"]

_VARIABLE: Final = "ORT_DISABLE_TELEMETRY"


def load_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry disabled.

    Official builds since 1.29 write a machine identifier into the user's cache and send names and
    hashes of models to the vendor, unless this variable is set when the library is loaded (its
    ``docs/Privacy.md``); earlier ones did so on Windows. A value set by the user is respected.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    os.environ.setdefault(_VARIABLE, "1")
    with captured_stderr():  # it prints about devices
        import onnxruntime  # noqa: PLC0415 - an extra
    if os.environ[_VARIABLE] == "1":
        onnxruntime.disable_telemetry_events()  # on Windows, or if already loaded
    return onnxruntime
