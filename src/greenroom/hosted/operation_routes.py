"""Routes for whoever operates the service: health, readiness, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

from greenroom.web.page_state import run_quick

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["operation_routes"]


def operation_routes(
    is_ready: Callable[[], bool], is_draining: Callable[[], bool], metrics_text: Callable[[], bytes]
) -> APIRouter:
    """Make the routes ``/healthz``, ``/readyz`` and ``/metrics``; none of them needs a token.

    Parameters
    ----------
    is_ready : callable
        Says whether another session would be admitted now.
    is_draining : callable
        Says whether the service is about to end.
    metrics_text : callable
        Returns all metrics in Prometheus' text format; called on another thread.
    """
    router = APIRouter(tags=["operation"])

    @router.get("/healthz")
    async def health() -> dict[str, Any]:
        """Say that the service answers."""
        return {"ok": True}

    @router.get("/readyz", responses={503: {"description": "No session is admitted now"}})
    async def ready(response: Response) -> dict[str, Any]:
        """Say whether another session would be admitted."""
        admits = is_ready()
        response.status_code = 200 if admits else 503
        return {"ready": admits, "draining": is_draining()}

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Return metrics for Prometheus."""
        text = await run_quick(metrics_text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
