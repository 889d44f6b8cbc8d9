"""Allow-list of TensorFlow operations for frozen graphs.

A graph is a program. The operations listed here only compute: they access no files, open no
connections and run no Python. All others are refused, including those of later versions of
TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ALLOWED", "forbidden"]

_STRUCTURE: Final = """
Assert Const Enter Exit Identity IdentityN If LoopCond Merge NextIteration NoOp PartitionedCall
Placeholder PlaceholderWithDefault PreventGradient Snapshot StatefulPartitionedCall StatelessCase
StatelessIf StatelessWhile StopGradient Switch While
"""
_ARRAYS: Final = """
BatchToSpace BatchToSpaceND BroadcastArgs BroadcastTo Concat ConcatOffset ConcatV2 DepthToSpace
DynamicPartition DynamicStitch EnsureShape ExpandDims Fill Gather GatherNd GatherV2
InvertPermutation LinSpace MirrorPad OneHot OnesLike Pack PadV2 Pad ParallelConcat Range Rank
Reshape ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor Reverse ReverseV2 Roll
ScatterNd SelectV2 Select Shape ShapeN Size Slice SpaceToBatch SpaceToBatchND SpaceToDepth Split
SplitV Squeeze StridedSlice TensorScatterAdd TensorScatterUpdate Tile TopK TopKV2
Transpose Unique UniqueV2 Unpack Where ZerosLike CropAndResize NonMaxSuppression
NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5
ScaleAndTranslate ExtractImagePatches AdjustContrastv2 AdjustHue AdjustSaturation RGBToHSV
HSVToRGB TensorArrayV3 TensorArrayReadV3 TensorArrayWriteV3 TensorArrayScatterV3
TensorArrayGatherV3 TensorArraySizeV3 TensorArrayConcatV3 TensorArraySplitV3 TensorArrayCloseV3
TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem TensorListStack
"""
_ARITHMETIC: Final = """
Abs Add AddN AddV2 All Any ApproximateEqual ArgMax ArgMin BatchMatMul BatchMatMulV2
BatchMatMulV3 Bucketize Cast Ceil ClipByValue Cos Cross Cumprod Cumsum Div DivNoNan Einsum Equal
Erf Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual Inv IsFinite IsInf IsNan Less LessEqual
Log Log1p LogicalAnd LogicalNot LogicalOr MatMul Max Maximum Mean Min Minimum Mod Mul MulNoNan Neg
NotEqual Pow Prod RealDiv Reciprocal Rint Round Rsqrt SegmentSum Sigmoid Sign Sin Sqrt Square
SquaredDifference Sub Sum Tan Tanh TruncateDiv TruncateMod UnsortedSegmentSum Xdivy BitwiseAnd
"""
_LAYERS: Final = """
AvgPool BatchNormWithGlobalNormalization BiasAdd BiasAddV1 Conv2D Conv2DBackpropInput Conv3D
DepthwiseConv2dNative Dilation2D Elu FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
FakeQuantWithMinMaxVarsPerChannel FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3
FusedPadConv2D FusedResizeAndPadConv2D L2Loss LeakyRelu LogSoftmax LRN MaxPool MaxPoolV2 Relu
Relu6 Selu Softmax Softplus Softsign QuantizeV2 Dequantize QuantizeAndDequantizeV2
QuantizeAndDequantizeV3 _FusedConv2D _FusedBatchNormEx
_FusedDepthwiseConv2dNative _FusedMatMul
"""

ALLOWED: Final = frozenset((_STRUCTURE + _ARRAYS + _ARITHMETIC + _LAYERS).split())


def forbidden(graph: Any) -> list[str]:
    """Return the operations of a graph and its functions that are not allowed, sorted."""
    functions = {function.signature.name for function in graph.library.function}
    return sorted(set(_operations(graph)) - ALLOWED - functions)


def _operations(graph: Any) -> Iterator[str]:
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        yield from (node.op for node in nodes)
