"""Conversion of TFLite models to ONNX, so that ONNX Runtime can run them on a GPU.

A TFLite file is read with the schema that LiteRT's package ships (`tflite_model`). Its operators
are translated one by one (`layers`, `arithmetic`), with pictures as NCHW, which cuDNN prefers
(`onnx_graph`). The result is kept in a file (`files`). The converters of others lack an operator
of MediaPipe's and look for a maintainer (tf2onnx), or have seen no release since 2022
(tflite2onnx).
"""

from __future__ import annotations

from greenroom.segmenters.conversion.converter import convert
from greenroom.segmenters.conversion.files import converted_file, existing_conversion

__all__ = ["convert", "converted_file", "existing_conversion"]
