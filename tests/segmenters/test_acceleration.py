"""Half precision and CUDA graphs: used where the card allows them and the answers agree."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom.segmenters import create_segmenter
from greenroom.segmenters.runtimes import load_runtime, onnx
from greenroom.segmenters.runtimes.acceleration import Acceleration, outputs_agree, ways_within
from greenroom.segmenters.runtimes.half_precision import in_half_precision
from greenroom.settings import Device, Settings
from segmenters.fake_onnxruntime import CPU, CUDA, TENSORRT, Fail, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from segmenters.conftest import MakeOnnx, SharedModel
    from segmenters.fake_onnxruntime import FakeOnnxRuntime, Session, Values

HALF, GRAPH, BOTH = Acceleration(half=True), Acceleration(graph=True), Acceleration(True, True)  # noqa: FBT003
CONVERTED = b"converted"
COUNTING_CARD = """
name = "mine"
description = "A model that counts"
runtime = "onnx"
file = { name = "mine.onnx" }
input = { name = "x", longest = 8, states = { ri = "ro" } }
output = { name = "y" }
"""


class TestWays:
    """What is tried."""

    def test_only_what_is_allowed(self) -> None:
        """Both at once first, and nothing that the card does not allow."""
        assert ways_within(BOTH) == (BOTH, HALF, GRAPH)
        assert ways_within(HALF) == (HALF,)
        assert ways_within(GRAPH) == (GRAPH,)
        assert ways_within(Acceleration()) == ()
        assert str(BOTH) == "half precision, CUDA graphs"

    @pytest.mark.parametrize(
        ("change", "agrees"), [(0.0, True), (0.004, True), (0.01, False), (np.nan, False)]
    )
    def test_agree_but_for_rounding(self, change: float, agrees: bool) -> None:
        """The mean difference is small, and one value that is no number is too many."""
        expected = np.linspace(0, 1, 100, dtype=np.float32)
        found = expected + np.float32(change)
        assert outputs_agree([{"y": found}], [{"y": expected}]) == agrees
        if np.isnan(change):
            found = expected.copy()
            found[5] = change
            assert not outputs_agree([{"y": found}], [{"y": expected}])

    def test_another_size_does_not_agree(self) -> None:
        """Outputs of another shape are others."""
        assert not outputs_agree([{"y": np.ones((2, 2))}], [{"y": np.ones((1, 2))}])


class TestOnTheDevice:
    """Use on a GPU, by a fake of the library."""

    @pytest.fixture(autouse=True)
    def conversion(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Convert nothing."""
        monkeypatch.setattr(onnx, "in_half_precision", lambda _: CONVERTED)

    def test_both(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """The converted model runs with graphs, which see each picture and each state."""
        runtime = opened(tmp_path, Device.CUDA, BOTH)
        assert runtime.name == "ONNX Runtime 1.99.0, half precision, CUDA graphs"
        assert library.opened[-1].model == CONVERTED
        assert library.opened[-1].providers == [(CUDA, {"enable_cuda_graph": "1"}), (CPU, {})]
        states = runtime.new_states()
        library.runs.clear()
        for number in range(40):
            if number == 20:
                states.reset()
            picture = np.full((1, 6, 8, 3), 100 * number, np.float32)
            values = run(runtime, picture, states)
            assert float(values.max()) == 100 * number + 1 + number % 20 - 1
        numbers = [options["gpu_graph_id"] for _, options in library.runs if options]
        assert len(numbers) == 40
        assert numbers[0] == "-1"  # whose outputs' sizes are not known
        assert len(set(numbers[2:])) == 3  # from zeros, and two that take turns
        assert "-1" not in numbers[2:]

    def test_by_the_card(
        self, library: FakeOnnxRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A card's [gpu] is what a model may use; without it the model runs as it is."""
        monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
        library.available = [TENSORRT, CUDA, CPU]
        (tmp_path / "mine.onnx").write_bytes(b"a model")
        card = tmp_path / "mine.toml"
        names = []
        for allowed in ("", "[gpu]\nhalf = true", "[gpu]\nhalf = true\ngraph = true"):
            card.write_text(f"{COUNTING_CARD}\n{allowed}\n")
            segmenter = create_segmenter(Settings(model=str(card), device=Device.CUDA))
            names.append(segmenter.info.runtime.partition("1.99.0")[2])
        assert names == ["", ", half precision", ", half precision, CUDA graphs"]
        create_segmenter(Settings(model=str(card), device=Device.TENSORRT))
        assert (tmp_path / "cache" / "tensorrt").is_dir()

    def test_another_size(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """A graph is of one size; after many of them runs are made without."""
        runtime = opened(tmp_path, Device.CUDA, GRAPH)
        states = runtime.new_states()
        for number in range(30):
            states.reset()
            for _ in range(3):
                picture = np.full((1, 6, 8 + number % 10, 3), number, np.float32)
                assert run(runtime, picture, states).shape == (1, 6, 8 + number % 10, 1)
        numbers = {options["gpu_graph_id"] for _, options in library.runs if options}
        assert len(numbers - {"-1"}) == 12

    def test_that_disagrees(
        self, library: FakeOnnxRuntime, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A model that overflows in half precision runs in full, still with graphs."""
        compute = library.compute

        def overflow(given: Values, session: Session) -> Values:
            outputs = compute(given, session)
            return {**outputs, "y": outputs["y"] * (np.nan if session.model == CONVERTED else 1)}

        library.compute = overflow
        with caplog.at_level(logging.INFO):
            runtime = opened(tmp_path, Device.CUDA, BOTH)
        assert runtime.name == "ONNX Runtime 1.99.0, CUDA graphs"
        assert library.opened[-1].model == str(tmp_path / "model.onnx")
        assert [record.message.partition(" is not run ")[2] for record in caplog.records] == [
            "with half precision, CUDA graphs: its answers differ",
            "with half precision: its answers differ",
        ]

    def test_that_is_refused(
        self, library: FakeOnnxRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a package, or where the library refuses it, the model runs as it is."""

        def missing(_: Path) -> bytes:
            message = "No module named 'onnx'"
            raise ModuleNotFoundError(message)

        def refusal(_: Any, providers: list[Any]) -> Exception | None:
            return Fail("this session cannot use the graph") if providers[0][1] else None

        monkeypatch.setattr(onnx, "in_half_precision", missing)
        library.refusal = refusal
        runtime = opened(tmp_path, Device.CUDA, BOTH)
        assert runtime.name == "ONNX Runtime 1.99.0"
        assert float(run(runtime, np.ones((1, 6, 8, 3), np.float32), None).max()) == 1

    def test_graph_that_is_stale(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """A graph whose replay does not see the new picture is not used."""
        compute = library.compute
        seen: Values = {}

        def stale(given: Values, session: Session) -> Values:
            if session.providers[0][1]:
                given = {**given, "x": seen.setdefault("x", given["x"].copy())}
            return compute(given, session)

        library.compute = stale
        assert opened(tmp_path, Device.CUDA, GRAPH).name == "ONNX Runtime 1.99.0"

    def test_not_on_the_cpu(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """The CPU runs the model as it is, also after it took over."""
        assert opened(tmp_path, Device.CPU, BOTH).name == "ONNX Runtime 1.99.0"
        assert len(library.opened) == 1
        runtime = opened(tmp_path, Device.AUTO, BOTH)
        assert runtime.name.endswith("graphs")
        library.fault = lambda provider, _: Fail("lost") if provider == CUDA else None
        run(runtime, np.ones((1, 6, 8, 3), np.float32), runtime.new_states())
        assert runtime.name == "ONNX Runtime 1.99.0"


class TestConversion:
    """Models in half precision, run on the CPU."""

    @pytest.mark.parametrize(
        ("name", "scale"),
        [("sinet_320.onnx", 1 / 128), ("pphumanseg_lite_portrait_398x224.onnx", 1)],
    )
    def test_answers_agree(
        self, name: str, scale: float, shared_model: SharedModel, tmp_path: Path, portrait: Any
    ) -> None:
        """Known models answer as in full, inputs and outputs of the same types."""
        path = shared_model(name)
        half = tmp_path / "half.onnx"
        half.write_bytes(in_half_precision(path))
        answers = []
        for each in (path, half):
            runtime = load_runtime("onnx", each)
            _, _, rows, columns = runtime.inputs[0].shape
            picture = portrait[: int(rows or 0), : int(columns or 0)].transpose(2, 0, 1)
            values = ((picture / 127.5 - 1) * scale).astype(np.float32)[None]
            answers.append({"y": run(runtime, values, None)})
            runtime.close()
        assert answers[0]["y"].dtype == answers[1]["y"].dtype == np.float32
        assert np.abs(answers[0]["y"] - answers[1]["y"]).max() > 0  # it was converted
        assert outputs_agree(answers[1:], answers[:1])

    def test_answers_of_a_recurrent_model_agree(
        self, shared_model: SharedModel, tmp_path: Path, portrait: Any
    ) -> None:
        """RVM's mattes and colours are those in full, also after some frames."""
        path = shared_model("rvm_mobilenetv3_from_tfjs_int8.onnx")
        half = tmp_path / "half.onnx"
        half.write_bytes(in_half_precision(path))
        states = {f"r{number}i": f"r{number}o" for number in range(1, 5)}
        ratio = {"downsample_ratio": np.array(1, np.float32)}
        answers = []
        for each in (path, half):
            runtime = load_runtime(
                "onnx", each, outputs=["pha", "fgr", *states.values()], states=states
            )
            stream = runtime.new_states()
            found = []
            for number in range(4):
                values = (np.roll(portrait, 4 * number, 1)[None, ::2, ::2] / 255).astype(np.float32)
                outputs = runtime.run("src", values.shape, filler(values), ratio, stream)
                found.append({name: np.array(output) for name, output in outputs.items()})
            answers.append(found)
            runtime.close()
        assert outputs_agree(answers[1], answers[0])
        assert np.abs(answers[1][-1]["pha"] - answers[0][-1]["pha"]).mean() < 0.002

    def test_constants_that_are_shared(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        """Constants of several nodes, also if they are listed as inputs, are converted."""
        resize = {"coordinate_transformation_mode": "asymmetric", "mode": "nearest"}
        path = make_onnx(
            [
                ("Resize", ["x", "none", "twice"], ["a"], resize),
                ("Resize", ["a", "none", "twice"], ["b"], resize),
                ("Mul", ["b", "factor"], ["y"], {}),
            ],
            {"x": [1, 1, 2, 2], "factor": []},
            {"y": [1, 1, 8, 8]},
            {
                "none": np.zeros(0, np.float32),
                "twice": np.array([1, 1, 2, 2], np.float32),
                "factor": np.array(3, np.float32),
            },
        )
        half = tmp_path / "half.onnx"
        half.write_bytes(in_half_precision(path))
        runtime = load_runtime("onnx", half)
        values = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
        np.testing.assert_array_equal(
            run(runtime, values, None), 3 * values.repeat(4, 2).repeat(4, 3)
        )
        runtime.close()

    def test_that_is_no_model(self, tmp_path: Path) -> None:
        """A file that cannot be converted is told as such."""
        pytest.importorskip("onnx")
        path = tmp_path / "broken.onnx"
        path.write_bytes(b"This is no model")
        with pytest.raises(ValueError, match="cannot be converted to half precision"):
            in_half_precision(path)


def run(runtime: Any, values: NDArray[Any], states: Any) -> NDArray[Any]:
    """Run a picture; return a copy of the first output."""
    others = {} if states is not None or len(runtime.inputs) == 1 else FIRST
    outputs = runtime.run(runtime.inputs[0].name, values.shape, filler(values), others, states)
    return np.array(next(iter(outputs.values())))


def filler(values: NDArray[Any]) -> Callable[[NDArray[Any]], None]:
    """Return a function that writes values."""

    def fill(tensor: NDArray[Any]) -> None:
        tensor[...] = values

    return fill


FIRST = {"ri": np.zeros((1, 1, 1, 2), np.float32)}
