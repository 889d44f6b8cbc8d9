"""Virtual backgrounds as a WebRTC service, for browsers, WHIP and WHEP clients."""

from __future__ import annotations

from importlib.util import find_spec

from greenroom.errors import MissingExtraError

if find_spec("aiortc") is None or find_spec("prometheus_client") is None:
    message = (
        "a hosted service needs an extra that is not installed. To install it: "
        "pip install 'greenroom[hosted]'"
    )
    raise MissingExtraError(message)
