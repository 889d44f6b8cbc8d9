"""One loaded model for many streams: pictures that arrive together go through it as one batch.

Each stream has a `StreamRuntime`, which a segmenter takes for a runtime of its own. It is used on
its stream's thread; the model runs on one thread of its own. What a stream gives and gets is in
memory that no other stream has, and a request is answered once, in the object that asked: a late
answer goes nowhere.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.cuda import DeviceArray, calls
from greenroom.errors import ModelError, ModelOutputError, ModelTimeoutError
from greenroom.segmenters.runtimes.runtime import Row, Runtime, first_states
from greenroom.segmenters.runtimes.states import HostStates, States

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from greenroom.cuda import Array, Device
    from greenroom.segmenters.runtimes.runtime import Fill, FillThere

__all__ = ["SharedModel", "StreamRuntime"]

# A stream that has asked within this time may ask again.
_RECENT_S: Final = 1.0
# Time-out of an answer. Engines have shorter ones of their own, from the setting timeout_s.
_ANSWER_TIMEOUT_S: Final = 60.0
# Time-outs of closing while the model runs, which may hang, and while it does not.
_BUSY_CLOSE_S: Final = 1.0
_IDLE_CLOSE_S: Final = 10.0


@dataclass(eq=False)
class _Request:
    """A picture of a stream, and its answer.

    Attributes
    ----------
    stream : StreamRuntime
    key : hashable
        What requests of one batch have in common.
    name, row, others
        Arguments of `Runtime.run_rows`.
    due_s : float
        When it goes without others.
    done : Event
        Set when there is an answer.
    outputs, error
        The answer.
    """

    stream: StreamRuntime
    key: Hashable
    name: str
    row: Row
    others: Mapping[str, NDArray[Any]]
    due_s: float
    done: threading.Event = field(default_factory=threading.Event)
    outputs: Mapping[str, Any] | None = None
    error: Exception | None = None


class SharedModel:
    """A model and the thread that runs it. All methods may be called on any thread.

    Parameters
    ----------
    runtime : Runtime
        The loaded model; closed with this.
    most : int
        Most pictures of a batch.
    wait_s : float
        Longest time for which a picture waits for others. It waits only while other streams have
        asked of late.
    on_unused : callable
        Called when the last stream was closed, on its thread.

    State: the streams, and the requests that have not begun.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        most: int,
        wait_s: float,
        on_unused: Callable[[], None] = lambda: None,
    ) -> None:
        self.runtime = runtime
        self._most = most if runtime.takes_rows else 1
        self._wait_s = wait_s
        self._on_unused = on_unused
        self._changed = threading.Condition()
        self._streams: set[StreamRuntime] = set()
        self._queue: list[_Request] = []
        self._is_closed = False
        self._is_busy = False
        self._thread = threading.Thread(target=self._work, name="greenroom-model", daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """Number of open streams."""
        with self._changed:
            return len(self._streams)

    @property
    def waiting(self) -> int:
        """Number of pictures that no batch has taken yet."""
        with self._changed:
            return len(self._queue)

    def stream(self) -> StreamRuntime:
        """Return a runtime for one more stream."""
        made = StreamRuntime(self)
        with self._changed:
            self._streams.add(made)
        return made

    def leave(self, stream: StreamRuntime) -> None:
        """Note that a stream was closed."""
        with self._changed:
            if stream not in self._streams:
                return
            self._streams.remove(stream)
            is_unused = not self._streams
            self._changed.notify_all()  # nobody waits for it any more
        if is_unused:
            self._on_unused()

    def answer(
        self,
        stream: StreamRuntime,
        name: str,
        row: Row,
        others: Mapping[str, NDArray[Any]],
        sizes: Hashable,
    ) -> Mapping[str, Any]:
        """Return the outputs for a stream's picture, in memory of its own.

        For a picture on a device they are parts of the batch's outputs there, which nobody writes
        any more. ``sizes`` are those of its states. Raises what `Runtime.run` does.
        """
        shared = tuple((name, values.shape, values.tobytes()) for name, values in others.items())
        key = (name, type(row.picture), row.picture.shape, shared, sizes)
        now_s = time.monotonic()
        request = _Request(stream, key, name, row, others, now_s + self._wait_s)
        with self._changed:
            if self._is_closed:
                message = f"model '{self.runtime.path.name}' was closed with its pool"
                raise ModelOutputError(message, self.runtime.path)
            stream.asked_s, stream.asked_for = now_s, key
            self._queue.append(request)
            self._changed.notify_all()
        try:
            if not request.done.wait(_ANSWER_TIMEOUT_S):
                message = (
                    f"model '{self.runtime.path.name}' has not answered within "
                    f"{_ANSWER_TIMEOUT_S:g} s."
                )
                raise ModelTimeoutError(message, self.runtime.path)
        finally:
            with self._changed:
                if request in self._queue:  # interrupted, or too late: it is not begun
                    self._queue.remove(request)
        if request.error is not None:
            # Of its own: streams would write into one error's traceback at once.
            error = request.error
            kind = type(error) if isinstance(error, ModelError) else ModelOutputError
            raise kind(str(error) or type(error).__name__, self.runtime.path) from error
        assert request.outputs is not None
        return request.outputs

    def close(self) -> None:
        """End the thread and close the model; one that hangs is abandoned."""
        with self._changed:
            self._is_closed = True
            left, self._queue = self._queue, []
            self._changed.notify_all()
        message = f"model '{self.runtime.path.name}' was closed with its pool"
        _answer_all(left, ModelOutputError(message, self.runtime.path))
        self._thread.join(_BUSY_CLOSE_S if self._is_busy else _IDLE_CLOSE_S)
        if not self._thread.is_alive():
            self.runtime.close()

    def _work(self) -> None:
        while batch := self._next():
            self._run(batch)
            del batch  # what streams gave and get is theirs

    def _next(self) -> list[_Request]:
        """Wait for requests, and take those of the next batch; none at the end."""
        with self._changed:
            self._is_busy = False
            while not self._is_closed:
                if not self._queue:
                    self._changed.wait()
                    continue
                first, now_s = self._queue[0], time.monotonic()
                alike = [each for each in self._queue if each.key == first.key][: self._most]
                left_s = first.due_s - now_s
                if left_s <= 0 or len(alike) >= self._expected(first.key, now_s):
                    # Few numbers of rows: a GPU prepares for each.
                    batch = alike[: 1 << (len(alike).bit_length() - 1)]
                    self._queue = [each for each in self._queue if each not in batch]
                    self._is_busy = True
                    return batch
                self._changed.wait(min(left_s, _RECENT_S))
        return []

    def _expected(self, key: Hashable, now_s: float) -> int:
        """Return how many requests of a batch are worth waiting for."""
        recent = (
            each.asked_for == key and now_s - each.asked_s <= _RECENT_S for each in self._streams
        )
        return min(self._most, sum(recent))

    def _run(self, batch: list[_Request]) -> None:
        """Run the model, and answer each request of a batch."""
        rows = [request.row for request in batch]
        try:
            answers = self._answers(batch[0].name, rows, batch[0].others)
            pairs = list(zip(batch, answers, strict=True))
        except Exception as error:  # noqa: BLE001 - raised again on the streams' threads
            _answer_all(batch, error)
            return
        for request, outputs in pairs:
            request.outputs = outputs
            request.done.set()

    def _answers(
        self, name: str, rows: list[Row], others: Mapping[str, NDArray[Any]]
    ) -> Sequence[Mapping[str, Any]]:
        if not isinstance(rows[0].picture, DeviceArray):
            return self.runtime.run_rows(name, rows, others)
        device = self.runtime.gathers_on
        if device is None:
            message = f"model '{self.runtime.path.name}' is no longer on the device of its pictures"
            raise ModelOutputError(message, self.runtime.path)
        given = [{name: row.picture, **(row.there.on(device) if row.there else {})} for row in rows]
        outputs = self.runtime.run_gathered(
            {each: [one[each] for one in given] for each in given[0]}, others
        )
        for number, row in enumerate(rows):
            if row.there is not None:
                row.there.take(device, outputs, number)
        device.finish_kernels()  # before streams give up the batch's outputs
        return [
            {each: values[number : number + 1] for each, values in outputs.items()}
            for number in range(len(rows))
        ]


def _answer_all(requests: list[_Request], error: Exception) -> None:
    for request in requests:
        request.error = error
        request.done.set()


class _LateStates(States):
    """States of a stream in the model's own kind, used on the model's thread only.

    A reset is done there before the next run, so that a run that was given up cannot undo it.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._states: States | None = None
        self._is_reset_due = False

    def reset(self) -> None:
        """See `States.reset`."""
        self._is_reset_due = True

    def now(self) -> States:
        """Return the states for a run, on the model's thread."""
        if self._states is None:
            self._states = self._runtime.new_states()
        if self._is_reset_due:
            self._is_reset_due = False
            self._states.reset()
        return self._states


class _StatesThere(States):
    """States of a stream on the device that gathers rows, used on the model's thread only.

    A reset is done there before the next run, so that a run that was given up cannot undo it.
    """

    def __init__(self, names: Mapping[str, str], first: Mapping[str, NDArray[Any]]) -> None:
        self._names = names
        self._first = first
        self._values: dict[str, DeviceArray] = {}
        self._is_reset_due = False

    @property
    def sizes(self) -> Hashable:
        """Sizes of the states that the next run takes."""
        if self._is_reset_due:
            return ()
        return tuple(values.shape for values in self._values.values())

    def reset(self) -> None:
        """See `States.reset`."""
        self._is_reset_due = True

    def on(self, device: Device) -> Mapping[str, DeviceArray]:
        """Return the states for a run."""
        if self._is_reset_due or not self._values:
            self._is_reset_due = False
            uploaded = device.upload(*self._first.values())
            self._values = dict(zip(self._first, uploaded, strict=True))
        return self._values

    def take(self, device: Device, outputs: Mapping[str, DeviceArray], number: int) -> None:
        """Copy one row of the outputs that become states."""
        values = {}
        for name, output in self._names.items():
            row = outputs[output][number : number + 1]
            values[name] = device.empty(row.shape, row.dtype)
            calls.copy_bytes(row, values[name])
        self._values = values


class _StreamStates(States):
    """States of a stream: of one kind for pictures of the host, of another for those on a device.

    A stream that changes between both begins anew.
    """

    def __init__(self, here: States, there: _StatesThere) -> None:
        self._here, self._there = here, there
        self._is_there = False

    def here(self) -> States:
        """Return those for a picture of the host."""
        self._turn(is_there=False)
        return self._here

    def there(self) -> _StatesThere:
        """Return those for a picture on a device."""
        self._turn(is_there=True)
        return self._there

    def reset(self) -> None:
        """See `States.reset`."""
        self._here.reset()
        self._there.reset()

    def _turn(self, *, is_there: bool) -> None:
        if is_there != self._is_there:
            self.reset()
            self._is_there = is_there


class StreamRuntime(Runtime):
    """A stream's view of a shared model, for one segmenter. Made by `SharedModel.stream`.

    Attributes
    ----------
    asked_s, asked_for
        When it asked last, and for what kind of batch; the model's.

    State: memory for its picture.
    """

    def __init__(self, model: SharedModel) -> None:
        self._model = model
        shared = model.runtime
        self.path, self.threads, self.states = shared.path, shared.threads, shared.states
        self.inputs, self.outputs = shared.inputs, shared.outputs
        self.name, self.device = shared.name, shared.device
        self._types = {info.name: info.dtype for info in shared.inputs}
        self._tensor: NDArray[Any] | None = None
        self.asked_s = 0.0
        self.asked_for: Hashable = None

    def run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Fill,
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
    ) -> Mapping[str, NDArray[Any]]:
        """See `Runtime.run`; the outputs are in new memory."""
        tensor, self._tensor = self._tensor, None
        if tensor is None or tensor.shape != shape:
            tensor = np.zeros(shape, self._types[picture])
        fill(tensor)
        kept = _StreamStates.checked(states)
        here = None if kept is None else kept.here()
        own = here if isinstance(here, HostStates) else None
        values = {} if own is None else dict(own.values)
        late = here.now if isinstance(here, _LateStates) else None
        row = Row(tensor, values, late)
        sizes = tuple(each.shape for each in values.values())
        outputs = self._model.answer(self, picture, row, others, sizes)
        self._tensor = tensor  # only now: a run that was given up may still read it
        self.name, self.device = self._model.runtime.name, self._model.runtime.device
        if own is not None:
            own.take(outputs)
        return {name: each for name, each in outputs.items() if name not in self.states.values()}

    def run_on(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: FillThere,
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
        *,
        device: Device | None,
    ) -> Mapping[str, Array]:
        """See `Runtime.run_on`; the outputs are in new memory of the device."""
        gatherer = self._model.runtime.gathers_on
        if device is None or gatherer is None or device.place != gatherer.place:
            return self.run(picture, shape, fill, others, states)
        # New for each picture: a run that was given up may still read the last one.
        tensor = device.empty(shape, self._types[picture])
        fill(tensor)
        device.finish_kernels()
        kept = _StreamStates.checked(states)
        there = None if kept is None else kept.there()
        sizes = () if there is None else there.sizes
        outputs = self._model.answer(self, picture, Row(tensor, {}, None, there), others, sizes)
        self.name, self.device = self._model.runtime.name, self._model.runtime.device
        own = {}
        for name, values in outputs.items():
            if name not in self.states.values():
                own[name] = device.empty(values.shape, values.dtype)
                calls.copy_bytes(values, own[name])
        device.finish_kernels()  # before the batch's outputs may be given up
        return own

    def new_states(self) -> States:
        """See `Runtime.new_states`."""
        runtime = self._model.runtime
        first = first_states(self.states, self.inputs)
        here = HostStates(self.states, first) if runtime.takes_rows else _LateStates(runtime)
        return _StreamStates(here, _StatesThere(self.states, first))

    def close(self) -> None:
        """See `Runtime.close`; the model stays, for the other streams."""
        self._tensor = None
        self._model.leave(self)
