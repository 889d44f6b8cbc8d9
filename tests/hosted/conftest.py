"""What the tests of the hosted service share."""

from __future__ import annotations

import pytest

pytest.importorskip("aiortc", reason="the extra 'hosted' is not installed")
pytest.importorskip("prometheus_client", reason="the extra 'hosted' is not installed")
