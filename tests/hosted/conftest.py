"""What the tests of the hosted service share; without its extra they are left out."""

from __future__ import annotations

from importlib.util import find_spec

HAS_EXTRA = find_spec("aiortc") is not None and find_spec("prometheus_client") is not None
# test_extra.py remains, and says why.
collect_ignore_glob = [] if HAS_EXTRA else ["test_[!e]*.py", "rtc/*.py"]
