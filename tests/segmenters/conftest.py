"""Models for tests: small ones made on the spot, and known ones where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from greenroom.matting import Plausibility
from greenroom.segmenters.runtimes.native_stderr import captured_stderr
from segmenters.fake_onnxruntime import counting_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segmenters.fake_onnxruntime import FakeOnnxRuntime

    MakeOnnx = Callable[..., Path]
    MakeGraph = Callable[..., Path]
    SharedModel = Callable[[str], Path]

# Where known models are that are not part of the project.
KNOWN: Final = Path(
    os.environ.get("GREENROOM_MODELS_DIR", Path(__file__).parents[3] / "shared" / "models")
)


@pytest.fixture
def shared_model() -> SharedModel:
    """Return a function that finds a known model, or skips the test."""

    def find(name: str) -> Path:
        path = KNOWN / name
        if not path.is_file():
            pytest.skip(f"there is no '{path}'; GREENROOM_MODELS_DIR names a folder with models")
        return path

    return find


@pytest.fixture
def make_onnx(tmp_path: Path) -> MakeOnnx:
    """Return a function that writes an ONNX model of a few nodes."""
    onnx = pytest.importorskip("onnx", reason="onnx, of the extra dev, makes these models")
    helper, kinds = onnx.helper, onnx.TensorProto

    def values_of(tensors: dict[str, Any]) -> list[Any]:
        infos = []
        for name, shape in tensors.items():
            kind = kinds.FLOAT
            if isinstance(shape, tuple):
                kind, shape = getattr(kinds, shape[0]), shape[1]  # noqa: PLW2901
            infos.append(helper.make_tensor_value_info(name, kind, shape))
        return infos

    def make(
        nodes: Sequence[tuple[str, Sequence[str], Sequence[str], dict[str, Any]]],
        inputs: dict[str, Any],
        outputs: dict[str, Any],
        constants: dict[str, Any] | None = None,
        name: str = "mine.onnx",
    ) -> Path:
        graph = helper.make_graph(
            [helper.make_node(kind, ins, outs, **more) for kind, ins, outs, more in nodes],
            "made-for-a-test",
            values_of(inputs),
            values_of(outputs),
            [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return make


@pytest.fixture
def frozen_graph(tmp_path: Path) -> MakeGraph:
    """Return a function that writes a frozen graph of TensorFlow, one channel of the picture.

    ``build`` adds to it, or makes another: it is called with TensorFlow.
    """
    reason = "TensorFlow is too large for the extra dev"
    with captured_stderr():
        tf = pytest.importorskip("tensorflow", reason=reason)

    def green() -> None:
        picture = tf.compat.v1.placeholder(tf.float32, [1, None, None, 3], "ImageTensor")
        tf.identity(picture[..., 1:2], "SemanticPredictions")

    def make(build: Callable[[Any], None] | None = None, name: str = "graph.pb") -> Path:
        with tf.Graph().as_default() as graph:
            if build is None:
                green()
            else:
                build(tf)
        path = tmp_path / name
        path.write_bytes(graph.as_graph_def().SerializeToString())
        return path

    return make


@pytest.fixture
def every_matte_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine take answers of a few samples, or the same everywhere, as test models give."""
    monkeypatch.setattr(Plausibility, "check", lambda *_, **__: None)
    monkeypatch.setattr(Plausibility, "believed", lambda _, __, matte, ___: matte)


@pytest.fixture
def green_onnx(make_onnx: MakeOnnx) -> Path:
    """Write a model whose coverage is the green of the picture, 8x6."""
    return make_onnx(
        [("Slice", ["x", "from", "to", "axis"], ["y"], {})],
        {"x": [1, 6, 8, 3]},
        {"y": [1, 6, 8, 1]},
        {"from": np.array([1]), "to": np.array([2]), "axis": np.array([3])},
    )


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeOnnxRuntime:
    """Put a fake of ONNX Runtime in the library's place, with a recurrent model that counts."""
    fake = counting_model()
    monkeypatch.setattr("greenroom.segmenters.runtimes.onnx.load_onnxruntime", lambda: fake)
    return fake
