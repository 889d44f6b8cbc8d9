"""Metrics of a service that runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import httpx

DEADLINE_S = 50.0
_LOOK_S = 0.1


async def count(http: httpx.AsyncClient, name: str) -> float:
    """Return the sum of a metric."""
    text = (await http.get("/metrics")).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
    return sum(float(value) for _, value in lines)


async def reach(http: httpx.AsyncClient, name: str, value: float) -> None:
    """Wait until a metric has a value, with a deadline."""
    for _ in range(int(DEADLINE_S / _LOOK_S)):
        if await count(http, name) == value:
            return
        await asyncio.sleep(_LOOK_S)
    pytest.fail(f"{name} did not become {value}")
