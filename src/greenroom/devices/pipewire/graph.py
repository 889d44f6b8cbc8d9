"""Readers of a PipeWire node, from ``pw-dump --monitor``.

The program prints the graph once and then every change, so connections are known at once and
without polling. It ends with the daemon.
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
    from collections.abc import Callable, Iterator

__all__ = ["Graph", "GraphWatch", "documents"]

_NODE: Final = "PipeWire:Interface:Node"
_LINK: Final = "PipeWire:Interface:Link"
# States of a link that carries no frames and is not about to.
_IDLE: Final = frozenset({"error", "unlinked", "paused"})
_STOP_TIMEOUT_S: Final = 1.0


class Graph:
    """State of one node, from the objects printed by ``pw-dump``.

    Parameters
    ----------
    token : str
        Value of the node's property ``greenroom.token``.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._node: int | None = None
        self._links: dict[int, tuple[int, str]] = {}

    @property
    def readers(self) -> int | None:
        """Number of links that take frames from the node; None while it does not exist."""
        if self._node is None:
            return None
        return sum(
            source == self._node and state not in _IDLE for source, state in self._links.values()
        )

    def apply(self, objects: list[dict[str, Any]]) -> None:
        """Apply new, changed, and removed objects; the removed ones have no ``info``."""
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
    """Monitor of the graph, on a thread of its own.

    Parameters
    ----------
    token : str
        As of `Graph`.
    on_change : callable, optional
        Called on that thread when the number of readers has changed.

    Attributes
    ----------
    works : bool
        False where there is no ``pw-dump``.
    lost : threading.Event
        Set when the daemon has ended.
    """

    def __init__(self, token: str, on_change: Callable[[], None] | None = None) -> None:
        self.lost = threading.Event()
        self._graph = Graph(token)
        self._on_change = on_change
        self._readers: int | None = None
        self._closing = False
        program = shutil.which("pw-dump")
        self.works = program is not None
        if program is None:
            return
        self._process = subprocess.Popen(  # noqa: S603 - fixed arguments
            [program, "--monitor", "--no-colors"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # not ended by the terminal's Ctrl-C before the camera is
        )
        process = self._process
        self._thread = Worker(
            lambda: self._work(process),
            "pipewire",
            on_fault=lambda _: self._update(None),  # the count is unknown from now on
            attempts=1,
        )
        self._thread.start()

    @property
    def readers(self) -> int | None:
        """Number of readers; None where unknown. Never blocks."""
        return None if self.lost.is_set() else self._readers

    def close(self) -> None:
        """End the monitor."""
        if not self.works:
            return
        self._closing = True
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for objects in documents(output):
                self._graph.apply(objects)
                self._update(self._graph.readers)
        process.wait()
        if not self._closing:
            self.lost.set()

    def _update(self, readers: int | None) -> None:
        changed, self._readers = readers != self._readers, readers
        if changed and self._on_change is not None:
            self._on_change()


def documents(output: IO[bytes]) -> Iterator[list[dict[str, Any]]]:
    """Split the output of ``pw-dump --monitor`` into its JSON lists."""
    decoder, waiting = json.JSONDecoder(), ""
    while piece := os.read(output.fileno(), 1 << 16):
        # JSON's syntax is ASCII; a name cut inside a character may be garbled.
        waiting += piece.decode(errors="replace")
        while waiting := waiting.lstrip():
            try:
                objects, end = decoder.raw_decode(waiting)
            except json.JSONDecodeError:  # incomplete
                break
            waiting = waiting[end:]
            yield objects
