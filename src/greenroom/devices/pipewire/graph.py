"""Who is connected to a node of PipeWire, and whether PipeWire is still there.

``pw-dump --monitor`` prints the graph once and from then on whatever changes in it, so that a
connection is known at once and nothing is polled. It ends with the daemon.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Any, Final

from greenroom.media.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Graph", "GraphWatch", "documents"]

_NODE: Final = "PipeWire:Interface:Node"
_LINK: Final = "PipeWire:Interface:Link"
# A connection in one of these states carries no frames, and is not about to.
_IDLE: Final = frozenset({"error", "unlinked", "paused"})
_END_S: Final = 1.0


class Graph:
    """What is known of one node, from the objects that ``pw-dump`` prints.

    Parameters
    ----------
    token : str
        The node is the one with this value of the property ``greenroom.token``.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._node: int | None = None
        self._links: dict[int, tuple[int, str]] = {}

    @property
    def readers(self) -> int | None:
        """How many connections take frames from the node; None while it is not there."""
        if self._node is None:
            return None
        return sum(
            source == self._node and state not in _IDLE for source, state in self._links.values()
        )

    def take(self, objects: list[dict[str, Any]]) -> None:
        """Take what is new, has changed, or is gone: then there is no ``info``."""
        for one in objects:
            number, info = int(one["id"]), one.get("info")
            if info is None:
                self._links.pop(number, None)
                self._node = None if number == self._node else self._node
            elif one.get("type") == _LINK:
                self._links[number] = (int(info["output-node-id"]), str(info.get("state")))
            elif one.get("type") == _NODE and self._is_ours(info):
                self._node = number

    def _is_ours(self, info: dict[str, Any]) -> bool:
        return (info.get("props") or {}).get("greenroom.token") == self._token


class GraphWatch:
    """Follows the graph on a thread of its own.

    Parameters
    ----------
    token : str
        As of `Graph`.
    on_change : callable, optional
        Called on that thread when the count of readers has changed.
    environment : mapping, optional
        Where to find PipeWire; by default as this process would.

    Attributes
    ----------
    works : bool
        False where there is no ``pw-dump``.
    lost : threading.Event
        Set when PipeWire ended.
    """

    def __init__(
        self,
        token: str,
        on_change: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.lost = threading.Event()
        self._graph = Graph(token)
        self._on_change = on_change
        self._readers: int | None = None
        self._closing = False
        program = shutil.which("pw-dump")
        self.works = program is not None
        if program is None:
            return
        self._process = subprocess.Popen(  # noqa: S603 - no input of anybody
            [program, "--monitor", "--no-colors"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=None if environment is None else dict(environment),
            process_group=0,  # not ended by the terminal's Ctrl-C before the camera is
        )
        process = self._process
        self._thread = Worker(
            lambda: self._work(process),
            "pipewire",
            on_fault=lambda _: self._take(None),  # it cannot be told who looks any more
            attempts=1,
        )
        self._thread.start()

    @property
    def readers(self) -> int | None:
        """How many take frames; None where that cannot be told. Never blocks."""
        return None if self.lost.is_set() else self._readers

    def close(self) -> None:
        """End it."""
        if not self.works:
            return
        self._closing = True
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for objects in documents(output):
                self._graph.take(objects)
                self._take(self._graph.readers)
        process.wait()
        if not self._closing:
            self.lost.set()

    def _take(self, readers: int | None) -> None:
        changed, self._readers = readers != self._readers, readers
        if changed and self._on_change is not None:
            self._on_change()


def documents(output: IO[bytes]) -> Iterator[list[dict[str, Any]]]:
    """Take apart what ``pw-dump --monitor`` prints: one JSON list after the other."""
    decoder, waiting = json.JSONDecoder(), ""
    while piece := os.read(output.fileno(), 1 << 16):
        # Only ASCII has a meaning for JSON; a name cut in the middle of a character may be spoilt.
        waiting += piece.decode(errors="replace")
        while waiting := waiting.lstrip():
            try:
                objects, end = decoder.raw_decode(waiting)
            except json.JSONDecodeError:  # there is more to come
                break
            waiting = waiting[end:]
            yield objects
