"""How many replicas a service is said to need."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cluster.conftest import NEEDS_RAY

from greenroom.hosted.cluster.scaling import load_of, replicas_wanted, wanted
from greenroom.hosted.options import ServeOptions
from greenroom.hosted.workers.reports import Held, WorkerReport


def test_load_is_what_is_taken_of_the_room() -> None:
    """Sessions count, and so does CPU time if that is more; a replica that is new has no load."""
    sessions = tuple(Held(str(number), "", "") for number in range(2))
    report = asdict(WorkerReport(capacity=4, sessions=sessions, cores_used=0.1))
    assert load_of(report, 1.0) == 0.5
    assert load_of(report | {"cores_used": 0.9}, 1.0) == 0.9
    assert load_of(report | {"cores_used": 0.9}, 2.0) == 0.5
    assert load_of({}, 1.0) == 0.0


@pytest.mark.parametrize(
    ("load", "running", "expected"),
    [(0.0, 1, 1), (0.6, 1, 1), (0.8, 1, 2), (2.0, 2, 3), (2.8, 2, 4), (1.2, 2, 2)],
)
def test_room_is_made_before_all_is_taken(load: float, running: int, expected: int) -> None:
    """Another replica is wanted at once when more than 70 % of the room is taken."""
    assert wanted(load, running, {}, 0.0) == (expected, {})


def test_one_too_many_ends_after_a_while() -> None:
    """A replica ends when the others have had room for its sessions for five minutes."""
    number, state = wanted(0.4, 3, {}, 1000.0)
    assert number == 3
    number, state = wanted(0.4, 3, state, 1200.0)
    assert number == 3
    assert wanted(1.9, 3, state, 1250.0) == (3, {})
    assert wanted(0.4, 3, state, 1301.0) == (2, {})


def test_ray_serve_asks_it() -> None:
    """Loads come by replica, as Ray Serve has them; without any, nothing changes at once."""
    context = SimpleNamespace(
        aggregated_metrics={"load": {"a": 0.9, "b": 0.8}},
        target_num_replicas=2,
        policy_state={},
        current_time=5.0,
    )
    assert replicas_wanted(cast("Any", context)) == (3, {})
    context.aggregated_metrics = None
    assert replicas_wanted(cast("Any", context))[0] == 2


@NEEDS_RAY
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own
def test_ray_serve_does_at_once_what_is_wanted() -> None:
    """The times are the policy's own: one fewer is wanted once, and not for minutes in a row."""
    from greenroom.hosted.cluster.ray_replicas import RayReplicas  # noqa: PLC0415 - an extra

    deployment = RayReplicas(ServeOptions(replicas=(1, 4)))._deployment()  # noqa: SLF001
    config = deployment._deployment_config.autoscaling_config  # noqa: SLF001
    assert (config.upscale_delay_s, config.downscale_delay_s) == (0, 0)
