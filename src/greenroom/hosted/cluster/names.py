"""Names that a service has within Ray."""

from __future__ import annotations

from typing import Final

__all__ = ["APPLICATION", "DIRECTORY", "NAMESPACE"]

NAMESPACE: Final = "greenroom"
APPLICATION: Final = "greenroom"
DIRECTORY: Final = "directory"
