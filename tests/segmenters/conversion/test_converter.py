"""Conversion of TFLite models to ONNX, with LiteRT as the reference."""

from __future__ import annotations

import contextlib
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from greenroom.errors import MissingExtraError, ModelError
from greenroom.media.frame import Frame
from greenroom.segmenters.catalogue import card_named
from greenroom.segmenters.conversion import convert
from greenroom.segmenters.inputs import PictureInput
from greenroom.segmenters.runtimes import load_runtime
from greenroom.segmenters.runtimes.native_stderr import captured_stderr
from greenroom.segmenters.runtimes.onnx_library import load_onnxruntime
from greenroom.segmenters.store import Store
from segmenters.conversion.tflite_files import TFLiteFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segmenters.conftest import SharedModel

    Floats = NDArray[np.float32]

SAME, VALID = 0, 1
RELU, RELU_1, RELU_6 = 1, 2, 3
NOWHERE = Path("model.tflite")


def answers(content: bytes, pictures: Floats, *, converted: bool) -> list[Floats]:
    """Run a model on pictures, one by one by LiteRT, or all at once by ONNX Runtime if it can."""
    if converted:
        pytest.importorskip("onnx", reason="onnx, of the extra dev, converts")
        session = load_onnxruntime().InferenceSession(
            convert(content, NOWHERE), providers=["CPUExecutionProvider"]
        )
        given = session.get_inputs()[0]
        if isinstance(given.shape[0], str):
            return session.run(None, {given.name: pictures})  # type: ignore[no-any-return]
        runs = [session.run(None, {given.name: picture[None]}) for picture in pictures]
    else:
        with captured_stderr():
            interpreter = Interpreter(model_content=content)
            interpreter.allocate_tensors()
        at = interpreter.get_input_details()[0]["index"]
        runs = []
        for picture in pictures:
            interpreter.set_tensor(at, picture[None])
            interpreter.invoke()
            runs.append(
                [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]
            )
    return [np.concatenate(each) for each in zip(*runs, strict=True)]


def assert_equal(content: bytes, pictures: Floats, tolerance: float = 1e-5) -> None:
    """Compare both, by a tolerance for each 1 of the largest answer."""
    expected = answers(content, pictures, converted=False)
    found = answers(content, pictures, converted=True)
    for wanted, got in zip(expected, found, strict=True):
        assert got.shape == wanted.shape
        assert np.abs(wanted).max() > 0
        assert np.abs(got - wanted).max() <= tolerance * max(1, np.abs(wanted).max())


class Maker:
    """A model of one input, `x`, and random constants."""

    def __init__(self, *shape: int) -> None:
        self.file = TFLiteFile()
        self.shape = shape
        self.x = self.file.tensor(shape, name="x")
        self.random = np.random.default_rng(7)

    def weights(self, *shape: int) -> int:
        """Add a random constant."""
        return self.file.constant(self.random.normal(size=shape).astype(np.float32))

    def numbers(self, *values: int) -> int:
        """Add a constant of whole numbers."""
        return self.file.constant(np.array(values, np.int32))

    def then(self, kind: str, inputs: Sequence[int], *shape: int, **options: Any) -> int:
        """Add an operator, and return its output."""
        output = self.file.tensor(shape)
        self.file.add(kind, inputs, [output], **options)
        return output

    def compare(self, *outputs: int, pictures: int = 2, tolerance: float = 1e-5) -> None:
        """Compare the converted model with the file."""
        content = self.file.content([self.x], outputs)
        size = (pictures, *self.shape[1:])
        assert_equal(content, 3 * self.random.normal(size=size).astype(np.float32), tolerance)


class TestOperators:
    """Single operators, on a batch of two."""

    @pytest.mark.parametrize("padding", [SAME, VALID])
    @pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (3, 1)])
    @pytest.mark.parametrize("activation", [0, RELU])
    def test_convolutions(self, padding: int, stride: int, dilation: int, activation: int) -> None:
        """Plain, grouped and depthwise ones, whatever their steps do at the edges."""
        made = Maker(1, 9, 12, 4)
        reach = 0 if padding == SAME else 2 * dilation
        rows, columns = (-(-(length - reach) // stride) for length in (9, 12))
        options = {
            "padding": padding, "strideH": stride, "strideW": stride,
            "dilationHFactor": dilation, "dilationWFactor": dilation,
            "fusedActivationFunction": activation,
        }  # fmt: skip
        outputs = [
            made.then("CONV_2D", [made.x, made.weights(6, 3, 3, channels), made.weights(6)],
                      1, rows, columns, 6, **options)
            for channels in (4, 2)
        ]  # fmt: skip
        depthwise = [made.x, made.weights(1, 3, 3, 8), made.weights(8)]
        options["depthMultiplier"] = 2
        outputs.append(made.then("DEPTHWISE_CONV_2D", depthwise, 1, rows, columns, 8, **options))
        made.compare(*outputs)

    @pytest.mark.parametrize("padding", [SAME, VALID])
    @pytest.mark.parametrize(("stride", "kernel"), [(2, 2), (2, 3), (2, 4), (3, 3), (1, 3)])
    def test_transposed_convolutions(self, padding: int, stride: int, kernel: int) -> None:
        """TFLite's, and MediaPipe's with a bias, which has options of its own."""
        made = Maker(1, 5, 4, 3)
        more = 0 if padding == SAME else max(kernel - stride, 0)
        shape = (1, 5 * stride + more, 4 * stride + more, 2)
        weights, bias = made.weights(2, kernel, kernel, 3), made.weights(2)
        inputs = [made.numbers(*shape), weights, made.x]
        plain = made.then("TRANSPOSE_CONV", inputs, *shape,
                          padding=padding, strideH=stride, strideW=stride)  # fmt: skip
        outputs = [plain]
        if padding == SAME:  # as MediaPipe's models are
            options = struct.pack("<3i", 1, stride, stride)
            inputs = [made.x, weights, bias]
            outputs.append(made.then("Convolution2DTransposeBias", inputs, *shape, custom=options))
        made.compare(*outputs)

    @pytest.mark.parametrize("padding", [SAME, VALID])
    @pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
    def test_pools(self, kind: str, padding: int) -> None:
        """Samples past the edges count for nothing."""
        made = Maker(1, 7, 8, 3)
        rows, columns = (4, 4) if padding == SAME else (3, 3)
        part = made.then(kind, [made.x], 1, rows, columns, 3, padding=padding, strideH=2,
                         strideW=2, filterHeight=3, filterWidth=3,
                         fusedActivationFunction=RELU_6)  # fmt: skip
        whole = made.then(kind, [made.x], 1, 1, 1, 3, padding=padding, strideH=7,
                          strideW=8, filterHeight=7, filterWidth=8)  # fmt: skip
        made.compare(part, whole)

    @pytest.mark.parametrize("kind", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
    @pytest.mark.parametrize(("corners", "centres"), [(True, False), (False, True), (False, False)])
    @pytest.mark.parametrize("size", [(10, 14), (13, 9), (3, 4), (1, 1), (33, 65)])
    def test_resizing(self, kind: str, corners: bool, centres: bool, size: tuple[int, int]) -> None:
        """All conventions of corners, to larger and smaller sizes."""
        made = Maker(1, 5, 7, 2)
        inputs = [made.x, made.numbers(*size)]
        made.compare(
            made.then(kind, inputs, 1, *size, 2, alignCorners=corners, halfPixelCenters=centres)
        )

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("HARD_SWISH", {}), ("LEAKY_RELU", {"alpha": 0.3}), ("LOGISTIC", {}), ("RELU", {}),
            ("RELU6", {}), ("RELU_N1_TO_1", {}), ("SOFTMAX", {"beta": 1.0}),
            ("SOFTMAX", {"beta": 2.5}), ("TANH", {}),
        ],
    )  # fmt: skip
    def test_functions(self, kind: str, options: dict[str, Any]) -> None:
        """On pictures and on rows of numbers."""
        for shape in ((1, 5, 6, 3), (1, 8)):
            made = Maker(*shape)
            made.compare(made.then(kind, [made.x], *shape, **options))

    @pytest.mark.parametrize("kind", ["ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "SUB"])
    def test_arithmetic(self, kind: str) -> None:
        """With itself, one number, one for each channel, a picture, and a product of it."""
        made = Maker(1, 4, 6, 3)
        own = made.then("LOGISTIC", [made.x], 1, 4, 6, 3)
        scale = made.then("SUM", [own, made.numbers(1, 2)], 1, 1, 1, 3, keepDims=True)
        others = [own, scale, made.weights(), made.weights(3), made.weights(1, 4, 6, 3)]
        made.compare(
            *(made.then(kind, [made.x, other], 1, 4, 6, 3) for other in others), tolerance=1e-4
        )

    def test_activations(self) -> None:
        """Those that an operator has built in."""
        made = Maker(1, 4, 6, 3)
        made.compare(
            *(
                made.then("ADD", [made.x, made.x], 1, 4, 6, 3, fusedActivationFunction=number)
                for number in (RELU, RELU_1, RELU_6)
            )
        )

    def test_prelu(self) -> None:
        """A slope for each channel."""
        made = Maker(1, 4, 6, 3)
        made.compare(made.then("PRELU", [made.x, made.weights(1, 1, 3)], 1, 4, 6, 3))

    @pytest.mark.parametrize("kind", ["MEAN", "SUM"])
    @pytest.mark.parametrize("axes", [(1, 2), (3,), (-1, 1), (2,)])
    @pytest.mark.parametrize("keeps", [True, False])
    def test_reductions(self, kind: str, axes: tuple[int, ...], keeps: bool) -> None:
        """Over any axes but the batch, which stay or not."""
        made = Maker(1, 4, 6, 3)
        gone = {axis % 4 for axis in axes}
        shape = [1 if axis in gone else length for axis, length in enumerate(made.shape)]
        if not keeps:
            shape = [length for axis, length in enumerate(made.shape) if axis not in gone]
        made.compare(made.then(kind, [made.x, made.numbers(*axes)], *shape, keepDims=keeps))

    def test_padding(self) -> None:
        """Zeros before and after, in a picture of either order."""
        made = Maker(1, 4, 6, 3)
        table = made.file.constant(np.array([[0, 0], [1, 2], [0, 3], [2, 0]], np.int32))
        pooled = made.then("MAX_POOL_2D", [made.x], 1, 4, 6, 3, padding=SAME, strideH=1,
                           strideW=1, filterHeight=3, filterWidth=3)  # fmt: skip
        made.compare(*(made.then("PAD", [each, table], 1, 7, 9, 5) for each in (made.x, pooled)))

    def test_concatenation(self) -> None:
        """Of channels and of rows."""
        made = Maker(1, 4, 6, 3)
        own = made.then("LOGISTIC", [made.x], 1, 4, 6, 3)
        made.compare(
            made.then("CONCATENATION", [made.x, own], 1, 4, 6, 6, axis=-1),
            made.then("CONCATENATION", [made.x, own, made.x], 1, 12, 6, 3, axis=1),
        )

    def test_half_precision(self) -> None:
        """Weights of half precision, which the file converts itself."""
        made = Maker(1, 4, 6, 3)
        half = made.file.constant(made.random.normal(size=3).astype(np.float16))
        weights = made.then("DEQUANTIZE", [half], 3)
        made.compare(made.then("MUL", [made.x, weights], 1, 4, 6, 3))


class TestOrders:
    """Axes in other orders, and pictures that are cut into pieces."""

    def test_windows(self) -> None:
        """Pieces of a picture are in the place of the batch for a while."""
        made = Maker(1, 8, 12, 2)
        pooled = made.then("MAX_POOL_2D", [made.x], 1, 8, 12, 2, padding=SAME, strideH=1,
                           strideW=1, filterHeight=3, filterWidth=3)  # fmt: skip
        cut = made.then("RESHAPE", [pooled, made.numbers(-1, 4, 3, 8)], 2, 4, 3, 8)
        turned = made.then("TRANSPOSE", [cut, made.numbers(0, 2, 1, 3)], 2, 3, 4, 8)
        scaled = made.then("MUL", [turned, made.weights(8)], 2, 3, 4, 8)
        soft = made.then("SOFTMAX", [scaled], 2, 3, 4, 8, beta=1.0)
        back = made.then("TRANSPOSE", [soft, made.numbers(0, 2, 1, 3)], 2, 4, 3, 8)
        whole = made.then("RESHAPE", [back, made.numbers(-1, 8, 12, 2)], 1, 8, 12, 2)
        made.compare(made.then("ADD", [whole, pooled], 1, 8, 12, 2), turned)

    @pytest.mark.parametrize("axes", [(0, 3, 1, 2), (0, 2, 3, 1), (0, 1, 3, 2)])
    def test_transposed(self, axes: tuple[int, ...]) -> None:
        """A transposed picture goes on into a layer, and out as it is."""
        made = Maker(1, 4, 6, 3)
        rows, columns, channels = (made.shape[axis] for axis in axes[1:])
        turned = made.then("TRANSPOSE", [made.x, made.numbers(*axes)], 1, rows, columns, channels)
        inputs = [turned, made.weights(2, 1, 1, channels), made.weights(2)]
        layer = made.then("CONV_2D", inputs, 1, rows, columns, 2, padding=SAME, strideH=1,
                          strideW=1, dilationHFactor=1, dilationWFactor=1)  # fmt: skip
        made.compare(turned, layer)

    @pytest.mark.parametrize("kind", ["SQUEEZE", "EXPAND_DIMS"])
    def test_axes_of_one(self, kind: str) -> None:
        """Are dropped and added."""
        made = Maker(1, 4, 1, 3)
        inputs = [made.x] if kind == "SQUEEZE" else [made.x, made.numbers(1)]
        shape = (1, 4, 3) if kind == "SQUEEZE" else (1, 1, 4, 1, 3)
        options = {"squeezeDims": [2]} if kind == "SQUEEZE" else {}
        made.compare(made.then(kind, inputs, *shape, **options))

    @pytest.mark.parametrize("case", ["transposed", "reduced", "row"])
    def test_batches_that_are_mixed(self, case: str) -> None:
        """A model in which the pictures of a batch would meet takes one only."""
        made = Maker(1, 4, 6, 3)
        if case == "transposed":
            result = made.then("TRANSPOSE", [made.x, made.numbers(1, 0, 2, 3)], 4, 1, 6, 3)
        elif case == "reduced":
            result = made.then("SUM", [made.x, made.numbers(0)], 4, 6, 3, keepDims=False)
        else:
            row = made.then("RESHAPE", [made.x, made.numbers(72)], 72)
            result = made.then("MUL", [row, made.weights(72)], 72)
        made.compare(result, pictures=1)


class TestModels:
    """Whole models, on noise and on a person."""

    @pytest.mark.parametrize(
        "name", ["selfie-general", "selfie-landscape", "selfie-multiclass", "deeplabv3"]
    )
    def test_answers(self, name: str, shared_model: SharedModel, portrait: Any) -> None:
        """The answers are LiteRT's, but for rounding, also for several pictures at once."""
        card = card_named(name)
        assert card.file is not None
        assert card.input is not None
        path = Store().find(card) if card.file.embedded else shared_model(KNOWN[name])
        assert path is not None
        runtime = load_runtime("litert", path)
        picture = PictureInput(card, runtime.inputs, path)
        runtime.close()
        frame = Frame.from_rgb(portrait)
        size = picture.size_for(frame.size)
        tensor = np.zeros((1, *size, 3), np.float32)
        picture.fill(frame, size, tensor)
        noise = np.random.default_rng(3).uniform(tensor.min(), tensor.max(), tensor.shape)
        pictures = np.concatenate([tensor, noise.astype(np.float32)])
        assert_equal(path.read_bytes(), pictures, tolerance=1e-4)


KNOWN = {
    "selfie-multiclass": "selfie_multiclass_256x256.tflite",
    "deeplabv3": "deeplabv3_257_mv_gpu.tflite",
}


def _landscape() -> tuple[Path, bytes]:
    path = Store().find(card_named("selfie-landscape"))
    assert path is not None
    return path, path.read_bytes()


class TestRefused:
    """Files that are not converted."""

    def test_unknown_operators(self) -> None:
        """The error names each."""
        made = Maker(1, 4, 6, 3)
        first = made.then("COS", [made.x], 1, 4, 6, 3)
        second = made.then("Odd", [first], 1, 4, 6, 3, custom=b"what")
        content = made.file.content([made.x], [second])
        with pytest.raises(ModelError, match=r"'model.tflite'.*operator COS, Odd is not") as error:
            convert(content, NOWHERE)
        assert error.value.path == str(NOWHERE)

    def test_quantised(self, shared_model: SharedModel) -> None:
        """The error names the type."""
        path = shared_model("deeplabv3_mnv2_pascal_quant.tflite")
        with pytest.raises(ModelError, match="is of type UINT8, as in quantised models"):
            convert(path.read_bytes(), path)

    def test_of_any_size(self) -> None:
        """Sizes must be known."""
        made = Maker(1, 4, 6, 3)
        result = made.then("RELU", [made.x], 1, 4, 6, 3)
        made.file.tensors[made.x].shapeSignature = np.array([1, -1, -1, 3], np.int32)
        with pytest.raises(ModelError, match=r"the size of 'x' is not fixed \(1xanyxanyx3\)"):
            convert(made.file.content([made.x], [result]), NOWHERE)

    def test_names(self) -> None:
        """Inputs and outputs must have one each."""
        made = Maker(1, 4, 6, 3)
        result = made.then("RELU", [made.x], 1, 4, 6, 3)
        made.file.tensors[result].name = "x"
        with pytest.raises(ModelError, match="do not have a name each"):
            convert(made.file.content([made.x], [result]), NOWHERE)

    @pytest.mark.parametrize("share", range(8))
    def test_cut_off(self, share: int) -> None:
        """The error names the file."""
        path, content = _landscape()
        with pytest.raises(ModelError, match=r"selfie_landscape\.tflite' cannot be converted"):
            convert(content[: len(content) * share // 8], path)

    def test_damaged(self) -> None:
        """Whatever is changed in the tables, the worst is an error of ours."""
        path, content = _landscape()
        random = np.random.default_rng(5)
        refused = 0
        for _ in range(12):
            data = bytearray(content)
            for at in random.integers(0, len(content), 300):
                data[at] = random.integers(256)
            with contextlib.suppress(ModelError):
                convert(bytes(data), path)
                continue
            refused += 1
        assert refused

    def test_without_onnx(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error says what to install."""
        made = Maker(1, 4, 6, 3)
        result = made.then("RELU", [made.x], 1, 4, 6, 3)
        monkeypatch.setitem(sys.modules, "onnx", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'greenroom\[cuda\]'"):
            convert(made.file.content([made.x], [result]), NOWHERE)
