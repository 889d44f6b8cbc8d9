"""Routes for whoever operates the service: health, readiness, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

from greenroom.web.page_state import run_quick

if TYPE_CHECKING:
    from greenroom.hosted.sessions import Sessions

__all__ = ["operation_routes"]


def operation_routes(sessions: Sessions) -> APIRouter:
    """Make the routes ``/healthz``, ``/readyz`` and ``/metrics``; none of them needs a token."""
    router = APIRouter(tags=["operation"])

    @router.get("/healthz")
    async def health() -> dict[str, Any]:
        """Say that the service answers."""
        return {"ok": True}

    @router.get("/readyz", responses={503: {"description": "No session is admitted now"}})
    async def ready(response: Response) -> dict[str, Any]:
        """Say whether another session would be admitted."""
        is_ready = sessions.is_ready
        response.status_code = 200 if is_ready else 503
        return {"ready": is_ready, "draining": sessions.draining}

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Return metrics for Prometheus."""
        text = await run_quick(sessions.metrics.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
