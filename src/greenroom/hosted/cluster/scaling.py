"""How many replicas a service needs: by the sessions that run, and the CPU that they take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ray.serve.config import AutoscalingContext

__all__ = ["LOAD", "load_of", "replicas_wanted", "wanted"]

LOAD: Final = "load"
"""Name of the measure that replicas give: the share of their room that is taken."""
# Share of all replicas' room that may be taken before another one is started, and the share at
# which those that are left when one ends may be.
_FULL: Final = 0.7
_SPARE: Final = 0.5
# How long there has to be one too many: a replica that ends sends its sessions elsewhere.
_PATIENCE_S: Final = 300.0
_SINCE: Final = "spare_since_s"


def load_of(report: Mapping[str, Any], cores: float) -> float:
    """Return the share of a replica's room that is taken, by sessions or by CPU time.

    Parameters
    ----------
    report : mapping
        The last `greenroom.hosted.workers.reports.WorkerReport` as JSON has it; may be empty.
    cores : float
        Processors that it has.
    """
    if not report:
        return 0.0
    by_sessions = len(report["sessions"]) / max(1, report["capacity"])
    return float(max(by_sessions, min(1.0, report["cores_used"] / cores)))


def wanted(
    load: float, running: int, state: Mapping[str, float], now_s: float
) -> tuple[int, dict[str, float]]:
    """Return how many replicas there should be, and what to remember for the next time.

    Parameters
    ----------
    load : float
        Of all replicas together, each 0 to 1.
    running : int
        Replicas that are wanted at present.
    state : mapping
        What was remembered the last time.
    now_s : float
    """
    needed = math.ceil(load / _FULL)
    if needed >= running:
        return max(1, needed), {}
    if running <= 1 or load / (running - 1) > _SPARE:
        return running, {}
    since_s = state.get(_SINCE, now_s)
    if now_s - since_s < _PATIENCE_S:
        return running, {_SINCE: since_s}
    return running - 1, {}


def replicas_wanted(context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
    """Return how many replicas there should be; Ray Serve asks it, in its controller."""
    loads = (context.aggregated_metrics or {}).get(LOAD, {})
    now_s = context.current_time or 0.0
    return wanted(sum(loads.values()), context.target_num_replicas, context.policy_state, now_s)
