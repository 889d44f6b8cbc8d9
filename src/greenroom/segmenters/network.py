"""Segmenter that runs a neural network."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any

import numpy as np

from greenroom.cuda import DeviceArray, calls
from greenroom.errors import ModelOutputError
from greenroom.media.timings import Timings
from greenroom.segmenters.card import Task
from greenroom.segmenters.foreground import recolour
from greenroom.segmenters.inputs import PictureInput, check_further_inputs, crop_output, ratio_input
from greenroom.segmenters.output_decoders import CoverageReader, picture_axes
from greenroom.segmenters.recurrent_states import RecurrentStates
from greenroom.segmenters.runtimes.runtime import Trial
from greenroom.segmenters.segmenter import (
    Segmenter,
    SegmenterInfo,
    check_coarse_matte,
    check_matte_there,
)
from greenroom.segmenters.trial_picture import trial_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from greenroom.cuda import Array
    from greenroom.media.frame import Frame
    from greenroom.segmenters.card import Card
    from greenroom.segmenters.runtimes.runtime import Example, Runtime, TensorInfo

__all__ = ["NetworkSegmenter", "example_inputs", "output_names"]


class NetworkSegmenter(Segmenter):
    """Segmenter for a model described by a card.

    Parameters
    ----------
    card : Card
        Describes the model's input and output.
    runtime : Runtime
        Executes the model. Closed with the segmenter.
    keep : str, optional
        Classes of the foreground, in place of the card's.
    timings : Timings, optional
        Receives the stages "prepare", "invoke" and "foreground".

    Raises
    ------
    ModelError
        If the model does not match the card.
    SettingsError
        If the model lacks a class to keep.

    State: a recurrent network's states, reset at scene changes and changes of size.
    """

    takes_device_frames = True

    def __init__(
        self,
        card: Card,
        runtime: Runtime,
        keep: str | None = None,
        timings: Timings | None = None,
    ) -> None:
        assert card.input is not None
        self._card = card
        self._spec = card.input
        self._runtime = runtime
        self._timings = timings or Timings()
        self._reader = CoverageReader(card, keep)
        self._picture = PictureInput(card, runtime.inputs, runtime.path)
        check_further_inputs(card, runtime.inputs, self._picture.name, runtime.path)
        self._states = RecurrentStates(runtime.new_states()) if self._spec.states else None
        self.info = self._described()
        self.remembers = self._states is not None
        self.makes_mattes = self.remembers or card.task is Task.MATTING
        self._output = card.output.name or runtime.outputs[0].name
        shapes = {info.name: info.shape for info in runtime.outputs}
        self._reader.check(shapes[self._output], runtime.path)
        self._colours: Array | None = None

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        coarse: NDArray[np.float32]
        (coarse,) = calls.on_host(self._segmented(frame, self._read))
        return coarse

    def segment_there(self, frame: Frame) -> Array:
        """See `Segmenter.segment_there`."""
        return self._segmented(frame, self._read_there)

    def _segmented(self, frame: Frame, read: Callable[[Array], Array]) -> Array:
        self._colours = None  # a view of the runtime's memory
        start = filled = time.perf_counter()
        size = self._picture.size_for(frame.size)

        def fill(tensor: Array) -> None:
            nonlocal filled
            self._picture.fill(frame, size, tensor)
            filled = time.perf_counter()

        try:
            is_there = frame.device is not None and self._picture.is_written_there(frame, size)
            outputs = self._runtime.run_on(
                self._picture.name,
                self._picture.shape_of(size),
                fill,
                ratio_input(self._spec, self._runtime.inputs, size),
                None if self._states is None else self._states.of(frame),
                device=frame.device if is_there else None,
            )
            if self._runtime.device != self.info.device:  # another one took over
                self.info = self._described()
            self._timings.add("prepare", filled - start)
            self._timings.add("invoke", time.perf_counter() - filled)
            part = self._picture.part_for(frame.size, size)
            coverage, colours = self._decode(outputs, read)
            self._colours = None if colours is None else crop_output(colours, part, size)
            coarse = crop_output(coverage, part, size)
            if isinstance(coarse, DeviceArray):
                return coarse
            return np.ascontiguousarray(coarse)
        except Exception as error:
            self.reset()  # the states may have caused the failure, or come of it
            # The error's frames would keep views of the runtime's memory alive.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            outputs = {}

    def foreground(self, frame: Frame) -> Frame | None:
        """See `Segmenter.foreground`; only matting networks have one."""
        if self._colours is None:
            return None
        with self._timings.stage("foreground"):
            return recolour(frame, self._colours)

    def reset(self) -> None:
        """See `Segmenter.reset`."""
        if self._states is not None:
            self._states.reset()

    def close(self) -> None:
        """See `Segmenter.close`."""
        self._colours = None
        self._runtime.close()

    def _described(self) -> SegmenterInfo:
        runtime = self._runtime
        return SegmenterInfo(
            self._card.name, str(runtime.path), runtime.name, runtime.device, runtime.threads
        )

    def _read(self, output: Array) -> NDArray[np.float32]:
        """Return coverage in the host's memory."""
        coverage = self._reader.read(output)
        if self._states is not None:
            check_coarse_matte(coverage)  # or the states are reset
        return coverage

    def _read_there(self, output: Array) -> Array:
        """Return coverage on the output's device, if it is there as it is."""
        if isinstance(output, DeviceArray):
            coverage = self._reader.read_there(output)
            if coverage is not None:
                return check_matte_there(coverage)  # in new memory
        return self._read(output)

    def _decode(
        self, outputs: Mapping[str, Array], read: Callable[[Array], Array]
    ) -> tuple[Array, Array | None]:
        """Return the coverage, and the foreground colours of a matting network."""
        coverage = read(outputs[self._output])
        name = self._card.output.foreground
        if name is None:
            return coverage, None
        output: Any = outputs[name]
        if output.dtype != np.float32:
            (output,) = calls.on_host(output)
        colours: Array | None = picture_axes(output, self._card.output.layout, 3)
        if colours is None or colours.shape[:2] != coverage.shape:
            message = (
                f"the foreground of model '{self._card.name}' does not fit its matte: "
                f"{outputs[name].shape} and {coverage.shape}"
            )
            raise ModelOutputError(message)
        return coverage, colours


def output_names(card: Card) -> tuple[str, ...]:
    """Return the outputs that a card needs; empty means all."""
    if not card.output.name:
        return ()
    states = () if card.input is None else card.input.states.values()
    return tuple(filter(None, (card.output.name, card.output.foreground, *states)))


def example_inputs(card: Card, path: object) -> Example:
    """Return a factory of inputs to try a model with: a drawn person, at a common frame size."""
    assert card.input is not None
    spec = card.input

    def make(inputs: Sequence[TensorInfo]) -> Trial:
        picture = PictureInput(card, inputs, path)
        check_further_inputs(card, inputs, picture.name, path)
        frame = trial_frame()
        size = picture.size_for(frame.size)

        def fill(tensor: NDArray[Any]) -> None:
            picture.fill(frame, size, tensor)

        others = ratio_input(spec, inputs, size)
        return Trial(picture.name, picture.shape_of(size), fill, others)

    return make
